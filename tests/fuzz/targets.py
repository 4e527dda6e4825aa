"""What is fuzzed: each parser of a file that a stranger may have written, by name.

A target takes any bytes. It may accept them or raise a ZooError; whatever else comes out of it,
ends the process, takes longer than five seconds or a gigabyte is a fault.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import zoo_core as zoo
from zoo_core.data.opening import open_data
from zoo_core.inference.inputs import inputs
from zoo_core.plugins.manifest import read_manifest
from zoo_core.publish.card import merged_card
from zoo_core.runs.recipe import STATE, read_history, read_recipe
from zoo_core.training.resume import load_state
from zoo_core.weights.config_json import read_config
from zoo_core.weights.lock import read_lock
from zoo_core.weights.tensors import read_tensors

Target = Callable[[bytes], None]

_FAST = "/dev/shm" if Path("/dev/shm").is_dir() else None
_FOLDER = Path(tempfile.mkdtemp(prefix="zoo-fuzz-", dir=_FAST))


def _file(name: str, content: bytes) -> Path:
    path = _FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def tensors(content: bytes) -> None:
    """A safetensors file as it is; and its header alone, with the right length before it."""
    for whole in (content, len(content).to_bytes(8, "little") + content + bytes(64)):
        with contextlib.suppress(zoo.ZooError):
            read_tensors(_file("model.safetensors", whole))


def config(content: bytes) -> None:
    read_config(_file("config.json", content), "hf://someone/model")


def manifest_toml(content: bytes) -> None:
    read_manifest(_file("registry.toml", content))


def manifest_json(content: bytes) -> None:
    read_manifest(_file("registry.json", content))


def recipe(content: bytes) -> None:
    read_recipe(_file("run/recipe.toml", content).parent)


def metrics(content: bytes) -> None:
    read_history(_file("rows/metrics.jsonl", content).parent)


def lock(content: bytes) -> None:
    read_lock(_file("zoo.lock", content))


def shard(content: bytes) -> None:
    open_data(f"wds/{_file('shard.tar', content)}", progress=False)


def idx(content: bytes) -> None:
    """Both files of a set: the labels are the first 64 bytes."""
    _file("idx/train-labels-idx1-ubyte", content[:64])
    open_data(f"idx:{_file('idx/train-images-idx3-ubyte', content[64:]).parent}", progress=False)


def npy(content: bytes) -> None:
    for _ in inputs(_file("picture.npy", content)):
        pass


def table(content: bytes) -> None:
    open_data(f"csv:{_file('table.csv', content)}", progress=False)


def card(content: bytes) -> None:
    """A README that is pushed onto, twice: the second time with the marks of the first."""
    old = content.decode("utf-8", "replace")
    new = merged_card(old, {"license": "mit", "tags": ["zoo"]}, "Ours.", "name")
    merged_card(new, {"license": "mit", "tags": ["zoo"]}, "Ours.", "name")


def state(content: bytes) -> None:
    """A state as it is; and as the pickle within an archive that torch opens."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("state/data.pkl", content)
        opened.writestr("state/version", "3\n")
        opened.writestr("state/byteorder", "little")
    for whole in (content, archive.getvalue()):
        path = _file(STATE, whole)
        with contextlib.suppress(zoo.ZooError):
            load_state(path.parent.parent)


TARGETS: dict[str, Target] = {
    "safetensors": tensors,
    "config.json": config,
    "manifest.toml": manifest_toml,
    "manifest.json": manifest_json,
    "recipe.toml": recipe,
    "metrics.jsonl": metrics,
    "zoo.lock": lock,
    "tar": shard,
    "idx": idx,
    "npy": npy,
    "csv": table,
    "card": card,
    "state": state,
}


def run(name: str, content: bytes) -> None:
    """Feed a parser; an error of zoo is its right to say no."""
    with warnings.catch_warnings(), contextlib.suppress(zoo.ZooError):
        warnings.simplefilter("ignore")
        TARGETS[name](content)


def clean_up() -> None:
    """Remove what the targets wrote."""
    shutil.rmtree(_FOLDER, ignore_errors=True)

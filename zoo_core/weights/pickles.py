"""A pickled checkpoint, read without running code from it; nothing turns that off.

torch before 2.10 had a hole in `weights_only=True` (CVE-2026-24747), and zoo needs 2.10.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from zoo_core.cache import (
    cache_folder,
    file_rights,
    locked,
    make_folder,
    recall,
    remember,
    unwritable,
)
from zoo_core.errors import WeightsError
from zoo_core.files import written
from zoo_core.weights.hashes import sha256_of

if TYPE_CHECKING:
    from torch import Tensor

PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".tar", ".pkl")


def is_pickle(path: Path) -> bool:
    """Whether the name is that of a checkpoint that torch pickled."""
    return path.suffix.lower() in PICKLES


def load_pickle(path: Path) -> Any:
    """What torch saved. Raises WeightsError, with what the file would run, or that it is cut."""
    if _is_script(path):
        raise WeightsError(
            f"{path} is TorchScript: a program with its weights.",
            hint="Save those alone: torch.save(torch.jit.load(PATH).state_dict(), OTHER).",
        )
    try:
        with warnings.catch_warnings(action="ignore"):  # of torch, to those who work on it
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken pickle can raise anything
        unsafe = _unsafe(path, str(error))
        more = f" and {len(unsafe) - 3} more" if len(unsafe) > 3 else ""
        fault = (
            f"needs {', '.join(unsafe[:3])}{more}: loading it would run code"
            if unsafe
            else "is no checkpoint that torch reads without running code"
        )
        raise WeightsError(
            f"{path} {fault}.",
            hint="zoo runs none. Ask for safetensors or, where you trust the file, save its "
            "tensors alone: torch.save(model.state_dict(), PATH).",
        ) from error


def _is_script(path: Path) -> bool:
    """Raises WeightsError for a zip file that is not whole."""
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} is damaged or cut short.", hint="Copy or download it again."
        ) from error


def _unsafe(path: Path, text: str) -> list[str]:
    """What a pickle names that is no plain data; nothing in it is run."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # it reads zip files only
        names = []
    return sorted(names) or re.findall(r"GLOBAL (\S+)", text)[:1]


class _Conversion(msgspec.Struct, frozen=True):
    """What lies beside a converted file: its sha256, and the source of the original."""

    sha256: str
    source: str


def converted(path: Path, sha256: str, source: str) -> Path:
    """The safetensors made of the checkpoint at `path`, whose sha256 it is filed under.

    Raises WeightsError for what is no plain checkpoint, and where the cache cannot be written.
    """
    with locked(f"convert {sha256}"):
        made = conversion_of(sha256)
        if made is not None:
            return made
        tensors = state_dict_in(load_pickle(path), path)
        place = _place(sha256)
        try:
            make_folder(place.parent)
            with written(place) as temporary:
                save_file(tensors, temporary, metadata={"format": "pt"})
            place.chmod(file_rights())
            facts = _Conversion(sha256_of(place, source=source), source)
            remember(place.with_suffix(".json"), facts)
        except OSError as error:
            raise unwritable(place.parent, error) from error
        except SafetensorError as error:  # a full disk, as safetensors says it
            raise unwritable(place.parent, OSError(str(error))) from error
        return place


def conversion_of(sha256: str) -> Path | None:
    """The conversion of the file with this sha256, where it is here and whole."""
    place = _place(sha256)
    facts = recall(place.with_suffix(".json"), _Conversion)
    try:
        return place if facts is not None and sha256_of(place) == facts.sha256 else None
    except OSError:
        return None


def state_dict_in(content: Any, path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict, whole and apart, also where it lies under one of the usual keys.

    `content`: what a pickle holds. Raises WeightsError for whatever else is in there: optimizers,
    whole modules, code.
    """
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    state = content if isinstance(content, dict) else {}
    other = [name for name, value in state.items() if not isinstance(value, torch.Tensor)]
    if not state or other:
        what = f"it holds {', '.join(map(str, other[:3]))}" if other else "it is none"
        raise WeightsError(
            f"{path} is no plain state dict: {what}.", hint=f"Try: zoo convert {path} --model NAME"
        )
    return {str(name): value.detach().contiguous().clone() for name, value in state.items()}


def _place(sha256: str) -> Path:
    return cache_folder() / "converted" / f"{sha256}.safetensors"

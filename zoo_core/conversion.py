"""A `.pth` checkpoint becomes safetensors in the cache, once; then no pickle is read again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from safetensors import SafetensorError
from safetensors.torch import save_file

from zoo_core.cache import cache_folder, locked, unwritable
from zoo_core.errors import WeightsError
from zoo_core.files import written
from zoo_core.pickles import load_pickle
from zoo_core.stamps import sha256_of

if TYPE_CHECKING:
    from torch import Tensor


class _Conversion(msgspec.Struct, frozen=True):
    """What lies beside a converted file: its sha256, and the source of the original."""

    sha256: str
    source: str


def converted(path: Path, sha256: str, source: str) -> Path:
    """The safetensors made of the checkpoint at `path`, whose sha256 it is filed under.

    Raises WeightsError for what is no plain checkpoint, and where the cache cannot be written.
    """
    with locked(f"convert {sha256}"):
        held = held_conversion(sha256)
        if held is not None:
            return held
        tensors = read_checkpoint(path)
        place = _place(sha256)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with written(place) as temporary:
                save_file(tensors, temporary, metadata={"format": "pt"})
            facts = _Conversion(sha256_of(place, source=source), source)
            with written(place.with_suffix(".json")) as temporary:
                temporary.write_bytes(msgspec.json.encode(facts))
        except OSError as error:
            raise unwritable(place.parent, error) from error
        except SafetensorError as error:  # a full disk, as safetensors says it
            raise unwritable(place.parent, OSError(str(error))) from error
        return place


def held_conversion(sha256: str) -> Path | None:
    """The conversion of the file with this sha256, where it is here and whole."""
    place = _place(sha256)
    try:
        facts = msgspec.json.decode(place.with_suffix(".json").read_bytes(), type=_Conversion)
        whole = sha256_of(place) == facts.sha256
    except (OSError, msgspec.MsgspecError):
        return None
    return place if whole else None


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a pickled state dict, also where it lies under `state_dict` or `model`.

    Raises WeightsError for whatever else is in there: optimizers, whole modules, code.
    """
    return state_dict_in(load_pickle(path), path)


def state_dict_in(found: Any, path: Path) -> dict[str, Tensor]:
    """The state dict of a checkpoint, its tensors whole and apart. Raises WeightsError."""
    import torch

    for key in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    held = found if isinstance(found, dict) else {}
    other = [name for name, value in held.items() if not isinstance(value, torch.Tensor)]
    if not held or other:
        what = f"it holds {', '.join(map(str, other[:3]))}" if other else "it is none"
        raise WeightsError(
            f"{path} is no plain state dict: {what}.", hint=f"Try: zoo convert {path} --model NAME"
        )
    return {str(name): value.detach().contiguous().clone() for name, value in held.items()}


def _place(sha256: str) -> Path:
    return cache_folder() / "converted" / f"{sha256}.safetensors"

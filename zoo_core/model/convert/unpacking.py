"""A checkpoint file -> its state dict, and what else lies in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo_core.errors import WeightsError
from zoo_core.model.convert.reading import read_checkpoint

PLAIN = ("state_dict", "model", "model_state_dict", "module", "network", "net")
AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
DEEPEST = 4  # levels between the top of a file and its state dict


@dataclass(frozen=True)
class Unpacked:
    """The tensors of a checkpoint, by their names in it.

    `under`: the keys that lead to them, empty for the top level. `left_out`: each other entry of
    the file, and what it is.
    """

    tensors: dict[str, Tensor]
    under: str
    left_out: Mapping[str, str]


def unpack(path: Path, *, averaged: bool = False) -> Unpacked:
    """The state dict of a checkpoint, wherever torchvision, timm or Lightning put it.

    `averaged`: the averaged copy (EMA) instead of the plain one. Raises WeightsError for a file
    that holds no state dict, more than one, or what cannot be read without running code.
    """
    content = read_checkpoint(path)
    under: list[str] = []
    left_out: dict[str, str] = {}
    while (key := _inner(content, averaged and not under, path)) is not None:
        left_out |= _entries({k: v for k, v in content.items() if k != key}, under)
        under, content = [*under, _name(key)], content[key]
        if len(under) > DEEPEST:
            raise WeightsError(f"{path} nests one state dict in another without end.")
    state = {k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, Tensor)}
    left_out |= _entries({k: v for k, v in content.items() if k not in state}, under)
    tensors = {_name(name): tensor.detach() for name, tensor in state.items()}
    for name, tensor in tensors.items():
        _check(name, tensor, path)
    return Unpacked(tensors, ".".join(under), left_out)


# --- where the state dict is ---------------------------------------------------------------------


def _inner(content: Any, averaged: bool, path: Path) -> str | None:
    """The key under which the state dict lies, or None where `content` is it."""
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}, not a state dict.")
    nested = [k for k, value in content.items() if isinstance(k, str) and _holds_tensors(value)]
    copies = [key for key in AVERAGED if key in nested]
    if averaged:
        if not copies:
            raise WeightsError(
                f"{path} holds no averaged copy (EMA) of the weights.",
                hint=f"One would be under {', '.join(AVERAGED)}.",
            )
        return copies[0]
    known = [key for key in PLAIN if key in nested]
    if known or any(isinstance(value, Tensor) for value in content.values()):
        return known[0] if known else None
    chosen = copies[:1] or nested
    if len(chosen) == 1:
        return chosen[0]
    what = f"several: {', '.join(map(_name, nested))}" if nested else "none"
    listed = [f"{name} ({value})" for name, value in _entries(content, []).items()]
    entries = ", ".join(listed[:10]) + (f" and {len(listed) - 10} more" if len(listed) > 10 else "")
    raise WeightsError(
        f"{path} should hold one state dict, and holds {what}. In it: {entries or 'nothing'}.",
        hint="Save the one that you mean alone: torch.save(model.state_dict(), PATH).",
    )


def _holds_tensors(value: Any, deepest: int = DEEPEST) -> bool:
    """Whether it is a state dict, or holds one under a usual name."""
    if not isinstance(value, Mapping) or not deepest:
        return False
    inner = (value.get(key) for key in (*PLAIN, *AVERAGED))
    return any(isinstance(item, Tensor) for item in value.values()) or any(
        _holds_tensors(item, deepest - 1) for item in inner
    )


# --- what else is there --------------------------------------------------------------------------


def _entries(table: Mapping[Any, Any], under: list[str]) -> dict[str, str]:
    """Each entry's name, and what it is."""
    return {".".join([*under, _name(key)]): _what(key, value) for key, value in table.items()}


def _name(key: Any) -> str:
    """A key of the file, without what a terminal would take for a command."""
    return key if isinstance(key, str) and key.isprintable() else ascii(key)[:100]


def _what(key: Any, value: Any) -> str:
    """An entry in a few words: a short value itself, of another its kind and length."""
    if isinstance(value, Tensor):
        return f"tensor {list(value.shape)}"
    if key in AVERAGED and _holds_tensors(value):
        return f"an averaged copy of {len(value)}, which --ema takes"
    if isinstance(value, Mapping | list | tuple | set):
        return f"{type(value).__name__} of {len(value)}"
    short = isinstance(value, bool | float | None) or (
        abs(value) < 10**15 if isinstance(value, int) else len(str(value)) <= 40
    )
    return ascii(value) if short else type(value).__name__


def _check(name: str, tensor: Tensor, path: Path) -> None:
    fault = (
        "has no values (it is on the meta device)"
        if tensor.is_meta
        else "is quantized"
        if tensor.is_quantized
        else "is sparse"
        if tensor.layout != torch.strided
        else ""
    )
    if fault:
        raise WeightsError(f"{path}: {name} {fault}, and safetensors holds plain values only.")

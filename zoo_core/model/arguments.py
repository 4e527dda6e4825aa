"""The arguments of create(), checked: types, device, dtype, and those of an architecture."""

from __future__ import annotations

import contextlib
import inspect
import operator
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import torch

from zoo_core.errors import UnknownName, ZooError, did_you_mean
from zoo_core.humanize import readable_name
from zoo_core.types import Architecture, ModelInfo


def checked_config(
    architecture: Architecture, info: ModelInfo, config: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The given arguments of an architecture, checked.

    What the registry says of a model makes it that model, and is no option.

    Raises UnknownName for one that it does not have, with those it has, and ZooError for one of the
    wrong type, where `build` says which it wants.
    """
    _refuse_another(info, config)
    parameters = dict(inspect.signature(architecture.build).parameters)
    parameters = {n: p for n, p in parameters.items() if n not in ("num_classes", "in_chans")}
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return config
    open_ones = [name for name in parameters if name not in info.config]
    for key, value in config.items():
        if key not in parameters:
            near = did_you_mean(key, (*open_ones, *ALWAYS))
            raise UnknownName(
                f'{info.name} has no option "{key}". {near}'.strip(),
                hint=f"It has: {', '.join(open_ones) or 'none'}.",
            )
        wanted = parameters[key].annotation
        wanted = getattr(wanted, "__name__", wanted)
        allowed = _TYPES.get(wanted)
        no_bool = isinstance(value, bool) and allowed is not bool
        if allowed and (no_bool or not isinstance(value, allowed)):
            raise ZooError(f"{key} of {info.name} wants {wanted}, not {value!r}.")
    return config


def _refuse_another(info: ModelInfo, config: Mapping[str, Any]) -> None:
    """Raise ZooError for arguments that would make another model, under the name of this one."""
    for key, value in config.items():
        if key in info.config and value != info.config[key]:
            raise ZooError(
                f"{info.name} is made with {key}={info.config[key]!r}: "
                f"{key}={readable_name(repr(value))[:100]} would make another model.",
                hint='Another model has another name: "zoo list" has them.',
            )


ALWAYS = (
    *("num_classes", "in_chans", "labels", "pretrained", "keep_until", "freeze_until", "device"),
    *("dtype", "features_only", "out_indices", "img_size"),
)


_TYPES: Mapping[Any, type] = {"bool": bool, "int": Integral, "float": Real, "str": str}


def check_types(name: Any, pretrained: Any, freeze_until: Any) -> None:
    if not isinstance(name, str | Path):
        raise ZooError(
            f"create wants a model's name or a path, not a {type(name).__name__}.",
            hint='Run "zoo list" for the names.',
        )
    if not isinstance(pretrained, bool | str | Path | None):
        raise ZooError(
            "pretrained is None, True, False, a tag, a reference or a path, not a "
            f"{type(pretrained).__name__}.",
            hint="For a state dict of yours: create(name).load_state_dict(…).",
        )
    if not isinstance(freeze_until, str | None):
        raise ZooError(f"freeze_until is the name of a stage or layer, not {freeze_until!r}.")


def as_device(device: str | torch.device | None) -> torch.device:
    """The device itself, with its number; None is torch's default device."""
    asked = torch.get_default_device() if device is None else device
    try:
        actual = torch.empty(0, device=asked).device
    except Exception as error:  # each backend has its own
        text = " ".join(str(error).split(";")[0].split("\n")[0].split())[:200]
        raise ZooError(
            f"No device {device!r} here: {text}.",
            hint='Usual ones are cpu, cuda, cuda:1 and mps; "zoo doctor" says what is here.',
        ) from error
    if actual.type == "meta":
        raise ZooError(
            "A model on the meta device has no values.", hint='Build it with device="cpu".'
        )
    return actual if actual.type != "cpu" else torch.device("cpu")


def off_meta() -> contextlib.AbstractContextManager[Any]:
    """Around what makes tensors: a default device that has no values is not theirs."""
    here = torch.get_default_device().type == "meta"
    return torch.device("cpu") if here else contextlib.nullcontext()


DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


def as_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    if dtype is None:
        return None
    asked = getattr(torch, dtype.removeprefix("torch."), None) if isinstance(dtype, str) else dtype
    if asked not in DTYPES:
        names = [str(known).removeprefix("torch.") for known in DTYPES]
        raise ZooError(
            f"dtype is one of {', '.join(names)}, not {dtype!r}. {did_you_mean(str(dtype), names)}"
        )
    return asked


def check_count(what: str, value: Any, *, least: int) -> int:
    """A number of classes or channels as an int, of numpy's and torch's integers too.

    Raises ZooError for what is none.
    """
    try:
        count = None if isinstance(value, bool) else operator.index(value)
    except (TypeError, ValueError):
        count = None
    if count is None or count < least:
        raise ZooError(f"{what} must be a whole number, {least} or more: {value!r}.")
    return count

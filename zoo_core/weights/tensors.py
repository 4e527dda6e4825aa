"""Tensors by name: out of a safetensors file, never a pickle; what ties and types they have."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from zoo_core.errors import WeightsError
from zoo_core.files import opened
from zoo_core.humanize import one_line

if TYPE_CHECKING:
    from torch import Tensor, nn

ALIGNMENT = 64  # bytes; what torch gives its own tensors
# what torch.compile, FSDP, activation checkpointing and DataParallel put between names
WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "module")
COUNTER = "num_batches_tracked"  # torch fills it in, for checkpoints from before it existed


def read_tensors(path: Path, device: str = "cpu") -> dict[str, Tensor]:
    """All tensors of a safetensors file; on CPU mapped, so that writing to them leaves it intact.

    A mapped tensor begins where the file has it. For one picture, linear layers then compute other
    last bits than with weights that torch placed itself, so theirs are read instead of mapped; and
    those of convolutions that do the same on pooled maps, by their shape and their bias.

    Raises WeightsError for anything that is not a whole safetensors file.
    """
    try:
        with opened(path) as file:
            start = file.read(9)
        tensors = load_file(path, device=device)
        linear = [name for name in tensors if _is_linear(name, tensors)]
        crooked = [name for name in linear if tensors[name].data_ptr() % ALIGNMENT]
        with safe_open(path, "pt", device=device, backend="pread") as file:
            return {**tensors, **{name: file.get_tensor(name) for name in crooked}}
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        if _is_pickled(start):
            raise WeightsError(
                f"{path} is a pickle file (.pth, .pt, .bin), and loading one can run any code.",
                hint="zoo reads safetensors only: save the state dict with safetensors' save_file.",
            ) from error
        text = one_line(error)
        raise WeightsError(
            f"{path} is not a whole safetensors file: {text}.",
            hint="It is damaged, cut short, or something else: fetch it again.",
        ) from error


def _is_pickled(start: bytes) -> bool:
    r"""Whether a file begins as torch's do, and not with the length of a header that is cut short.

    >>> _is_pickled(b"PK\x03\x04\x00\x00\x08\x08\x00"), _is_pickled(b"\x80\x02}q\x00(X\x06\x00")
    (True, True)
    >>> _is_pickled(b"\x80\x02\x00\x00\x00\x00\x00\x00{"), _is_pickled(b"\x80\x02\x00\x00")
    (False, False)
    """
    named = start[:4] == b"PK\x03\x04" or (
        start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5")
    )
    return len(start) == 9 and named and start[8:] != b"{"


def without_wrappers(tensors: Mapping[str, Tensor], own: Collection[str]) -> dict[str, Tensor]:
    """The tensors under the names that they have without what torch wraps a model in.

    `own`: the names of the model. One that has a part of a wrapper's name keeps it, and so does all
    where two names would become one.

    >>> list(without_wrappers({"module.fc.weight": 1, "layer._orig_mod.bias": 2}, ["fc.weight"]))
    ['fc.weight', 'layer.bias']
    """
    strange = {wrapper for wrapper in WRAPPERS if not any(wrapper in n.split(".") for n in own)}
    plain = {
        ".".join(part for part in name.split(".") if part not in strange) or name: tensor
        for name, tensor in tensors.items()
    }
    return plain if len(plain) == len(tensors) else dict(tensors)


def _is_linear(name: str, tensors: Mapping[str, Tensor]) -> bool:
    """Whether a weight is of a linear layer, or of a 1x1 convolution with a bias."""
    tensor = tensors[name]
    pointwise = tensor.ndim == 4 and tensor.shape[2:] == (1, 1)
    return tensor.ndim == 2 or (pointwise and f"{name.removesuffix('weight')}bias" in tensors)


def with_ties(tensors: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """The tensors, with every name of a parameter that the module ties.

    safetensors' save_model writes it under one of its names only.
    """
    named = list(module.named_parameters(remove_duplicate=False))
    written = {id(parameter): tensors[name] for name, parameter in named if name in tensors}
    ties = {name: written[id(p)] for name, p in named if name not in tensors and id(p) in written}
    return {**tensors, **ties}


def type_name(tensor: Tensor) -> str:
    """Its type as a manifest or a message has it: `float32`."""
    return str(tensor.dtype).removeprefix("torch.")


def misfit(name: str, tensor: Tensor, want: Tensor) -> str:
    """How a tensor differs from what a model has under its name, or nothing."""
    if tensor.shape != want.shape:
        return f"{name} is {list(tensor.shape)}, the model has {list(want.shape)}"
    if tensor.is_complex() or (want.is_floating_point() and not tensor.is_floating_point()):
        return f"{name} is {type_name(tensor)}, the model has {type_name(want)}"
    return ""

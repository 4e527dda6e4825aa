"""A safetensors file -> tensors that fit a model. No pickle is ever read here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from zoo_core.errors import WeightsError
from zoo_core.types import Stage

if TYPE_CHECKING:
    from torch import Tensor, nn

ALIGNMENT = 64  # bytes; what torch gives its own tensors


def read_tensors(path: Path, device: str = "cpu") -> dict[str, Tensor]:
    """All tensors of a safetensors file; on CPU mapped, so that writing to them leaves it intact.

    A mapped tensor begins where the file has it. For one picture, linear layers then compute other
    last bits than with weights that torch placed itself, so theirs are read instead of mapped; and
    those of convolutions that do the same on pooled maps, by their shape and their bias.

    Raises WeightsError for anything that is not a whole safetensors file.
    """
    try:
        with path.open("rb") as file:
            start = file.read(2)
        tensors = load_file(path, device=device)
        linear = [name for name in tensors if _is_linear(name, tensors)]
        crooked = [name for name in linear if tensors[name].data_ptr() % ALIGNMENT]
        with safe_open(path, "pt", device=device, backend="pread") as file:
            return {**tensors, **{name: file.get_tensor(name) for name in crooked}}
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        # only now: the length of a whole file's header may begin with the same bytes
        if start == b"PK" or start[:1] == b"\x80":
            raise WeightsError(
                f"{path} is a pickle file (.pth, .pt, .bin), and loading one can run any code.",
                hint="zoo reads safetensors only: save the state dict with safetensors' save_file.",
            ) from error
        text = " ".join(str(error).split())
        raise WeightsError(
            f"{path} is not a whole safetensors file: {text}.",
            hint="It is damaged, cut short, or something else: fetch it again.",
        ) from error


def _is_linear(name: str, tensors: Mapping[str, Tensor]) -> bool:
    """Whether a weight is of a linear layer, or of a 1x1 convolution with a bias."""
    tensor = tensors[name]
    pointwise = tensor.ndim == 4 and tensor.shape[2:] == (1, 1)
    return tensor.ndim == 2 or (pointwise and f"{name.removesuffix('weight')}bias" in tensors)


def aligned(tensors: Mapping[str, Tensor], behind: Stage) -> dict[str, Tensor]:
    """The tensors; the convolutions of a stage begin where torch would let them begin."""
    crooked = [n for n, t in tensors.items() if t.ndim == 4 and t.data_ptr() % ALIGNMENT]
    return {**tensors, **{name: tensors[name].clone() for name in crooked if behind.has(name)}}


def fit_channels(weight: Tensor, channels: int) -> Tensor:
    """A convolution's weight (out, in, h, w) for another number of input channels.

    One channel: the sum over colours. More: the colours in turn, rescaled so that equal channels
    give equal outputs.
    """
    import torch

    have = weight.shape[1]
    if channels == 1:
        return weight.sum(dim=1, keepdim=True)
    index = torch.arange(channels, device=weight.device) % have
    return weight.index_select(1, index) * (have / channels)


def fitted(
    tensors: dict[str, Tensor],
    model: nn.Module,
    first: Stage,
    channels: tuple[int, int],
    where: str,
) -> dict[str, Tensor]:
    """The tensors with the shapes and types of the model's own.

    Only the first convolution may differ in channels. `channels`: those of the weights, and those
    of the model. Raises WeightsError that lists what does not fit.
    """
    own = model.state_dict()
    _check_keys(tensors, own, where)
    theirs, ours = channels
    fit: dict[str, Tensor] = {}
    wrong: list[str] = []
    for name, tensor in tensors.items():
        want = own[name]
        if tensor.shape != want.shape and _differs_in_channels(tensor, want, theirs, ours):
            if first.has(name):
                tensor = fit_channels(tensor, ours)
        if tensor.shape != want.shape:
            wrong.append(f"{name} is {list(tensor.shape)}, the model has {list(want.shape)}")
        elif want.is_floating_point() and not tensor.is_floating_point():
            wrong.append(f"{name} is {_type(tensor)}, the model has {_type(want)}")
        else:
            fit[name] = tensor if tensor.dtype == want.dtype else tensor.to(want.dtype)
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise WeightsError(
            f"{where} does not fit: {'; '.join(wrong[:3])}{more}.",
            hint="These weights are of another model or configuration.",
        )
    return fit


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _differs_in_channels(tensor: Tensor, want: Tensor, theirs: int, ours: int) -> bool:
    if tensor.ndim != 4 or want.ndim != 4 or theirs == ours:
        return False
    same = tensor.shape[0] == want.shape[0] and tensor.shape[2:] == want.shape[2:]
    return same and tensor.shape[1] == theirs and want.shape[1] == ours


def _check_keys(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], where: str) -> None:
    unexpected = [name for name in tensors if name not in own]
    # torch itself fills this counter in, for checkpoints from before it existed
    missing = [n for n in own if n not in tensors and not n.endswith("num_batches_tracked")]
    if missing or unexpected:
        parts = [_some("lacks", missing), _some("has unknown", unexpected)]
        raise WeightsError(
            f"{where} is not of this model: it {' and '.join(p for p in parts if p)}.",
            hint='Compare with model.state_dict().keys(); "zoo show" has the weights there are.',
        )


def _some(verb: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{verb} {', '.join(names[:3])}{more}"

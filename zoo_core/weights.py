"""reference -> source plugin -> local file -> verified -> tensors. safetensors only: no pickle is
ever read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError
from safetensors.torch import load_file

from zoo_core.catalogue import catalogue
from zoo_core.errors import HashMismatch, SourceError, UnknownName, WeightsError
from zoo_core.types import Stage, WeightsInfo

if TYPE_CHECKING:
    from torch import Tensor, nn

MODEL_FILE = "model.safetensors"


def cache_folder() -> Path:
    """Where zoo keeps its own files: ZOO_CACHE, else `~/.cache/zoo`. Read at call time."""
    return Path(os.environ.get("ZOO_CACHE") or Path.home() / ".cache" / "zoo").expanduser()


def is_offline() -> bool:
    """Whether ZOO_OFFLINE or HF_HUB_OFFLINE is set. Read at call time."""
    names = ("ZOO_OFFLINE", "HF_HUB_OFFLINE")
    return any(os.environ.get(name, "").lower() not in ("", "0", "false", "no") for name in names)


def split_reference(reference: str) -> tuple[str, str]:
    """The scheme of a reference, and the rest.

    >>> split_reference("pkg://zoo_lenet/weights/x.safetensors")
    ('pkg', 'zoo_lenet/weights/x.safetensors')
    >>> split_reference("file:/data/x.safetensors")
    ('file', '/data/x.safetensors')
    """
    scheme, _, rest = reference.partition(":")
    return scheme, rest if scheme == "file" else rest.removeprefix("//")


def local_file(weights: WeightsInfo) -> Path:
    """The weights as a verified file on this machine.

    Raises SourceError where the source cannot give it, HashMismatch where its bytes are not the
    pinned ones."""
    scheme, rest = split_reference(weights.source)
    try:
        source = catalogue().source(scheme)
    except UnknownName as error:
        raise SourceError(
            f"Weights at {weights.source} need a source for {scheme}: {error.message}",
            hint="Pass pretrained=PATH with a safetensors file that you have.",
        ) from error
    fetched = source.fetch(
        rest, MODEL_FILE, cache=cache_folder(), offline=is_offline(), progress=True
    )
    expected = weights.sha256 or fetched.sha256
    if expected is not None:
        verify(fetched.path, expected, weights.source)
    return fetched.path


def verify(path: Path, expected: str, source: str) -> None:
    """Compare a file's full sha256 with the pinned one; raises HashMismatch with both."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise HashMismatch(
            f"{path} from {source} has sha256 {found}, not the pinned {expected}.",
            hint="The file is damaged or is another one: remove it and fetch it again.",
        )


def read_tensors(path: Path, device: str = "cpu") -> dict[str, Tensor]:
    """All tensors of a safetensors file; on CPU mapped copy-on-write, so that writing to them
    leaves the file intact.

    Raises WeightsError for anything that is not a whole safetensors file.
    """
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}.") from error
    if start[:2] == b"PK" or start[:1] == b"\x80":
        raise WeightsError(
            f"{path} is a pickle file (.pth, .pt, .bin), and loading one can run any code.",
            hint="zoo reads safetensors only: save its state dict with safetensors.torch.save_file.",
        )
    try:
        return load_file(path, device=device)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        text = " ".join(str(error).split())
        raise WeightsError(
            f"{path} is not a whole safetensors file: {text}.",
            hint="It is damaged, cut short, or something else: fetch it again.",
        ) from error


def fit_channels(weight: Tensor, channels: int) -> Tensor:
    """A convolution's weight (out, in, h, w) for another number of input channels.

    One channel: the sum over colours. More: the colours in turn, rescaled so that equal channels
    give equal outputs."""
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
    """The tensors with the shapes and types of the model's own: only the first convolution may
    differ in channels.

    `channels`: those of the weights, and those of the model. Raises WeightsError that lists what
    does not fit."""
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
        fit[name] = tensor if tensor.dtype == want.dtype else tensor.to(want.dtype)
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise WeightsError(
            f"{where} does not fit: {'; '.join(wrong[:3])}{more}.",
            hint="These weights are of another model or configuration.",
        )
    return fit


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
            hint='Compare with model.state_dict().keys(), or see "zoo show" for the weights there are.',
        )


def _some(verb: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{verb} {', '.join(names[:3])}{more}"

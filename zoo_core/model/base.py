"""What a model was tuned from: the weights that others can get, what differs, and their licence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_core.errors import PublishError
from zoo_core.model.zoo_model import ZooModel
from zoo_core.plugins.catalogue import catalogue
from zoo_core.weights.channels import channels_in, with_channels
from zoo_core.weights.checkpoint import Checkpoint
from zoo_core.weights.hashes import remembered_digest, tensor_digest
from zoo_core.weights.pretrained import checkpoint_of
from zoo_core.weights.sources import split_reference
from zoo_core.weights.tensors import COUNTER, with_ties


@dataclass(frozen=True)
class Below:
    """The base of a model: its checkpoint, its name for others, and its tensors."""

    checkpoint: Checkpoint
    name: str
    tensors: dict[str, Tensor]

    @property
    def digest(self) -> str:
        return remembered_digest(self.checkpoint.files, lambda: tensor_digest(self.tensors))


def base_of(model: ZooModel) -> Below | None:
    """The pinned weights that a model started from, or None where nobody else could have them."""
    origin = model.origin
    if origin.weights is None or origin.sha256 is None:
        return None
    checkpoint = checkpoint_of(model.info, origin.weights)
    if checkpoint.sha256 != origin.sha256:
        raise PublishError(
            f"{origin.weights} of {model.info.name} has sha256 {checkpoint.sha256} now, and had "
            f"{origin.sha256} when this model was made from it."
        )
    name = _name_for_others(model, origin.weights, checkpoint)
    tensors = checkpoint.tensors(catalogue().architecture(model.info), model, "cpu")
    return Below(checkpoint, name, tensors)


def _name_for_others(model: ZooModel, weights: str, checkpoint: Checkpoint) -> str:
    """By name where the registry pins the bytes, else by the reference that does."""
    if "://" in weights:
        return weights
    known = model.info.weights.get(weights)
    scheme = split_reference(checkpoint.pinned)[0] if checkpoint.pinned else ""
    if known is not None and known.sha256 is None and catalogue().publisher(scheme):
        return str(checkpoint.pinned)
    return f"{catalogue().bare(model.info)}.{weights}"


def difference(
    state: Mapping[str, Tensor], base: Mapping[str, Tensor]
) -> tuple[list[str], list[str]]:
    """Names of the tensors that are not the base's bit for bit, and of the base's that are gone."""
    moved = [name for name, tensor in state.items() if not equal(tensor, base.get(name))]
    return moved, [name for name in base if name not in state]


def equal(ours: Tensor, theirs: Tensor | None) -> bool:
    if theirs is None or ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        return False
    return torch.equal(_bytes(ours), _bytes(theirs))  # as bytes: a NaN equals itself


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


# --- what a run must hold ------------------------------------------------------------------------


def saved_names(model: ZooModel, moved: Iterable[str]) -> tuple[str, ...]:
    """What a run must hold: all that training can change, or that is not as pretrained already.

    `moved`: what training can change, at any time. Without pinned weights all is held.
    """
    state = model.state_dict()
    if model.origin.weights is None or model.origin.sha256 is None:
        return tuple(state)
    base = _as_loaded(model, checkpoint_of(model.info, model.origin.weights))
    changes = set(moved)
    return tuple(
        name
        for name, tensor in state.items()
        if name in changes or not _same(tensor, base.get(name))
    )


def _as_loaded(model: ZooModel, checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The tensors of a checkpoint as create() would give them to such a model."""
    tensors = checkpoint.tensors(catalogue().architecture(model.info), model, "cpu")
    first = next(stage for stage in model.chain.values() if stage.owns)
    ours = model.origin.in_chans
    theirs = channels_in(tensors, model, first) or checkpoint.input.size[0]
    fit = with_channels(with_ties(tensors, model), model, first, (theirs, ours))
    dtype = getattr(torch, checkpoint.dtype or "float32")
    fit = {n: t.to(dtype) if t.is_floating_point() else t for n, t in fit.items()}
    counters = [name for name in model.state_dict() if name.endswith(COUNTER)]
    return {**{name: torch.tensor(0) for name in counters}, **fit}


def _same(ours: Tensor, theirs: Tensor | None) -> bool:
    return (
        theirs is not None
        and ours.shape == theirs.shape
        and torch.equal(ours.cpu(), theirs.to(ours.dtype))
    )

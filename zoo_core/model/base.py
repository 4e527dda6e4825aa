"""What a model was tuned from: the weights that others can get, what differs, and their licence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from zoo_core.errors import PublishError
from zoo_core.model.plan import architecture_of
from zoo_core.model.zoo_model import ZooModel
from zoo_core.plugins.catalogue import catalogue
from zoo_core.weights.checkpoint import Checkpoint
from zoo_core.weights.hashes import remembered_digest, tensor_digest
from zoo_core.weights.local import local_base
from zoo_core.weights.pretrained import checkpoint_of
from zoo_core.weights.run_checkpoint import RunCheckpoint, at_path
from zoo_core.weights.sources import split_reference


@dataclass(frozen=True)
class Below:
    """The base of a model: its checkpoint, its name for others, and its tensors.

    `beside`: the way to it from the folder of a delta, where it is for this machine alone.
    """

    checkpoint: Checkpoint
    name: str
    tensors: dict[str, Tensor]
    beside: str = ""

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
    tensors = checkpoint.tensors(architecture_of(model.info, model.origin.config), model, "cpu")
    return Below(checkpoint, name, tensors)


def base_here(model: ZooModel, folder: Path) -> Below | None:
    """What a model was loaded from on this machine, for a delta in `folder`; None for nothing.

    Raises PublishError where that is a run, or is in `folder` itself.
    """
    local = local_base(model.loaded_from) if model.loaded_from is not None else None
    if local is None:
        return None
    if folder.resolve() in (local.path.resolve(), local.path.resolve().parent):
        raise PublishError(
            f"A delta in {folder} would take the place of what it stands on.",
            hint="Write it to another folder, or whole: delta=False.",
        )
    checkpoint = replace(at_path(model.info, local.path), sha256=local.sha256)
    if isinstance(checkpoint, RunCheckpoint):
        raise PublishError(
            f"There is nothing that a delta could stand on: {local.path} is a run, and no file.",
            hint="Write it whole (delta=False), or save_pretrained that run and start from there.",
        )
    tensors = checkpoint.tensors(architecture_of(model.info, model.origin.config), model, "cpu")
    beside = local.told(folder)["beside"]
    return Below(checkpoint, f"file:{local.path}", tensors, beside)


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

"""Tensors of which each process has a part (DTensors), as fully_shard makes them."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn


def is_sharded(tensor: Tensor) -> bool:
    """Whether it is a DTensor. Its class is not imported: that takes long, and is rarely needed."""
    return hasattr(tensor, "full_tensor")


def has_shards(model: nn.Module) -> bool:
    return any(map(is_sharded, model.parameters()))


def whole(tensor: Tensor) -> Tensor:
    """All of it in each process, all of which have to ask; another tensor as it is."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def own_parts(tensors: Iterable[Tensor]) -> list[Tensor]:
    """What this process has of tensors, in their memory; other tensors as they are."""
    return [t.to_local() if is_sharded(t) else t for t in tensors]  # type: ignore[attr-defined]


def parts_like(tensor: Tensor, like: Tensor) -> Tensor:
    """A tensor that is whole in each process, in parts as those of another of its shape."""
    if not is_sharded(like):
        return tensor
    from torch.distributed.tensor import DTensor, Replicate

    mesh = like.device_mesh  # type: ignore[attr-defined]
    everywhere = DTensor.from_local(tensor, mesh, [Replicate()] * mesh.ndim, run_check=False)
    return everywhere.redistribute(placements=like.placements)  # type: ignore[attr-defined]

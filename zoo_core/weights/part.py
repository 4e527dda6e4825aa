"""The early part of a network as an architecture of its own: what `keep_until` keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo_core.types import Architecture

if TYPE_CHECKING:
    from torch import Tensor, nn

KEEP_UNTIL = "keep_until"  # among the arguments that a model was made with


@dataclass(frozen=True, kw_only=True)
class Part(Architecture):
    """An architecture that ends before the stage `until` of another.

    `whole`: that other one, and its network without values, for so many classes and channels.
    `gone`: the tensors of that network that the part has no more, once one was built.
    """

    until: str
    whole: Callable[[int, int], tuple[Architecture, nn.Module]]
    gone: set[str]


def read_as(
    architecture: Architecture,
    model: nn.Module,
    config: Mapping[str, Any],
    classes: int,
    in_chans: int,
) -> tuple[Architecture, nn.Module]:
    """What the tensors of a checkpoint are of: the model, or the network that it is a part of.

    `config`: the arguments that they were trained with.
    """
    if not isinstance(architecture, Part) or KEEP_UNTIL in config:
        return architecture, model
    return architecture.whole(classes, in_chans)


def without_gone(architecture: Architecture, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors but for those that a part of the network has no more."""
    gone = architecture.gone if isinstance(architecture, Part) else ()
    return {name: tensor for name, tensor in tensors.items() if name not in gone}

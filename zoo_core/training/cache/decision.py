"""Whether a phase trains on cached activations, and why."""

from __future__ import annotations

from torch import Tensor

from zoo_core.errors import RecipeError
from zoo_core.regularize.regularizer import called
from zoo_core.regularize.stack import Stack


def refuse_cache(stack: Stack) -> None:
    """Raise RecipeError, where a cache is insisted on, for regularizers that forbid it."""
    names = other_pictures(stack)
    if names:
        reason = in_each_step(names)
        raise RecipeError(f"cache=True cannot be: {reason}.", hint=hint(reason))


def in_each_step(names: list[str]) -> str:
    verb = "makes" if len(names) == 1 else "make"
    return f"{' and '.join(names)} {verb} other pictures in each step"


def other_pictures(stack: Stack) -> list[str]:
    """The names of regularizers that make other pictures in each step."""
    return [called(member) for member in stack.members if member.changes_pictures]


def hint(reason: str) -> str:
    if "other pictures in" in reason:
        return "Take manifold-mixup, which mixes the cached activations, or leave cache out."
    if "augmented anew" in reason:
        return "Pass augment=False, or a number of fixed views: augment=8."
    if "is frozen" in reason:
        return "Freeze whole stages, norms too, with freeze_until; or leave cache out."
    return 'Leave cache out: "auto" caches where it can.'


def is_channels_last(weight: Tensor) -> bool:
    return weight.ndim == 4 and not weight.is_contiguous()

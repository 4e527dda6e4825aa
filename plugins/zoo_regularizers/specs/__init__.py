"""What each regularizer is called and what its options mean, without torch: one file a place."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo_core.regularize import Regularizer


def lazy(file: str, name: str) -> Callable[..., Regularizer]:
    """A factory that imports the class, and torch with it, when it is first used."""

    def make(**options: Any) -> Regularizer:
        return getattr(import_module(f"zoo_regularizers.{file}"), name)(**options)

    return make

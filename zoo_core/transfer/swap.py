"""The class swap: a module becomes an instance of `(mixin, its own class)`, in place.

So isinstance of the original holds, state-dict keys and the type's name do not change, and copies
and pickles come back swapped.
"""

from __future__ import annotations

import functools
from typing import Any

from torch import nn

from zoo_core.errors import PluginError


class Swapped(nn.Module):
    """Base of the mixins: how a module is copied and pickled whose class no import can find."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        kind = type(self)
        return _blank, (kind._mixin, kind._original), self.__getstate__()  # type: ignore[attr-defined]


def swap_class(model: nn.Module, mixin: type[Swapped]) -> None:
    """Make the module an instance of the mixin too.

    Raises PluginError where it has an attribute of a name that the mixin adds.
    """
    original = getattr(type(model), "_original", type(model))
    taken = [name for name in added_names(mixin) if hasattr(model, name)]
    if taken and not isinstance(model, Swapped):
        raise PluginError(f"{original.__name__} has attributes that zoo needs: {', '.join(taken)}.")
    model.__class__ = _swapped(mixin, original)  # type: ignore[arg-type]


def added_names(mixin: type[Swapped]) -> list[str]:
    """The attributes that a mixin adds to a module, those of `nn.Module` aside."""
    kinds = [kind for kind in mixin.__mro__ if issubclass(kind, Swapped)]
    names = {name for kind in kinds for name in vars(kind) if not name.startswith("__")}
    return sorted(name for name in names if not hasattr(nn.Module, name))


@functools.cache
def _swapped(mixin: type[Swapped], original: type[nn.Module]) -> type[nn.Module]:
    members = {
        "_mixin": mixin,
        "_original": original,
        "__module__": original.__module__,
        "__qualname__": original.__qualname__,
        "__doc__": original.__doc__,
    }
    return type(original.__name__, (mixin, original), members)


def _blank(mixin: type[Swapped], original: type[nn.Module]) -> nn.Module:
    kind = _swapped(mixin, original)  # type: ignore[arg-type]
    return kind.__new__(kind)

"""The class swap: a module becomes an instance of `(mixin, its own class)`, in place.

So isinstance of the original holds, state-dict keys and the type's name do not change, and copies
and pickles come back swapped.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from zoo_core.errors import PluginError


class Swapped(nn.Module):
    """Base of the mixins: how a module is copied and pickled whose class no import can find.

    `_same_everywhere`: names of a mixin that an original may have too, since they mean the same.
    """

    _same_everywhere: ClassVar[tuple[str, ...]] = ()

    _if_absent: ClassVar[Mapping[str, Any]] = {}
    """Members that only a class without them gets."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        cls = type(self)
        return _blank, (cls._mixin, cls._original), self.__getstate__()  # type: ignore[attr-defined]


def swap_class(model: nn.Module, mixin: type[Swapped]) -> None:
    """Make the module an instance of the mixin too.

    Raises PluginError where it has an attribute of a name that the mixin adds.
    """
    original = getattr(type(model), "_original", type(model))
    names = (name for name in added_names(mixin) if name not in mixin._same_everywhere)
    taken = [name for name in names if hasattr(model, name)]
    if taken and not isinstance(model, Swapped):
        raise PluginError(f"{original.__name__} has attributes that zoo needs: {', '.join(taken)}.")
    model.__class__ = _swapped(mixin, original)  # type: ignore[arg-type]


def added_names(mixin: type[Swapped]) -> list[str]:
    """The attributes that a mixin adds to a module, those of `nn.Module` aside."""
    classes = [cls for cls in mixin.__mro__ if issubclass(cls, Swapped)]
    names = {name for cls in classes for name in vars(cls) if not name.startswith("__")}
    return sorted(name for name in names if not hasattr(nn.Module, name))


@functools.cache
def _swapped(mixin: type[Swapped], original: type[nn.Module]) -> type[nn.Module]:
    members = {
        "_mixin": mixin,
        "_original": original,
        "__module__": original.__module__,
        "__qualname__": original.__qualname__,
        "__doc__": original.__doc__,
        **_for_torchscript(mixin, original),
    }
    members |= {n: value for n, value in mixin._if_absent.items() if not hasattr(original, n)}
    return type(original.__name__, (mixin, original), members)


def _for_torchscript(mixin: type[Swapped], original: type[nn.Module]) -> dict[str, Any]:
    """What torch.jit.script reads of a class: those of the original, and what it is to pass over.

    It takes the annotations of the first class that has any, which would be the mixin's.
    """
    annotated = next(filter(None, map(inspect.get_annotations, original.__mro__)), {})
    lists = ("__jit_ignored_attributes__", "__jit_unused_properties__")
    passed = {name: [*getattr(mixin, name, ()), *getattr(original, name, ())] for name in lists}
    return {"__annotations__": dict(annotated), **passed}


def _blank(mixin: type[Swapped], original: type[nn.Module]) -> nn.Module:
    cls = _swapped(mixin, original)  # type: ignore[arg-type]
    return cls.__new__(cls)

"""A model in eval mode without a change to the model: another object with the same tensors.

Modes are attributes of modules. Who sets and restores them on a model that others use changes what
those compute at that moment: another thread's BatchNorm takes the statistics of its own batch, and
moves the running ones for good.
"""

from __future__ import annotations

import copy
import functools
import types
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from zoo_core.transfer.wrappers import uncompiled, unwrapped

Model = TypeVar("Model", bound=nn.Module)


def in_eval_mode(model: Model) -> Model:
    """The model itself where all of it is in eval mode already, else its twin, which is.

    The twin's modules are other objects with the same parameters, buffers and values. What refers
    to one of the model's modules (a patched forward, a hook, a list) refers to its twin there; all
    else is shared, so that hooks run and note where they note. What a forward pass sets as an
    attribute stays on the twin. Compiled parts run uncompiled there. It takes no memory to speak
    of, and its time is a few percent of a forward pass.

    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    >>> twin = in_eval_mode(model)
    >>> twin.training, model.training, twin[0].weight is model[0].weight
    (False, True, True)
    """
    if not any(module.training for module in model.modules()):
        return model
    return _Twins(model).of(model)


def twin_with(model: Model, tensors: Mapping[str, Tensor]) -> Model:
    """A twin in eval mode with these tensors, by the names of an uncompiled state dict, as its own.

    The model keeps those that it has; so does a scripted part of the twin.
    """
    twins = _Twins(model)
    for path, module in model.named_modules(remove_duplicate=False):
        if unwrapped(module) is not module or isinstance(module, torch.jit.ScriptModule):
            continue
        twin, prefix = twins.of(module), uncompiled(f"{path}.") if path else ""
        for kind in ("_parameters", "_buffers"):
            own = {n: tensors.get(prefix + n, t) for n, t in vars(module)[kind].items()}
            vars(twin)[kind] = own
    return twins.of(model)


def outline_twin(model: Model) -> Model:
    """A twin in eval mode with all of the shapes and none of the values, nor any hook.

    For a model whose weights are on several processes: it asks nothing of the others. To be made
    and called under a FakeTensorMode.
    """
    twins = _Twins(model)
    for module in model.modules():
        twin = twins.of(module)
        twin._parameters, twin._buffers = _empty(module._parameters), _empty(module._buffers)
        twin._forward_hooks, twin._forward_pre_hooks = OrderedDict(), OrderedDict()
    return twins.of(model)


def _empty(tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: t if t is None else torch.empty(t.shape, dtype=t.dtype, device=t.device)
        for name, t in tensors.items()
    }


PLAIN = frozenset(
    {type(None), bool, int, float, complex, str, bytes, type, torch.dtype, torch.device, torch.Size}
    | {Tensor, nn.Parameter, types.BuiltinFunctionType, types.ModuleType}
)
MAPPINGS = frozenset((dict, OrderedDict, defaultdict))
CONTAINERS = MAPPINGS | {list, tuple, set, frozenset}
SHARED = ("_parameters",)  # FSDP puts whole parameters there while a module runs


class _Twins:
    """The twin of each module of a model, and of what refers to them."""

    def __init__(self, model: nn.Module) -> None:
        self._of_modules: dict[int, nn.Module] = {}
        self._known: dict[tuple[int, bool], Any] = {}
        self._originals: list[Any] = []  # alive as long as their ids are keys
        modules = list(_parts(model))
        for module in modules:
            inner = unwrapped(module)
            if id(inner) not in self._of_modules:
                self._of_modules[id(inner)] = _blank(inner)
            self._of_modules[id(module)] = self._of_modules[id(inner)]
        for module in modules:
            if unwrapped(module) is module and not isinstance(module, torch.jit.ScriptModule):
                vars(self._of_modules[id(module)]).update(self._attributes(module))

    def _attributes(self, module: nn.Module) -> dict[str, Any]:
        attributes = dict(vars(module))
        for name, value in vars(module).items():
            if name not in SHARED and not _is_plain(value):  # most are: a call for each would cost
                attributes[name] = self.of(value, objects="_hooks" not in name)
        attributes.pop("_compiled_call_impl", None)  # compiled for the module itself
        return {**attributes, "_buffers": dict(module._buffers), "training": False}

    def of(self, value: Any, *, objects: bool = True) -> Any:
        """The value, or one like it that refers to twins where it refers to modules.

        `objects`: look into objects of other classes, too. What a hook writes to is left alone.
        """
        if _is_plain(value):
            return value
        if isinstance(value, nn.Module):
            return self._of_modules.get(id(value), value)
        key = id(value), objects
        if key not in self._known:
            self._originals.append(value)
            self._known[key] = value  # for what refers to itself
            self._known[key] = self._like(value, objects)
        return self._known[key]

    def _like(self, value: Any, objects: bool) -> Any:
        kind = type(value)
        if kind in MAPPINGS:
            return self._mapping(value, objects)
        if kind in CONTAINERS:
            items = [self.of(item, objects=objects) for item in value]
            return value if _same(items, value) else kind(items)
        if kind is types.MethodType:
            parts = (value.__func__, value.__self__)
            func, owner = (self.of(part, objects=objects) for part in parts)
            return value if _same((func, owner), parts) else types.MethodType(func, owner)
        if kind is types.FunctionType:
            return self._function(value, objects)
        if kind is functools.partial:
            held = (value.func, value.args, value.keywords)
            func, args, named = (self.of(part, objects=objects) for part in held)
            return value if _same((func, args, named), held) else kind(func, *args, **named)
        return self._object(value) if objects else value

    def _mapping(self, value: dict[Any, Any], objects: bool) -> dict[Any, Any]:
        own = dict(value)
        other = {key: self.of(item, objects=objects) for key, item in own.items()}
        if _same(other.values(), own.values()):
            return value
        like = copy.copy(value)
        like.update(other)
        return like

    def _function(self, value: types.FunctionType, objects: bool) -> types.FunctionType:
        """A function with what it has closed over, and its defaults."""
        cells = value.__closure__ or ()
        held = [_content(cell) for cell in cells]
        parts = (held, value.__defaults__, value.__kwdefaults__)
        if all(part is None or not part for part in parts):
            return value
        others, defaults, named = (self.of(part, objects=objects) for part in parts)
        if _same((others, defaults, named), parts):
            return value
        closure = tuple(
            cell if was is now else types.CellType(now)
            for cell, was, now in zip(cells, held, others, strict=True)
        )
        code, space, name = value.__code__, value.__globals__, value.__name__
        like = types.FunctionType(code, space, name, defaults, closure)
        like.__kwdefaults__ = named
        vars(like).update(vars(value))
        return like

    def _object(self, value: Any) -> Any:
        """An object with modules for attributes; those that it only knows from afar stay."""
        own = dict(getattr(value, "__dict__", ()))
        if not own or isinstance(value, type):
            return value
        other = {name: self.of(item, objects=False) for name, item in own.items()}
        if _same(other.values(), own.values()):
            return value
        like = copy.copy(value)
        vars(like).update(other)
        return like


def _is_plain(value: Any) -> bool:
    """Whether it cannot refer to a module."""
    kind = type(value)
    return kind in PLAIN or (kind in CONTAINERS and not value)


def _parts(model: nn.Module) -> Iterator[nn.Module]:
    """All modules, but those inside of scripted ones, which are copied whole."""
    seen: set[int] = set()
    waiting = [model]
    while waiting:
        module = waiting.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        yield module
        if not isinstance(module, torch.jit.ScriptModule):
            waiting += [child for child in module._modules.values() if child is not None]


def _blank(module: nn.Module) -> nn.Module:
    """The twin, without attributes as yet; a scripted module keeps its own in C++."""
    if not isinstance(module, torch.jit.ScriptModule):
        return object.__new__(type(module))
    return copy.deepcopy(module).eval() if any(m.training for m in module.modules()) else module


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that has no value as yet
        return None


def _same(ours: Any, theirs: Any) -> bool:
    return all(one is other for one, other in zip(ours, theirs, strict=True))

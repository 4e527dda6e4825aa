"""What feeds a layer: for a stage by its declaration, for any other module by autograd's graph.

Whatever lies in the graph behind the inputs of the layer's first call feeds it. That is right for
residual connections, Inception branches and parallel paths alike, whatever the order in which
modules are registered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.autograd.graph import Node

from zoo_core.errors import FreezeError
from zoo_core.transfer.tracing import behind, watch
from zoo_core.types import Stage


@dataclass(frozen=True)
class Feeding:
    """What feeds a layer, by name: parameters, and the modules to keep in eval mode."""

    params: tuple[str, ...]
    modules: tuple[str, ...]


def declared(model: nn.Module, stages: Collection[Stage]) -> Feeding:
    """What some stages own, and the modules that they own or run."""
    params = [name for name in _parameters(model) if any(stage.has(name) for stage in stages)]
    paths = [p for stage in stages for p in (*stage.owns, *stage.run) if isinstance(p, str)]
    reach = Stage("reach", run=(), owns=tuple(paths))
    inside = {name for name, _ in model.named_modules() if reach.has(name)}
    outside = {name for name, module in model.named_modules() if _is_leaf(module)} - inside
    return Feeding(tuple(params), _wholly(model, inside, outside))


def traced(model: nn.Module, layer: str, example: Any) -> Feeding:
    """What lies behind the inputs of a module in the graph of one forward pass.

    Raises FreezeError where the module is never called, or where a parameter lies on both sides.
    """
    trace = watch(model, layer, example)
    if not trace.inputs:
        raise _never_called(model, layer)
    before = behind(trace.inputs[0])
    after = behind(trace.final) - before
    _refuse_feedback(model.get_submodule(layer), trace.inputs[1:], layer)
    _refuse_double_use(model, before, after, layer)
    params = _names(model, before)
    ahead = {name for name, nodes in trace.outputs.items() if not before.isdisjoint(nodes)}
    inside = ahead | _owners(params)
    called = {name for name in trace.outputs if _is_leaf(model.get_submodule(name))}
    outside = (called | _owners(_names(model, after)) | {layer}) - inside
    modules = (*_wholly(model, inside, outside), *_with_statistics(model, _owners(params)))
    return Feeding(tuple(params), modules)


def tied(name: str, use: str, layer: str) -> FreezeError:
    """The error for a parameter that is needed on both sides of the cut."""
    return FreezeError(
        f'{name} feeds "{layer}" and is also used after it ({use}): '
        "it cannot be frozen and trained at once.",
        hint="Freeze until a layer before its first use or after its last, or give one a copy.",
    )


# --- modules -------------------------------------------------------------------------------------


def _wholly(model: nn.Module, inside: set[str], outside: set[str]) -> tuple[str, ...]:
    """Modules with something inside at or below them and nothing outside, and all their parts.

    A container may drop things in its own forward, and have parts that an eval pass never calls.
    """
    whole = _with_ancestors(inside) - _with_ancestors(outside)
    names = [name for name, _ in model.named_modules() if name]
    return tuple(name for name in names if not whole.isdisjoint(_ancestors(name)))


def _with_statistics(model: nn.Module, names: Iterable[str]) -> list[str]:
    """Those that have buffers of their own: a norm may have parts, as timm's has its activation."""
    own = {name: model.get_submodule(name).buffers(recurse=False) for name in names if name}
    return [name for name, buffers in own.items() if next(buffers, None) is not None]


def _with_ancestors(names: Iterable[str]) -> set[str]:
    return {ancestor for name in names for ancestor in _ancestors(name)}


def _ancestors(name: str) -> list[str]:
    """`a.b.c`, `a.b` and `a`."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _owners(params: Iterable[str]) -> set[str]:
    return {name.rpartition(".")[0] for name in params}


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None


# --- parameters ----------------------------------------------------------------------------------


def _parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    return dict(model.named_parameters(remove_duplicate=False))


def _names(model: nn.Module, nodes: set[Node]) -> list[str]:
    """The parameters among some nodes, a tied one by each of its names."""
    variables = {id(node.variable) for node in nodes if hasattr(node, "variable")}
    return [name for name, parameter in _parameters(model).items() if id(parameter) in variables]


def _refuse_feedback(target: nn.Module, later: list[set[Node]], layer: str) -> None:
    """A layer whose own parameters feed its later calls lies on both sides of the cut."""
    if any(_names(target, behind(inputs)) for inputs in later):
        raise FreezeError(
            f'"{layer}" is called more than once, and its later calls see its own output.',
            hint="Freeze until a layer that is called once.",
        )


def _refuse_double_use(model: nn.Module, before: set[Node], after: set[Node], layer: str) -> None:
    used = {other for node in after for other, _ in node.next_functions if other in before}
    for name in _names(model, used):
        raise tied(name, "a second use", layer)


def _never_called(model: nn.Module, layer: str) -> FreezeError:
    parts = [f"{layer}.{name}" for name, _ in model.get_submodule(layer).named_children()]
    return FreezeError(
        f'"{layer}" is never called in a forward pass, so nothing feeds it.',
        hint=f"Try one of its parts: {' '.join(parts[:4])}." if parts else "Choose another layer.",
    )

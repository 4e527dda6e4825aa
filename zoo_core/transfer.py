"""freeze_until: keep what feeds a layer as it is, train the layer and everything after it.

What feeds a layer is read from autograd's own graph of one small forward pass, never guessed from
registration order: that is right for residual connections, Inception branches and parallel paths
alike. Where a model declares stages, the declaration gives the same answer without a pass (and the
contract tests compare the two).

Frozen means: `requires_grad` is False, `grad` is None, and the modules are in eval mode and stay
there through every later `train()`, so that neither parameters nor BatchNorm statistics move.
Modules are never swapped."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node, get_gradient_edge
from torch.utils._pytree import tree_leaves

from zoo_core.chain import before, owner
from zoo_core.errors import FreezeError, PluginError, UnknownName, did_you_mean
from zoo_core.types import Stage

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class Freezing:
    """What is frozen, by name; `flags`: the requires_grad of every parameter before the first
    freeze.
    """

    layer: str
    params: tuple[str, ...]
    modules: tuple[str, ...]
    flags: Mapping[str, bool]


class Freezable(nn.Module):
    """What zoo adds to any module: freezing that survives `train()`, and optimizer groups that
    know depth.
    """

    _freezing: Freezing | None = None

    def freeze_until(
        self: Model, layer: str, *, train_norm: bool = False, example: Any = None
    ) -> Model:
        """Train `layer` and everything after it; freeze everything that feeds it. Returns the
        model.

        `layer`: a stage name or any dotted module path. `train_norm`: let the affine parameters of
        frozen norms learn. `example`: an input for the one forward pass that a module path needs
        (default: zeros of the model's input). Calls are absolute: a later one replaces an earlier
        one. Raises UnknownName, FreezeError."""
        _freeze(self, layer, train_norm, example)
        return self

    def unfreeze(self: Model) -> Model:
        """Restore the requires_grad flags that stood before the first freeze, and the modes.
        Returns the model.
        """
        freezing = self._freezing
        if freezing is not None:
            self._freezing = None
            for name, parameter in self.named_parameters():
                parameter.requires_grad_(freezing.flags.get(name, True))
            for name in freezing.modules:
                _module(self, name).training = self.training
        return self

    @property
    def frozen(self) -> tuple[str, ...]:
        """Names of the frozen parameters, in the order of the state dict; empty when nothing is
        frozen.
        """
        freezing = self._freezing
        if freezing is None:
            return ()
        held = set(freezing.params)
        return tuple(n for n, p in self.named_parameters() if n in held and not p.requires_grad)

    def train(self: Model, mode: bool = True) -> Model:
        """Set the mode as usual, and keep what is frozen in eval mode."""
        super().train(mode)
        if self._freezing is not None:
            _hold_in_eval(self, self._freezing)
        return self

    def param_groups(
        self,
        lr: float,
        decay: float = 0.75,
        weight_decay: float | None = None,
        no_decay: str | None = "norm-and-bias",
    ) -> list[dict[str, Any]]:
        """Plain optimizer groups of the trainable parameters, the learning rate falling with the
        distance to the head.

        The last stage that trains gets `lr`, each one before it `decay` times the rate of the
        next. `weight_decay`: None leaves it to the optimizer. `no_decay="norm-and-bias"`: none on
        tensors of fewer than two dimensions."""
        return _param_groups(self, lr, decay, weight_decay, no_decay)

    def __reduce_ex__(self, protocol: Any) -> Any:
        kind = type(self)
        return _blank, (kind._mixin, kind._original), self.__getstate__()  # type: ignore[attr-defined]


def freeze_until(
    model: nn.Module, layer: str, *, example: Any = None, train_norm: bool = False
) -> nn.Module:
    """Freeze everything that feeds `layer`, in any module: zoo's or not. The module is changed in
    place and returned.

    `example`: a tensor (or a tuple of arguments) for one small forward pass; models of zoo need
    none. Raises UnknownName for a layer that is not there, FreezeError where the cut cannot be
    made."""
    if not isinstance(model, Freezable):
        if not layer or not _has_module(model, layer):
            raise _unknown_layer(model, layer)
        if example is None:
            raise FreezeError(
                "A module that zoo did not create needs an example input, to see what feeds a layer.",
                hint="Pass example=torch.zeros(1, 3, 224, 224), or whatever the model takes.",
            )
        swap_class(model, Freezable)
    return model.freeze_until(layer, train_norm=train_norm, example=example)  # type: ignore[operator]


# --- the class swap ------------------------------------------------------------------------------


def swap_class(model: nn.Module, mixin: type[Freezable]) -> None:
    """Make the module an instance of `(mixin, its own class)` too: isinstance holds, state-dict
    keys do not change.
    """
    original = getattr(type(model), "_original", type(model))
    taken = [
        name for name in _added(mixin) if hasattr(model, name) and not hasattr(nn.Module, name)
    ]
    if taken and not isinstance(model, Freezable):
        raise PluginError(f"{original.__name__} has attributes that zoo needs: {', '.join(taken)}.")
    model.__class__ = _swapped(mixin, original)


def _added(mixin: type) -> list[str]:
    kinds = [kind for kind in mixin.__mro__ if issubclass(kind, Freezable)]
    return sorted({name for kind in kinds for name in vars(kind) if not name.startswith("__")})


@functools.cache
def _swapped(mixin: type[Freezable], original: type[nn.Module]) -> type[nn.Module]:
    members = {"_mixin": mixin, "_original": original, "__module__": original.__module__}
    return type(original.__name__, (mixin, original), members)


def _blank(mixin: type[Freezable], original: type[nn.Module]) -> nn.Module:
    kind = _swapped(mixin, original)
    return kind.__new__(kind)


# --- freezing ------------------------------------------------------------------------------------


def _freeze(model: Any, layer: str, train_norm: bool, example: Any) -> None:
    chain: Mapping[str, Stage] = getattr(model, "chain", {})
    if layer in chain:
        feeding = _declared(model, before(chain, layer))
    elif _has_module(model, layer):
        feeding = _traced(model, layer, example)
    else:
        raise _unknown_layer(model, layer)
    params, modules = feeding
    if not params:
        raise FreezeError(
            f'Nothing feeds "{layer}": freezing until there would freeze nothing.',
            hint=_next_hint(model, chain),
        )
    _refuse_ties(model, params, layer)
    flags = model._freezing.flags if model._freezing else _flags(model)
    model.unfreeze()
    norms = _norm_parameters(model) if train_norm else set()
    frozen = tuple(name for name in params if name not in norms)
    model._freezing = Freezing(layer, frozen, _with_containers(model, modules), flags)
    held = set(frozen)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if name in held:
            parameter.requires_grad_(False)
            parameter.grad = None
        elif parameter.is_floating_point():
            parameter.requires_grad_(True)
    _hold_in_eval(model, model._freezing)


def _flags(model: nn.Module) -> dict[str, bool]:
    return {name: p.requires_grad for name, p in model.named_parameters(remove_duplicate=False)}


def _hold_in_eval(model: nn.Module, freezing: Freezing) -> None:
    for name in freezing.modules:
        _module(model, name).training = False


def _module(model: nn.Module, name: str) -> nn.Module:
    try:
        return model.get_submodule(name)
    except AttributeError:  # replaced since, as reset_head does: nothing to hold
        return nn.Identity()


def _declared(model: nn.Module, stages: list[Stage]) -> tuple[list[str], set[str]]:
    """Parameters and leaf modules of some stages, by declaration."""
    params = [n for n, _ in model.named_parameters(remove_duplicate=False) if _any(stages, n)]
    runs = [step for stage in stages for step in stage.run if isinstance(step, str)]
    ran = Stage("", run=tuple(runs)) if runs else None
    modules = {
        name
        for name, module in model.named_modules()
        if not _children(module) and (_any(stages, name) or (ran is not None and ran.has(name)))
    }
    return params, modules


def _any(stages: Iterable[Stage], name: str) -> bool:
    return any(stage.has(name) for stage in stages)


def _children(module: nn.Module) -> bool:
    return next(module.children(), None) is not None


def _with_containers(model: nn.Module, leaves: set[str]) -> tuple[str, ...]:
    """The leaves, and every container all of whose leaves are among them: it may drop things in
    its own forward.
    """
    whole = set(leaves)
    for name, module in reversed(list(model.named_modules())):
        children = [f"{name}.{child}" if name else child for child, _ in module.named_children()]
        if name and children and all(child in whole for child in children):
            whole.add(name)
    return tuple(sorted(whole))


def _refuse_ties(model: nn.Module, params: list[str], layer: str) -> None:
    frozen = set(params)
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    for tied in names.values():
        inside = [name for name in tied if name in frozen]
        if inside and len(inside) < len(tied):
            outside = next(name for name in tied if name not in frozen)
            raise _tied(inside[0], outside, layer)


def _tied(inside: str, outside: str, layer: str) -> FreezeError:
    return FreezeError(
        f'{inside} feeds "{layer}" and is also used after it ({outside}): it cannot be frozen and trained at once.',
        hint="Freeze until a layer before its first or after its last use, or give one side a copy.",
    )


def _norm_parameters(model: nn.Module) -> set[str]:
    return {
        f"{name}.{own}"
        for name, module in model.named_modules()
        if any("norm" in kind.__name__.lower() for kind in type(module).__mro__)
        for own, _ in module.named_parameters(recurse=False)
    }


def _has_module(model: nn.Module, layer: str) -> bool:
    return bool(layer) and layer in dict(model.named_modules(remove_duplicate=False))


def _unknown_layer(model: nn.Module, layer: str) -> UnknownName:
    chain: Mapping[str, Stage] = getattr(model, "chain", {})
    paths = [name for name, _ in model.named_modules() if name]
    near = did_you_mean(layer, chain) or did_you_mean(layer, paths)
    order = (
        f"Stages in order: {' '.join(chain)}." if chain else f"Top level: {' '.join(_top(model))}."
    )
    return UnknownName(f'No layer "{layer}". {near}'.strip(), hint=order)


def _top(model: nn.Module) -> list[str]:
    return [name for name, _ in model.named_children()]


def _next_hint(model: nn.Module, chain: Mapping[str, Stage]) -> str:
    names = list(chain)[1:] or _top(model)[1:]
    return f"Freeze until a later layer: {' '.join(names)}. To train everything, do not freeze."


# --- asking autograd -----------------------------------------------------------------------------


def _traced(model: nn.Module, layer: str, example: Any) -> tuple[list[str], set[str]]:
    """Parameters and leaf modules that feed a module, from the graph of one forward pass."""
    calls: list[list[Node]] = []
    outputs: dict[str, list[Node]] = {}

    def note_inputs(module: nn.Module, args: Any, kwargs: Any) -> None:
        calls.append(_nodes((args, kwargs)))

    def mark_output(name: str) -> Any:
        # A clone has a node of its own even where the module returns its input, as dropout does in
        # eval mode.
        def hook(module: nn.Module, args: Any, output: Any) -> Any:
            if not isinstance(output, Tensor) or not output.requires_grad:
                return None
            marked = output.clone()
            outputs.setdefault(name, []).extend(_nodes(marked))
            return marked

        return hook

    leaves = {n: m for n, m in model.named_modules() if not _children(m) and not _trains(m)}
    target = model.get_submodule(layer)
    handles = [target.register_forward_pre_hook(note_inputs, with_kwargs=True)]
    handles += [
        m.register_forward_hook(mark_output(n)) for n, m in leaves.items() if m is not target
    ]
    try:
        with evaluating(model), _everything_requires_grad(model), torch.enable_grad():
            final = _nodes(model(*_arguments(model, example)))
    finally:
        for handle in handles:
            handle.remove()
    if not calls:
        raise _never_called(model, layer)
    behind = _behind(calls[0])
    _refuse_feedback(target, calls[1:], layer)
    _refuse_double_use(model, final, behind, layer)
    params = _parameter_names(model, behind)
    modules = {name for name, nodes in outputs.items() if any(node in behind for node in nodes)}
    fed = set(params)
    for name, module in model.named_modules():
        own = [f"{name}.{p}" if name else p for p, _ in module.named_parameters(recurse=False)]
        if name and not _children(module) and any(p in fed for p in own):
            modules.add(name)
    return params, modules


def _trains(module: nn.Module) -> bool:
    return next(module.parameters(recurse=False), None) is not None


def _arguments(model: Any, example: Any) -> tuple[Any, ...]:
    first = next(model.parameters())
    if example is None:
        size = getattr(model, "input", None)
        if size is None:
            raise FreezeError(
                "This module needs an example input, to see what feeds a layer.",
                hint="Pass example=torch.zeros(1, 3, 224, 224), or whatever the model takes.",
            )
        example = torch.zeros(1, *size.size, dtype=first.dtype)
    values = example if isinstance(example, tuple) else (example,)
    return tuple(_tracked(value, first.device) for value in values)


def _tracked(value: Any, device: torch.device) -> Any:
    if not isinstance(value, Tensor):
        return value
    value = value.detach().to(device)
    # The clone is no leaf: a first layer may work in place.
    return value.requires_grad_().clone() if value.is_floating_point() else value


def _nodes(values: Any) -> list[Node]:
    tensors = [
        leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor) and leaf.requires_grad
    ]
    return [get_gradient_edge(tensor).node for tensor in tensors]


def _behind(nodes: Iterable[Node]) -> set[Node]:
    """Every node of the graph that the given ones depend on, themselves included."""
    seen: set[Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting.extend(other for other, _ in node.next_functions if other is not None)
    return seen


def _parameter_names(model: nn.Module, nodes: set[Node]) -> list[str]:
    found = {id(node.variable) for node in nodes if hasattr(node, "variable")}
    return [n for n, p in model.named_parameters(remove_duplicate=False) if id(p) in found]


def _refuse_feedback(target: nn.Module, later: list[list[Node]], layer: str) -> None:
    own = {id(p) for p in target.parameters()}
    for call in later:
        if any(id(getattr(node, "variable", None)) in own for node in _behind(call)):
            raise FreezeError(
                f'"{layer}" is called more than once, and its later calls see its own output.',
                hint="Freeze until a layer that is called once.",
            )


def _refuse_double_use(model: nn.Module, final: list[Node], behind: set[Node], layer: str) -> None:
    """A parameter with one use behind the cut and another after it can neither be frozen nor
    trained.
    """
    for node in _behind(final) - behind:
        for other, _ in node.next_functions:
            if other is not None and other in behind and hasattr(other, "variable"):
                name = next((n for n, p in model.named_parameters() if p is other.variable), None)
                if name is not None:
                    raise _tied(name, "a second use", layer)


def _never_called(model: nn.Module, layer: str) -> FreezeError:
    children = [f"{layer}.{name}" for name, _ in model.get_submodule(layer).named_children()]
    inner = (
        f"Try one of its parts: {' '.join(children[:4])}." if children else "Choose another layer."
    )
    return FreezeError(
        f'"{layer}" is never called in a forward pass, so nothing feeds it.', hint=inner
    )


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode inside; every module's own mode again outside, without calling `train()`."""
    modes = [(module, module.training) for module in model.modules()]
    for module, _ in modes:
        module.training = False
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextlib.contextmanager
def _everything_requires_grad(model: nn.Module) -> Iterator[None]:
    flags = [(p, p.requires_grad) for p in model.parameters() if p.is_floating_point()]
    for parameter, _ in flags:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


# --- optimizer groups ----------------------------------------------------------------------------


def _param_groups(
    model: Any, lr: float, decay: float, weight_decay: float | None, no_decay: str | None
) -> list[dict[str, Any]]:
    if no_decay not in (None, "norm-and-bias"):
        raise UnknownName(f'no_decay is "norm-and-bias" or None, not {no_decay!r}.')
    chain: Mapping[str, Stage] = getattr(model, "chain", {})
    by_stage: dict[str, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            by_stage.setdefault(owner(chain, name) or "", []).append(parameter)
    order = [name for name in (*chain, "") if name in by_stage]
    groups = []
    for distance, stage in enumerate(reversed(order)):
        plain = [p for p in by_stage[stage] if no_decay and p.ndim < 2]
        decayed = [p for p in by_stage[stage] if not (no_decay and p.ndim < 2)]
        rate = {"lr": lr * decay**distance, "stage": stage}
        given = {} if weight_decay is None else {"weight_decay": weight_decay}
        groups += [{"params": decayed, **rate, **given}] if decayed else []
        groups += [{"params": plain, **rate, "weight_decay": 0.0}] if plain else []
    return groups

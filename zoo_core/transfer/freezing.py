"""freeze_until: keep what feeds a layer as it is, train the layer and everything after it.

Frozen means: `requires_grad` is False, `grad` is None, and the modules are in eval mode and stay
there through every later `train()`, so that neither parameters nor BatchNorm statistics move.
Modules are never swapped. What feeds a layer is found in `feeding.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, overload

from torch import nn
from torch.nn.parameter import is_lazy

from zoo_core.chain import before, chain_of, owner
from zoo_core.pages.fragment import fragment, unless_it_fails
from zoo_core.transfer.feeding import Feeding, declared, tied, traced
from zoo_core.transfer.modes import can_learn
from zoo_core.transfer.no_such_layer import no_name, nothing_feeds, unknown_layer
from zoo_core.transfer.param_groups import param_groups
from zoo_core.transfer.parts import as_grid, how_much_trains, parts_of
from zoo_core.transfer.swap import Swapped, swap_class


@dataclass(frozen=True)
class Freezing:
    """What is frozen, by name.

    `flags`: the requires_grad of every parameter before the first freeze.
    """

    layer: str
    params: tuple[str, ...]
    modules: tuple[str, ...]
    flags: Mapping[str, bool]


class Freezable(Swapped):
    """What zoo adds to any module: freezing that survives `train()`, and groups by depth.

    >>> import zoo_core as zoo
    >>> model = zoo.create("lenet5").freeze_until("fc2")
    >>> len(model.frozen), model.train().conv1.training, model.head.training
    (6, False, True)
    >>> [group["lr"] for group in model.param_groups(lr=0.1, decay=0.5)]
    [0.1, 0.1, 0.05, 0.05]
    >>> model.unfreeze().frozen
    ()
    """

    _freezing: Freezing | None = None
    _same_everywhere: ClassVar[tuple[str, ...]] = ("_repr_html_",)
    # torch.jit.script has no type for these,
    __jit_ignored_attributes__: ClassVar = ["_freezing", "_same_everywhere"]
    __jit_unused_properties__: ClassVar = ["frozen"]  # and compiles properties that nobody calls

    def freeze_until(self, layer: str, *, train_norm: bool = False, example: Any = None) -> Self:
        """Train `layer` and everything after it; freeze all that feeds it. Returns the model.

        `layer`: a stage name or any dotted module path. `train_norm`: let the affine parameters of
        frozen norms learn. `example`: a tensor, or a tuple of arguments, for the one forward pass
        that a module path needs (default: zeros of the model's input). Calls are absolute: a later
        one replaces an earlier one. Raises UnknownName, FreezeError; then nothing has changed.
        """
        _hold(self, layer, _feeding(self, layer, example), train_norm)
        return self

    def unfreeze(self) -> Self:
        """Restore the requires_grad flags of before the first freeze. Returns the model.

        The modules that were kept in eval mode get the mode of the model.
        """
        freezing = self._freezing
        if freezing is not None:
            self._freezing = None
            for name, parameter in self.named_parameters():
                parameter.requires_grad_(freezing.flags.get(name, parameter.requires_grad))
            _set_modes(self, freezing.modules, self.training)
        return self

    @property
    def frozen(self) -> tuple[str, ...]:
        """Names of the frozen parameters, in the order of the state dict."""
        frozen = set(self._freezing.params) if self._freezing else set()
        return tuple(n for n, p in self.named_parameters() if n in frozen and not p.requires_grad)

    def train(self, mode: bool = True) -> Self:
        """Set the mode as usual, and keep what is frozen in eval mode. `mode`: False for eval.

        What somebody else has unfrozen since, as timm's and fastai's `unfreeze` do, is not.
        """
        super().train(mode)
        if self._freezing is not None:
            _set_modes(self, still_frozen(self, self._freezing), False)
        return self

    def param_groups(
        self,
        lr: float,
        decay: float = 0.75,
        weight_decay: float | None = None,
        no_decay: str | None = "norm-and-bias",
    ) -> list[dict[str, Any]]:
        """Plain optimizer groups of the trainable parameters, with learning rates by depth.

        The last stage that trains gets `lr`, each one before it `decay` times the rate of the
        next. `weight_decay`: None leaves it to the optimizer. `no_decay="norm-and-bias"`: none on
        tensors of fewer than two dimensions.
        """
        return param_groups(self, lr, decay, weight_decay, no_decay)

    @unless_it_fails
    def _repr_html_(self) -> str:
        parts = parts_of(self)
        return fragment([f"{how_much_trains(parts)}."], as_grid(parts, "part"),
                        title=type(self).__name__)  # fmt: skip


FreezableT = TypeVar("FreezableT", bound=Freezable)

if TYPE_CHECKING:

    class Frozen(Freezable, Any):
        """A Freezable and what the module was before: Python has no type for both, so it is Any."""

        def __getattr__(self, name: str) -> Any: ...


@overload  # the second is of all other modules, which mypy cannot say
def freeze_until(  # type: ignore[overload-overlap]
    model: FreezableT, layer: str, *, example: Any = None, train_norm: bool = False
) -> FreezableT: ...
@overload
def freeze_until(
    model: nn.Module, layer: str, *, example: Any = None, train_norm: bool = False
) -> Frozen: ...
def freeze_until(
    model: nn.Module, layer: str, *, example: Any = None, train_norm: bool = False
) -> nn.Module:
    """Freeze everything that feeds `layer`, in any module: zoo's or not.

    `model` is changed in place and returned, and has the methods of a Freezable from then on.
    `example`: a tensor (or a tuple of arguments) for one small forward pass; models of zoo need
    none. `train_norm`: let the affine parameters of frozen norms learn. Raises UnknownName for a
    layer that is not there, FreezeError where the cut cannot be made; then nothing has changed.

    >>> import torch, zoo_core as zoo
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> zoo.freeze_until(net, "2", example=torch.zeros(1, 4)).frozen
    ('0.weight', '0.bias')
    """
    plain = getattr(model, "_orig_mod", model)  # what torch.compile has wrapped
    feeding = _feeding(plain, layer, example)
    if not isinstance(plain, Freezable):
        swap_class(plain, Freezable)
    _hold(plain, layer, feeding, train_norm)
    return model


# --- what to freeze ------------------------------------------------------------------------------


def _feeding(model: nn.Module, layer: str, example: Any) -> Feeding:
    """What feeds a layer.

    Raises UnknownName, or FreezeError where nothing does or a parameter is needed on both sides.
    """
    chain = chain_of(model)
    if not isinstance(layer, str):
        raise no_name(model, layer)
    if layer in chain:
        feeding = declared(model, before(chain, layer))
    elif layer and layer in dict(model.named_modules(remove_duplicate=False)):
        feeding = traced(model, layer, example)
    else:
        raise unknown_layer(model, layer)
    if not feeding.params:
        raise nothing_feeds(model, layer)
    _refuse_ties(model, set(feeding.params), layer)
    return feeding


def _refuse_ties(model: nn.Module, frozen: set[str], layer: str) -> None:
    """No tensor may have a name on either side, nor two parameters that share their memory."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        memory = 0 if is_lazy(parameter) else parameter.data_ptr()
        names.setdefault(memory or id(parameter), []).append(name)
    for shared in names.values():
        inside = [name for name in shared if name in frozen]
        outside = [name for name in shared if name not in frozen]
        if inside and outside:
            raise tied(inside[0], outside[0], layer)


# --- holding it ----------------------------------------------------------------------------------


def _hold(model: Any, layer: str, feeding: Feeding, train_norm: bool) -> None:
    norms = norm_modules(model) if train_norm else set()
    frozen = [name for name in feeding.params if name.rpartition(".")[0] not in norms]
    hold(model, layer, frozen, feeding.modules)


def hold(model: Any, layer: str, params: Iterable[str], modules: Iterable[str]) -> None:
    """Freeze some parameters and keep some modules in eval mode; all else trains.

    It replaces what was frozen before. `layer`: what to call it.
    """
    flags = model._freezing.flags if model._freezing else _flags(model)
    model.unfreeze()
    frozen = dict.fromkeys(params)
    model._freezing = Freezing(layer, tuple(frozen), tuple(modules), flags)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if name in frozen:
            parameter.requires_grad_(False)
            parameter.grad = None
        elif can_learn(parameter):
            parameter.requires_grad_(True)
    _set_modes(model, model._freezing.modules, False)


def _flags(model: nn.Module) -> dict[str, bool]:
    return {name: p.requires_grad for name, p in model.named_parameters(remove_duplicate=False)}


def _set_modes(model: nn.Module, names: Iterable[str], training: bool) -> None:
    modules = dict(model.named_modules())
    for name in names:
        if name in modules:  # gone when it was replaced since, as reset_head does
            modules[name].training = training


def still_frozen(model: nn.Module, freezing: Freezing) -> tuple[str, ...]:
    """The modules to keep in eval mode: all but those of blocks that learn again.

    A block learns again where none of its parameters is frozen any more. Norms do not count where
    a block has others: they may learn in a frozen one, as with `train_norm` and in fastai.
    """
    frozen = set(freezing.params)
    held = {name for name, p in model.named_parameters() if name in frozen and not p.requires_grad}
    if held.issuperset(frozen):
        return freezing.modules
    norms = norm_modules(model)
    telling = {name for name in frozen if name.rpartition(".")[0] not in norms} or frozen
    blocks, resting = _blocks(telling), _blocks(telling & held)
    chain = chain_of(model)

    def rests(module: str) -> bool:
        block = next((path for path in _upwards(module) if path in blocks), "")
        if block:
            return block in resting
        stage = chain.get(owner(chain, module) or "")
        return any(stage is None or stage.has(name) for name in telling & held)

    return tuple(module for module in freezing.modules if rests(module))


def _blocks(parameters: Iterable[str]) -> set[str]:
    """Every module that has one of the parameters, at any depth, but for the model itself."""
    return {path for name in parameters for path in _upwards(name.rpartition(".")[0])}


def _upwards(path: str) -> Iterator[str]:
    """The path, and those above it.

    >>> list(_upwards("layer1.0.bn1"))
    ['layer1.0.bn1', 'layer1.0', 'layer1']
    """
    while path:
        yield path
        path = path.rpartition(".")[0]


def norm_modules(model: nn.Module) -> set[str]:
    """The paths of the layers that normalise and have parameters of their own."""
    return {
        name
        for name, module in model.named_modules()
        if any("norm" in cls.__name__.lower() for cls in type(module).__mro__)
        and any(True for _ in module.named_parameters(recurse=False))
    }

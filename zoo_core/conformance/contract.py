"""The contract of stages, point by point: what every architecture keeps.

A check takes a Specimen and leaves its model as it was. It raises AssertionError that says what
does not hold, where, and what to change.
"""

from __future__ import annotations

import copy
import functools
import pickle
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from zoo_core.chain import owner, run_stages
from zoo_core.conformance.cases import NotHere, expect
from zoo_core.conformance.specimen import CLASSES, Specimen, attempt, takes_pictures
from zoo_core.errors import FreezeError
from zoo_core.model.zoo_model import ZooModel
from zoo_core.transfer.modes import modes_kept
from zoo_core.types import Stage

Check = Callable[[Specimen], str | None]


# --- what build() gives --------------------------------------------------------------------------


def builds(specimen: Specimen) -> str:
    """build() gives a module that takes pictures, and stages() a chain that ends with `head`."""
    found = attempt(specimen)
    found.check("builds")
    size = "x".join(map(str, specimen.input.size))
    return f"{found.parameters:,} parameters, for pictures of {size}"


def no_attribute_shadowed(specimen: Specimen) -> None:
    """No name that zoo adds to a model is an attribute of the original class."""
    attempt(specimen).check("no attribute shadowed")


def num_classes(specimen: Specimen) -> None:
    """build() gives as many scores as num_classes says."""
    _gives_scores(specimen.model, specimen)


def in_chans(specimen: Specimen) -> None:
    """build() takes pictures of as many channels as in_chans says."""
    own = specimen.model.input
    other = own.with_channels(1 if own.size[0] != 1 else 4)
    takes_pictures(specimen.fresh(other), other)


def _gives_scores(model: nn.Module, specimen: Specimen) -> None:
    spec = specimen.input
    scores = takes_pictures(model, spec)
    given, shape = f"in_chans={spec.size[0]}, num_classes={CLASSES}", tuple(scores.shape)
    fault = f"build({given}) gives scores of shape {shape} for two pictures"
    expect(shape == (2, CLASSES), f"{fault}: pass num_classes on to the last layer.")


# --- stages --------------------------------------------------------------------------------------


def stages_own_every_tensor(specimen: Specimen) -> None:
    """Every parameter and every buffer belongs to exactly one stage."""
    model = specimen.model
    buffers = [name for name, _ in model.named_buffers()]  # also those that are not persistent
    for name in dict.fromkeys([*model.state_dict(), *buffers]):
        owners = [stage.name for stage in model.chain.values() if stage.has(name)]
        expect(bool(owners), f"{name} belongs to no stage: add the stage, or its `owns`.")
        expect(len(owners) == 1, f"{name} belongs to {' and '.join(owners)}: leave it in one.")


def stages_compose(specimen: Specimen) -> str:
    """The stages one after the other are the forward pass, bit for bit.

    In eval mode, and with one seed in train mode.
    """
    model, fault = specimen.model, _where_it_breaks(specimen)
    expect(not fault, fault)
    buffers = {name: tensor.clone() for name, tensor in model.named_buffers()}
    try:
        with modes_kept(model):
            for training in (False, True):
                _composes(model, specimen.x, training)
    finally:
        with torch.no_grad():
            for name, tensor in model.named_buffers():
                tensor.copy_(buffers[name])
    return " -> ".join(model.chain)


@functools.lru_cache(maxsize=1)
def _where_it_breaks(specimen: Specimen) -> str:
    """Which stage does not take what comes out of the one before; nothing where all do."""
    model, x = specimen.model, specimen.x
    with torch.no_grad():
        for stage in model.chain.values():
            shape = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
            try:
                x = run_stages(model, [stage], x.clone())
            except Exception as error:
                reason = str(error).strip().partition("\n")[0].rstrip(".")
                advice = "Is a step missing in stages(), such as a flatten, or a whole stage,"
                advice += " or is the order another than in forward()?"
                return f'"{stage.name}" does not take {shape}: {reason}. {advice}'
    return ""


def can_be_composed(specimen: Specimen) -> ZooModel:
    """The model. Raises NotHere where pictures do not go through its stages."""
    if _where_it_breaks(specimen):
        raise NotHere('not looked at: see "stages compose".')
    return specimen.model


def _composes(model: ZooModel, x: Tensor, training: bool) -> None:
    model.train(training)
    results = []
    for forward in (model, lambda t: run_stages(model, model.chain.values(), t)):
        torch.manual_seed(0)
        with torch.no_grad():
            results.append(forward(x.clone()))
    expect(
        isinstance(results[1], Tensor) and torch.equal(*results),
        f"In {'train' if training else 'eval'} mode the stages do not compose to forward(): "
        f"compare forward() with {' -> '.join(model.chain)}, dropout and flattening included.",
    )


# --- freezing ------------------------------------------------------------------------------------


def freezing_equals_autograd(specimen: Specimen) -> None:
    """For every stage, what the declaration freezes is what autograd says feeds it.

    Each stage, run alone, uses no other's parameters; then what feeds one is what is before it.
    The head has the layer that gives the scores alone, or those that give them together, with the
    shares that each has of them.
    """
    model, x = can_be_composed(specimen), specimen.x
    feeding: set[str] = set()
    used: set[str] = set()
    for stage in model.chain.values():
        if feeding:
            model.freeze_until(stage.name)
            missing = ", ".join(sorted(feeding - set(model.frozen))[:3])
            expect(not missing, f'freeze_until("{stage.name}") leaves {missing} to train.')
        used, x = _uses(model.unfreeze(), stage, x)
        for name in sorted(used):
            other = f"{name} belongs to {owner(model.chain, name)}"
            expect(stage.has(name), f'{other}, but autograd says that "{stage.name}" uses it.')
        feeding |= used
    layers = {name.rpartition(".")[0] for name in used}  # of the last stage
    giving = {layer for layer in layers if _is_last(model.get_submodule(layer), x.shape[1])}
    rest = [name for name in used if name.rpartition(".")[0] not in giving]
    shares = all(model.get_parameter(name).numel() <= len(giving) for name in rest)
    owned = ", ".join(sorted({name.rpartition(".")[0] or name for name in used})) or "nothing"
    expect(
        bool(giving) and (not rest or (len(giving) > 1 and shares)),
        f"The head must own the last linear layer (or convolution) alone, not {owned}.",
    )


def _is_last(layer: nn.Module, scores: int) -> bool:
    return isinstance(layer, nn.Linear | nn.Conv2d) and len(layer.weight) == scores


def _uses(model: ZooModel, stage: Stage, x: Tensor) -> tuple[set[str], Tensor]:
    """The parameters that autograd finds behind the output of a stage alone, and that output."""
    learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
    x = run_stages(model, [stage], x.detach().requires_grad_().clone())
    if not x.requires_grad:
        return set(), x
    gradients = torch.autograd.grad(  # a stage that goes round a boundary needs an earlier's graph
        x.sum(), list(learning.values()), retain_graph=True, allow_unused=True
    )
    return {n for n, gradient in zip(learning, gradients, strict=True) if gradient is not None}, x


def frozen_stages_stand_still(specimen: Specimen) -> None:
    """What is frozen computes in train mode what it does in eval mode, and no buffer moves."""
    model, x = can_be_composed(specimen), specimen.x
    expected = boundaries(model, x)
    with modes_kept(model):
        for stage in list(model.chain)[1:]:
            try:
                model.freeze_until(stage)
            except FreezeError:
                continue
            model.train()
            frozen = {n: b for n, b in model.named_buffers() if _frozen_buffer(model, n, stage)}
            before = _copied(frozen)
            with torch.no_grad():
                found = model.forward_until(x.clone(), stage)
            fault = "something is random, or else, in train mode although it is frozen"
            advice = "make it a module, not a function"
            equal = torch.equal(found, expected[stage])
            still = equal or torch.equal(found, _still(model, x, stage))
            expect(still, f'Before "{stage}" {fault}: {advice}.')
            moved = _moved(model.named_buffers(), before)
            expect(not moved, f'{", ".join(moved[:3])} moves although it is before "{stage}".')


def _still(model: ZooModel, x: Tensor, stage: str) -> Tensor:
    """What enters a stage in eval mode, with the same weights frozen.

    torch takes other kernels for some products where a weight learns, even without a graph, and
    those have other last bits.
    """
    with torch.no_grad():
        return model.eval().forward_until(x.clone(), stage)


def boundaries(model: ZooModel, x: Tensor) -> dict[str, Tensor]:
    """The tensor that enters each stage."""
    entering = {}
    with torch.no_grad():
        for stage in model.chain.values():
            entering[stage.name] = x.clone()  # the stage may work in place
            x = run_stages(model, [stage], x.clone())
    return entering


def _frozen_buffer(model: ZooModel, name: str, stage: str) -> bool:
    order, own = list(model.chain), owner(model.chain, name)
    return own is not None and order.index(own) < order.index(stage)


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _moved(tensors: Iterable[tuple[str, Tensor]], before: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that are no longer as they were."""
    return [name for name, t in tensors if name in before and not torch.equal(t, before[name])]


# --- copies and heads ----------------------------------------------------------------------------


def copies_are_equal(specimen: Specimen) -> None:
    """A deep copy computes the same, and the stages can be pickled with the model."""
    attempt(specimen).check("deepcopy")
    model, x = specimen.model, specimen.x
    advice = "the functions in `run` must be those of a module, with def"
    expect(chain_can_be_pickled(model), f"The stages cannot be pickled: {advice}.")
    with torch.no_grad():
        equal = torch.equal(copy.deepcopy(model)(x), model(x))
    expect(equal, "A deep copy of the model computes something else.")


def chain_can_be_pickled(model: ZooModel) -> bool:
    try:
        pickle.dumps(model.chain)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return True


def heads_are_replaced(specimen: Specimen) -> str:
    """Without a head the features come out, and a new head fits them."""
    model, x = copy.deepcopy(specimen.model), specimen.x
    with torch.no_grad():
        features = tuple(model.reset_head(0)(x).shape)
        flat = len(features) == 2 and features[0] == 2
        expect(flat, f"Without a head, {features} comes out.")
        scores = tuple(model.reset_head(CLASSES + 1)(x).shape)
        fault = "A new head does not give as many scores as it has classes."
        expect(scores == (2, CLASSES + 1), fault)
    return f"{features[1]:,} features"


CONTRACT: dict[str, Check] = {
    "builds": builds,
    "no attribute shadowed": no_attribute_shadowed,
    "num_classes": num_classes,
    "in_chans": in_chans,
    "stages own every tensor": stages_own_every_tensor,
    "stages compose": stages_compose,
    "freezing equals autograd": freezing_equals_autograd,
    "frozen stages stand still": frozen_stages_stand_still,
    "deepcopy": copies_are_equal,
    "new head": heads_are_replaced,
}
"""What is checked of every architecture, by the names that reports and tests show."""

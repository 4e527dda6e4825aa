"""Checks of freezing: it is what autograd says feeds a stage, and all of it stands still."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from zoo_core.chain import owner, run_stages
from zoo_core.conformance.cases import expect
from zoo_core.conformance.specimen import Specimen
from zoo_core.conformance.stages import boundaries, can_be_composed
from zoo_core.errors import FreezeError
from zoo_core.model.zoo_model import ZooModel
from zoo_core.transfer.modes import modes_kept
from zoo_core.types import Stage


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
                computed = model.forward_until(x.clone(), stage)
            fault = "something is random, or else, in train mode although it is frozen"
            advice = "make it a module, not a function"
            equal = torch.equal(computed, expected[stage])
            still = equal or torch.equal(computed, _still(model, x, stage))
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


def _frozen_buffer(model: ZooModel, name: str, stage: str) -> bool:
    order, own = list(model.chain), owner(model.chain, name)
    return own is not None and order.index(own) < order.index(stage)


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _moved(tensors: Iterable[tuple[str, Tensor]], before: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that are no longer as they were."""
    return [name for name, t in tensors if name in before and not torch.equal(t, before[name])]

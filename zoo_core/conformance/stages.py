"""Checks of the declared stages: they own every tensor once, and composed they are forward()."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from zoo_core.chain import run_stages
from zoo_core.conformance.cases import NotHere, expect
from zoo_core.conformance.specimen import Specimen
from zoo_core.model.answers import boundary_fault
from zoo_core.model.zoo_model import ZooModel
from zoo_core.transfer.modes import modes_kept


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
    model = specimen.model
    with torch.no_grad():
        return boundary_fault(model, model.chain, specimen.x, any_error=True)


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


def boundaries(model: ZooModel, x: Tensor) -> dict[str, Tensor]:
    """The tensor that enters each stage."""
    entering = {}
    with torch.no_grad():
        for stage in model.chain.values():
            entering[stage.name] = x.clone()  # the stage may work in place
            x = run_stages(model, [stage], x.clone())
    return entering

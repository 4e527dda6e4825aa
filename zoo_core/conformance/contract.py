"""The contract that every architecture keeps, point by point: CONTRACT.

A check takes a Specimen and leaves its model as it was. It raises AssertionError that says what
does not hold, where, and what to change.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import torch
from torch import nn

from zoo_core.conformance.cases import expect
from zoo_core.conformance.freezing import freezing_equals_autograd, frozen_stages_stand_still
from zoo_core.conformance.keeping import keeps_what_feeds
from zoo_core.conformance.specimen import CLASSES, Specimen, attempt, takes_pictures
from zoo_core.conformance.stages import stages_compose, stages_own_every_tensor
from zoo_core.model.zoo_model import ZooModel

Check = Callable[[Specimen], str | None]


# --- what build() gives --------------------------------------------------------------------------


def builds(specimen: Specimen) -> str:
    """build() gives a module that takes pictures, and stages() a chain that ends with `head`."""
    outcome = attempt(specimen)
    outcome.check("builds")
    size = "x".join(map(str, specimen.input.size))
    return f"{outcome.parameters:,} parameters, for pictures of {size}"


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
    arguments, shape = f"in_chans={spec.size[0]}, num_classes={CLASSES}", tuple(scores.shape)
    fault = f"build({arguments}) gives scores of shape {shape} for two pictures"
    expect(shape == (2, CLASSES), f"{fault}: pass num_classes on to the last layer.")


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
    "keep_until": keeps_what_feeds,
    "deepcopy": copies_are_equal,
    "new head": heads_are_replaced,
}
"""What is checked of every architecture, by the names that reports and tests show."""

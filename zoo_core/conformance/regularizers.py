"""The contract of regularizers, checked in short trainings of a small network."""

from __future__ import annotations

import contextlib
import copy
import difflib
import io
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from zoo_core.conformance.cases import expect
from zoo_core.conformance.toy_training import LR, Training, copied
from zoo_core.regularize.by_name import regularizers
from zoo_core.regularize.regularizer import Regularizer


def check_regularizer(regularizer: str | Regularizer, *, steps: int = 3) -> None:
    """Check that a regularizer keeps the contract, in short trainings with a frozen layer.

    `regularizer`: as in `zoo.regularizers`: a name with options, or an object that is not attached
    yet. What is checked: frozen weights stay; `gradients()` adds the derivative of `penalty()`, or
    `weights()` is its proximal step; a resumed run equals one that was not interrupted, bit for
    bit; a step that a GradScaler skips moves nothing; `evaluating()` gives the weights back;
    `detach()` leaves no hooks; it can be attached again after unfreezing. Raises AssertionError
    that says what to change.

    >>> check_regularizer("l2=0.1")
    """
    for point in POINTS:
        look(point, regularizer, steps)


def look(point: str, regularizer: str | Regularizer, steps: int = 3) -> None:
    """Check one point of the contract, by its name in POINTS; random numbers stay as they are."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(0)
        POINTS[point](regularizer, steps)


def names_are_moments(regularizer: str | Regularizer, steps: int) -> None:
    """No method is named nearly like a moment, which nobody would call."""
    cls = type(regularizers([copy.deepcopy(regularizer)]).members[0])
    moments = [name for name in vars(Regularizer) if not name.startswith("_")]
    for name in (n for n in vars(cls) if n not in moments and not n.startswith("_")):
        near = difflib.get_close_matches(name, moments, 1, 0.85)
        fault = f"{cls.__name__}.{name} is called by nobody: is it {near[0] if near else ''}?"
        expect(not (near and callable(getattr(cls, name))), fault)


def frozen_weights_stay(regularizer: str | Regularizer, steps: int) -> None:
    """What does not train is as before, and what trains is still numbers."""
    training = Training(regularizer)
    before = copied(training.model, trained=False)
    training.run(steps)
    moved = _differ(training.model, before)
    expect(not moved, f"{', '.join(moved)} moved although it is frozen: act on self.trained only.")
    trained = copied(training.model, trained=True).items()
    strange = [name for name, tensor in trained if not torch.isfinite(tensor).all()]
    expect(not strange, f"{', '.join(strange)} is no number after a few steps.")


def penalty_is_its_derivative(regularizer: str | Regularizer, steps: int) -> None:
    """`penalty()` is a number, and what the moments do follows from it."""
    training = Training(regularizer)
    training.run(steps)
    value = training.penalty()
    fault = f"penalty() is {value}, not a number on the device."
    expect(isinstance(value, Tensor) and value.ndim == 0 and bool(torch.isfinite(value)), fault)
    if training.overrides("penalty", "gradients"):
        _gradients_are_the_derivative(training)
    elif training.overrides("penalty", "weights"):
        _weights_are_the_proximal_step(training)


def resuming_changes_nothing(regularizer: str | Regularizer, steps: int) -> None:
    """Saved, loaded and gone on with: bit for bit what it would have been."""
    through, first = Training(regularizer), Training(regularizer)
    through.run(2 * steps)
    torch.manual_seed(0)
    first.run(steps)
    saved = io.BytesIO()
    try:
        torch.save(first.state_dict(), saved)
        saved.seek(0)
        state = torch.load(saved, weights_only=True)
    except Exception as error:
        raise AssertionError(f"state_dict() cannot be saved and read again: {error}") from error
    second = Training(regularizer)
    second.load_state_dict(state)
    second.run(steps, since=steps)
    for training in (through, second):
        training.call("detach")
    moved = _differ(second.model, copied(through.model))
    advice = "put all that changes into state_dict()"
    expect(not moved, f"A resumed run differs in {', '.join(moved)}: {advice}.")


def skipped_steps_move_nothing(regularizer: str | Regularizer, steps: int) -> None:
    """Where a GradScaler finds gradients that are not finite, weights stay as they are."""
    training = Training(regularizer, scaler=torch.amp.GradScaler("cpu", init_scale=4.0))
    training.run(steps)
    parameters = dict(training.model.named_parameters())
    advice = "in weights(), multiply what you change by self.step_taken where it is not None"
    before, averaged = copied(training.model), training.validated()
    training.step(steps, spoil=True)
    for kept, now in ((before, copied(training.model)), (averaged, training.validated())):
        moved = [name for name in parameters if not torch.equal(kept[name], now[name])]
        expect(not moved, f"{', '.join(moved)} moved in a step that the scaler skipped: {advice}.")


def detaching_leaves_no_trace(regularizer: str | Regularizer, steps: int) -> None:
    """Validations give the weights back; at the end the network has its own modules only."""
    training = Training(regularizer, attached=False)
    before = _structure(training.model)
    training.attach()
    training.run(steps)
    weights = copied(training.model)
    with training.stack.evaluating():
        pass
    moved = _differ(training.model, weights)
    expect(not moved, f"{', '.join(moved)} is another one after evaluating(): put it back.")
    training.call("detach")
    fault = "detach() leaves hooks or modules in the network: keep hooks in self.handles."
    expect(_structure(training.model) == before, fault)


def unfreezing_is_noticed(regularizer: str | Regularizer, steps: int) -> None:
    """Attached again, it acts on what trains now."""
    training = Training(regularizer)
    training.run(steps)
    training.model.stem.requires_grad_(True)
    training.attach()
    training.run(steps, since=steps)
    if training.overrides("penalty", "gradients"):
        _gradients_are_the_derivative(training)


POINTS = {
    "names of moments": names_are_moments,
    "frozen weights stay": frozen_weights_stay,
    "penalty and gradients": penalty_is_its_derivative,
    "resuming": resuming_changes_nothing,
    "detach": detaching_leaves_no_trace,
    "skipped steps": skipped_steps_move_nothing,
    "unfreezing": unfreezing_is_noticed,
}
"""What is checked of every regularizer, by the names that reports and tests show."""


# --- penalties -----------------------------------------------------------------------------------


def _gradients_are_the_derivative(training: Training, width: float = 1e-6) -> None:
    """What gradients() adds, along a random direction of each tensor, by differences."""
    model = training.model
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    training.call("gradients")
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    for name, parameter in trained.items():
        direction = torch.randn_like(parameter)
        assert parameter.grad is not None
        added = (parameter.grad * direction).sum().item()
        slope = _difference(training, parameter, direction, width) / (2 * width)
        expect(
            abs(added - slope) <= 1e-6 + 1e-4 * abs(slope),
            f"gradients() adds {added:g} along a direction of {name}, "
            f"but penalty() rises by {slope:g}.",
        )


def _difference(training: Training, parameter: Tensor, direction: Tensor, width: float) -> float:
    with _kept(parameter):
        parameter.data.add_(direction, alpha=width)
        above = training.penalty().item()
        parameter.data.add_(direction, alpha=-2 * width)
        return above - training.penalty().item()


def _weights_are_the_proximal_step(training: Training) -> None:
    """weights() minimises ½‖z - w‖² + lr·penalty(z): no step towards w or away from it is better.

    The least of a convex function is where it grows both ways along every line; the line to where
    the weights came from shows a step that is too strong or too weak.
    """
    model = training.model
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    before = {name: p.detach().clone() for name, p in trained.items()}
    training.call("weights")

    def objective(name: str) -> float:
        distance = (trained[name].detach() - before[name]).square().sum().item() / 2
        return distance + LR * training.penalty().item()

    for name, parameter in trained.items():
        moved, here = before[name] - parameter.detach(), objective(name)
        for share in (0.1, -0.1):
            with _kept(parameter):
                parameter.data.add_(moved, alpha=share)
                there = objective(name)
            strength = "strong" if share > 0 else "weak"
            fault = f"weights() is no proximal step of penalty(): for {name} it is too {strength}."
            expect(here <= there + 1e-12 * (1 + abs(there)), fault)


@contextlib.contextmanager
def _kept(parameter: Tensor) -> Iterator[None]:
    start = parameter.detach().clone()
    yield
    parameter.data.copy_(start)


# --- what is compared ----------------------------------------------------------------------------


def _differ(model: nn.Module, before: Mapping[str, Tensor]) -> list[str]:
    state = model.state_dict()
    return [name for name, tensor in before.items() if not torch.equal(state[name], tensor)]


def _structure(model: nn.Module) -> list[tuple[str, type, int]]:
    def hooks(module: nn.Module) -> int:
        return len(module._forward_hooks) + len(module._forward_pre_hooks)

    return [(name, type(module), hooks(module)) for name, module in model.named_modules()]

"""The contract of regularizers, checked in short trainings of a small network."""

from __future__ import annotations

import contextlib
import copy
import difflib
import io
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.conformance.cases import expect
from zoo_core.regularize import Regularizer, called, regularizers

LR = 0.1


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
    kind = type(regularizers([copy.deepcopy(regularizer)]).members[0])
    moments = [name for name in vars(Regularizer) if not name.startswith("_")]
    for name in (n for n in vars(kind) if n not in moments and not n.startswith("_")):
        near = difflib.get_close_matches(name, moments, 1, 0.85)
        fault = f"{kind.__name__}.{name} is called by nobody: is it {near[0] if near else ''}?"
        expect(not (near and callable(getattr(kind, name))), fault)


def frozen_weights_stay(regularizer: str | Regularizer, steps: int) -> None:
    """What does not train is as before, and what trains is still numbers."""
    training = Training(regularizer)
    before = _copied(training.model, trained=False)
    training.run(steps)
    moved = _differ(training.model, before)
    expect(not moved, f"{', '.join(moved)} moved although it is frozen: act on self.trained only.")
    trained = _copied(training.model, trained=True).items()
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
    moved = _differ(second.model, _copied(through.model))
    advice = "put all that changes into state_dict()"
    expect(not moved, f"A resumed run differs in {', '.join(moved)}: {advice}.")


def skipped_steps_move_nothing(regularizer: str | Regularizer, steps: int) -> None:
    """Where a GradScaler finds gradients that are not finite, weights stay as they are."""
    training = Training(regularizer, scaler=torch.amp.GradScaler("cpu", init_scale=4.0))
    training.run(steps)
    parameters = dict(training.model.named_parameters())
    advice = "in weights(), multiply what you change by self.step_taken where it is not None"
    before, averaged = _copied(training.model), training.validated()
    training.step(steps, spoil=True)
    for kept, now in ((before, _copied(training.model)), (averaged, training.validated())):
        moved = [name for name in parameters if not torch.equal(kept[name], now[name])]
        expect(not moved, f"{', '.join(moved)} moved in a step that the scaler skipped: {advice}.")


def detaching_leaves_no_trace(regularizer: str | Regularizer, steps: int) -> None:
    """Validations give the weights back; at the end the network has its own modules only."""
    training = Training(regularizer, attached=False)
    before = _structure(training.model)
    training.attach()
    training.run(steps)
    weights = _copied(training.model)
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


# --- the training --------------------------------------------------------------------------------


class Block(nn.Module):
    """A residual block, with the place that timm's have for stochastic depth."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.drop_path: nn.Module | None = None

    def forward(self, x: Tensor) -> Tensor:
        residual = torch.relu(self.norm(self.conv(x)))
        return x + (residual if self.drop_path is None else self.drop_path(residual))


class Network(nn.Module):
    """A small residual network: pictures (N, 2, 8, 8) -> scores (N, 3); the stem is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.block = Block(4)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.2))
        self.head = nn.Linear(16, 3)
        self.stem.requires_grad_(False)

    def train(self, mode: bool = True) -> Network:
        super().train(mode)
        self.stem.train(mode and next(self.stem.parameters()).requires_grad)
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.block(self.stem(x))))


class Training:
    """A network, its optimizer, and one regularizer in a stack, in double precision."""

    def __init__(
        self, regularizer: str | Regularizer, *, scaler: Any = None, attached: bool = True
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.model = Network().double().train()
        self.reference = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=LR, momentum=0.9)
        self.scaler, self.stack = scaler, regularizers([copy.deepcopy(regularizer)])
        self.member = self.stack.members[0]
        if attached:
            self.attach()

    def attach(self) -> None:
        given = {"optimizer": self.optimizer, "scaler": self.scaler, "reference": self.reference}
        self.call("attach", self.model, **given)

    def overrides(self, *methods: str) -> bool:
        kind = type(self.member)
        return all(getattr(kind, name) is not getattr(Regularizer, name) for name in methods)

    def call(self, moment: str, *given: Any, **named: Any) -> Any:
        """A moment of the stack; what it raises comes out as what does not hold."""
        try:
            return getattr(self.stack, moment)(*given, **named)
        except AssertionError:
            raise
        except Exception as error:
            kind = type(error).__name__
            raise AssertionError(
                f"{moment}() of {called(self.member)} raised {kind}: {error}"
            ) from error

    def penalty(self) -> Any:
        return self.call("penalty")

    def run(self, steps: int, since: int = 0) -> None:
        """Steps with a validation after each; what they see follows from their number."""
        for number in range(since, since + steps):
            self.step(number)
            with self.stack.evaluating():
                self.model.eval()
            self.call("validation", {"loss": 1.0 / (1 + number), "accuracy": 0.5})
            self.model.train()

    def validated(self) -> dict[str, Tensor]:
        """The weights that a validation would see."""
        with self.stack.evaluating():
            return _copied(self.model)

    def step(self, number: int, spoil: bool = False) -> None:
        drawing = torch.Generator().manual_seed(number)
        x = torch.randn(16, 2, 8, 8, dtype=torch.float64, generator=drawing)
        y = torch.randint(3, (16,), generator=drawing)
        x, y = self.call("batch", x, y)
        self.optimizer.zero_grad()

        def closure() -> Tensor:
            outputs = self.model(x)
            loss = self.call("loss", nn.functional.cross_entropy(outputs, y), outputs, y)
            expect(isinstance(loss, Tensor), f"loss() returns {loss}, not the loss.")
            (self.scaler.scale(loss) if self.scaler else loss).backward()
            return loss.detach()

        loss = self.call("passes", closure)
        expect(bool(torch.isfinite(loss)), "The loss is no number.")
        if spoil:
            self.model.head.bias.grad[0] = torch.inf  # type: ignore[index]
        if self.scaler:
            self.scaler.unscale_(self.optimizer)
        self.call("gradients")
        if self.scaler:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self.optimizer.step()
        self.call("weights")

    def state_dict(self) -> dict[str, Any]:
        states = {name: getattr(self, name).state_dict() for name in ("model", "optimizer")}
        return {**states, "stack": self.call("state_dict"), "random": torch.get_rng_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.call("load_state_dict", state["stack"])
        torch.set_rng_state(state["random"])


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


def _copied(model: nn.Module, trained: bool | None = None) -> dict[str, Tensor]:
    """Parameters and buffers by name: all, those of trained modules, or those of frozen ones."""
    learns = {name.rpartition(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    state = model.state_dict().items()
    return {
        name: tensor.detach().clone()
        for name, tensor in state
        if trained is None or (name.rpartition(".")[0] in learns) is trained
    }


def _differ(model: nn.Module, before: Mapping[str, Tensor]) -> list[str]:
    state = model.state_dict()
    return [name for name, tensor in before.items() if not torch.equal(state[name], tensor)]


def _structure(model: nn.Module) -> list[tuple[str, type, int]]:
    def hooks(module: nn.Module) -> int:
        return len(module._forward_hooks) + len(module._forward_pre_hooks)

    return [(name, type(module), hooks(module)) for name, module in model.named_modules()]

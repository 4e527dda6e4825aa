"""Regularizers: what lowers the generalization error, one class each.

"Any modification we make to a learning algorithm that is intended to reduce its generalization
error but not its training error" (Goodfellow, Bengio and Courville, 2016, chapter 5). The class has
a method for each moment of training; a regularizer overrides those that it needs. They are chosen
by name (`"l2=1e-4"`, `"early-stopping:patience=5"`) or given as objects, and work in zoo's loop and
in anybody's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from zoo_core.errors import RecipeError
from zoo_core.regularize.schedule import Schedule, scheduled
from zoo_core.regularize.selection import selected, words
from zoo_core.transfer.wrappers import unwrapped as unwrapped


class Verdict(Enum):
    """What a regularizer makes of a validation: go on, go on and note a new best, or stop.

    >>> list(Verdict)
    [<Verdict.CONTINUE: 'continue'>, <Verdict.IMPROVED: 'improved'>, <Verdict.STOP: 'stop'>]
    """

    CONTINUE = "continue"
    IMPROVED = "improved"
    STOP = "stop"


class StackView(Protocol):
    """What a regularizer sees of the stack that it is in.

    `steps`: how many the optimizer took. `taken`: whether a GradScaler let it take the last one (1
    or 0 on the device; None where none is ever skipped).
    """

    steps: int
    taken: Tensor | None

    @property
    def members(self) -> Sequence[Regularizer]: ...

    def evaluating(self) -> contextlib.AbstractContextManager[None]: ...


class Regularizer:
    """One thing that lowers generalisation error: override the moments that it needs.

    `stages`, `exclude`: where it acts, as names of stages or paths of modules: a sequence, or one
    text joined by `+`; by default wherever something trains. `schedule`, `steps`: how its strength
    moves (`zoo_core.regularize.schedule`).

    What it raises as ValueError comes out as a RecipeError that names it.

    >>> class Noise(Regularizer):
    ...     def gradients(self) -> None:
    ...         for weight in self.trained.values():
    ...             weight.grad += self.now(0.01) * torch.randn_like(weight.grad)
    >>> noise = Noise(schedule="linear", steps=100)
    >>> noise.uses("gradients"), noise.uses("loss")
    (True, False)

    A loop calls its moments, here one step of it and a validation:

    >>> model = nn.Linear(4, 2)
    >>> noise.attach(model)
    >>> x, y = noise.batch(torch.zeros(8, 4), torch.zeros(8, dtype=torch.long))
    >>> outputs = model(x)
    >>> loss = noise.loss(nn.functional.cross_entropy(outputs, y), outputs, y)
    >>> loss.backward()
    >>> noise.gradients()
    >>> noise.weights()
    >>> with noise.evaluating():
    ...     noise.validation({"loss": 0.7, "accuracy": 0.5})
    <Verdict.CONTINUE: 'continue'>
    >>> noise.now(0.01), noise.penalty(), noise.state_dict(), noise.step_taken
    (0.01, tensor(0.), {}, None)
    >>> noise.passes(lambda: torch.tensor(0.5))
    tensor(0.5000)
    >>> noise.load_state_dict({})
    >>> print(noise.nothing_to_act_on("convolution").message)
    Noise has nothing to act on: no convolution.
    >>> noise.release()
    >>> noise.detach()
    """

    name: str = ""
    """What it is called in messages and recipes; the class's name where it has none."""

    needs_validation: bool = False
    """Whether it is of no use without validations."""

    changes_pictures: bool = False
    """Whether what enters the model is another picture each time: then nothing can be cached."""

    averages: bool = False
    """Whether it puts averaged weights in place of the trained ones; one in a stack at most."""

    one_class: bool = False
    """Whether it takes scores for those of one class a picture, and not of several labels."""

    begun: bool = True
    """Whether the weights of a validation are already those that it stands for."""

    stages: Sequence[str] = ()
    exclude: Sequence[str] = ()
    schedule: Schedule = staticmethod(scheduled("constant"))
    stack: StackView | None = None
    handles: Sequence[RemovableHandle] = ()

    def __init__(
        self,
        *,
        stages: str | Sequence[str] = (),
        exclude: str | Sequence[str] = (),
        schedule: str | Schedule = "constant",
        steps: int = 0,
    ) -> None:
        self.stages, self.exclude = words(stages), words(exclude)
        self.schedule = scheduled(schedule, steps)

    @property
    def step_taken(self) -> Tensor | None:
        """In `weights()`, where a GradScaler may have skipped the step: 1 or 0 on the device, ().

        None where no step is skipped.
        """
        return self.stack.taken if self.stack else None

    def uses(self, moment: str) -> bool:
        """Whether it does something at `moment`, the name of a method that a loop then calls."""
        return getattr(type(self), moment) is not getattr(Regularizer, moment)

    def now(self, strength: float) -> float:
        """`strength` as its schedule has it at this step of the stack.

        Raises RecipeError where a CUDA graph would repeat one step of a schedule.
        """
        factor = self.schedule(self.stack.steps if self.stack else 0)
        if factor != 1 and torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
            raise RecipeError(
                f"{called(self)} has a schedule, and a CUDA graph would repeat one step of it.",
                hint="Capture without a schedule.",
            )
        return strength * factor

    def attach(
        self,
        model: nn.Module,
        *,
        optimizer: torch.optim.Optimizer | None = None,
        scaler: Any = None,
        reference: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Take hold of `model`: before training, and again after each change of what trains.

        `optimizer`: proximal steps take its learning rates, 1 without one. `scaler`: a GradScaler.
        `reference`: the weights to start from by name, of any shape (default: those of the first
        attach, kept from then on).

        Afterwards `self.model`, `self.optimizer`, `self.trained` (the weights that train, by name)
        and `self.decayed` (those of two and more dimensions) are set, of the chosen stages only.
        """
        self.release()
        self.model, self.optimizer, self.scaler = unwrapped(model), optimizer, scaler
        learns = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        chosen = selected(self.model, learns, self.stages, self.exclude)
        self.trained = {name: learns[name] for name in chosen}
        self.decayed = {name: p for name, p in self.trained.items() if p.ndim >= 2}

    def batch(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs `x` (N, C, H, W) and targets `y` of a step, (N,) or (N, C), as they shall be."""
        return x, y

    def loss(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss to go backward from, which began as `loss`: a number, ().

        `outputs`: scores (N, C). `targets`: classes (N,), or shares of classes (N, C) when mixed.
        """
        return loss

    def passes(self, closure: Callable[[], Tensor]) -> Tensor:
        """Forward and backward pass of a step; at most one regularizer of a stack replaces it.

        `closure`: does both and returns the loss, (). It may be called several times.
        """
        return closure()

    def gradients(self) -> None:
        """After backward (and unscaling), before the optimizer's step."""

    def weights(self) -> None:
        """After the optimizer's step."""

    def validation(self, metrics: Mapping[str, float]) -> Verdict:
        """After a validation; `metrics` has `loss` and `accuracy`."""
        return Verdict.CONTINUE

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """Around a validation: averaged weights in, and out again."""
        yield

    def detach(self) -> None:
        """After training: the weights that it stands for stay in the model, and no hook of it."""
        self.release()

    def penalty(self) -> Tensor:
        """Its value now, (), on the device of the model; zero for those that add none."""
        return torch.zeros((), device=next(self.model.parameters()).device)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up `state`, that of an earlier run, once attached."""

    def nothing_to_act_on(self, what: str, hint: str = "") -> RecipeError:
        """The RecipeError of a regularizer that would do nothing, to be raised in `attach`.

        `what` there is none of. `hint`: what to do (default: unfreeze it, or leave it out).
        """
        scope = f" in {'+'.join(self.stages)}" if self.stages else ""
        scope += f" outside {'+'.join(self.exclude)}" if self.exclude else ""
        return RecipeError(
            f"{called(self)} has nothing to act on: no {what}{scope}.",
            hint=hint or "Unfreeze it, choose other stages, or leave the regularizer out.",
        )

    def release(self) -> None:
        """Take its hooks out of the model, and nothing else: after training, or where it failed."""
        for handle in self.handles:
            handle.remove()
        self.handles = []


def called(member: Regularizer) -> str:
    """What a regularizer is called: its name, else that of its class."""
    return member.name or type(member).__name__

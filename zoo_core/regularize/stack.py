"""A stack of regularizers, which is one itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.errors import RecipeError
from zoo_core.regularize.regularizer import Regularizer, Verdict, called


class Stack(Regularizer):
    """Several regularizers as one: each moment goes to all of them in order.

    `steps`: how many steps the optimizer has taken. `taken`: where a GradScaler may skip a step, 1
    on the device if the last one was taken and 0 if not, (); else None. `members`: in their order.
    Raises RecipeError where two replace the backward pass, or both average weights.

    >>> import zoo_core as zoo
    >>> model = nn.Linear(4, 2)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> stack = zoo.regularizers(["l2=0.1", "label-smoothing"]).attach(model, optimizer=optimizer)
    >>> stack.using("loss"), sorted(stack.penalties()), stack.penalty().shape
    (['label-smoothing'], ['l2'], torch.Size([]))

    One step of a loop, and a validation:

    >>> x, y = stack.batch(torch.zeros(8, 4), torch.zeros(8, dtype=torch.long))
    >>> def closure():
    ...     outputs = model(x)
    ...     loss = stack.loss(nn.functional.cross_entropy(outputs, y), outputs, y)
    ...     loss.backward()
    ...     return loss.detach()
    >>> stack.passes(closure).shape
    torch.Size([])
    >>> stack.gradients()
    >>> optimizer.step()
    >>> stack.weights()
    >>> with stack.evaluating():
    ...     stack.validation({"loss": 0.7, "accuracy": 0.5})
    <Verdict.CONTINUE: 'continue'>
    >>> state = stack.state_dict()
    >>> state["steps"], stack.load_state_dict(state)
    (1, None)

    What does not go together is refused before a training:

    >>> stack.refuse_several_passes("accumulate")
    >>> zoo.regularizers(["early-stopping"]).refuse_without_validation("Give val.")
    Traceback (most recent call last):
    zoo_core.errors.RecipeError: early-stopping needs validation. Give val.
    >>> stack.refuse_several_labels()
    Traceback (most recent call last):
    zoo_core.errors.RecipeError: label-smoothing is made for one class a picture. ...
    >>> stack.release()
    >>> stack.detach()
    """

    def __init__(self, members: Sequence[Regularizer]) -> None:
        self.members = tuple(members)
        self.steps = 0
        self.taken: Tensor | None = None
        _at_most_one(self.members, lambda m: m.uses("passes"), "replace the backward pass")
        _at_most_one(self.members, lambda m: m.averages, "put averaged weights into the model")

    def using(self, *moments: str) -> list[str]:
        """The names of those that do something at one of `moments`, names of methods."""
        return [called(m) for m in self.members if any(map(m.uses, moments))]

    def refuse_without_validation(self, hint: str) -> None:
        """Raise RecipeError, for a training without validations, where a member needs them.

        `hint`: what to do then.
        """
        names = [called(member) for member in self.members if member.needs_validation]
        if names:
            raise RecipeError(f"{' and '.join(names)} needs validation.", hint=hint)

    def refuse_several_passes(self, how: str) -> None:
        """Raise RecipeError, where gradients come `how`, for a member that replaces the passes."""
        for name in self.using("passes"):
            raise RecipeError(
                f"{name} replaces the backward pass of a whole step, so that it does not go with "
                f"{how}.",
                hint="Leave one of them out.",
            )

    def refuse_several_labels(self) -> None:
        """Raise RecipeError, where pictures have several labels, for members that know one only."""
        names = [called(member) for member in self.members if member.one_class]
        if names:
            raise RecipeError(
                f"{' and '.join(names)} is made for one class a picture.",
                hint="Leave it out for pictures of several labels.",
            )

    def attach(self, model: nn.Module, **given: Any) -> Stack:  # type: ignore[override]
        """Attach all of them to `model` and return the stack, so that it reads in one line.

        `given`: the other arguments of `Regularizer.attach`. Raises RecipeError where one of them
        finds nothing to act on, and UnknownName for stages that are not there; then none is
        attached.
        """
        super().attach(model, **given)
        try:
            for member in self.members:
                member.stack = self
                with _named(member):
                    member.attach(self.model, **given)
        except BaseException:
            self.release()
            raise
        return self

    def release(self) -> None:
        for member in self.members:
            member.release()

    def batch(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        for member in self.members:
            x, y = member.batch(x, y)
        return x, y

    def loss(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
        for member in self.members:
            loss = member.loss(loss, outputs, targets)
        return loss

    def passes(self, closure: Callable[[], Tensor]) -> Tensor:
        for member in self.members:
            if member.uses("passes"):
                return member.passes(closure)
        return closure()

    def gradients(self) -> None:
        """Once before each step of the optimizer, however many passes its gradients come from.

        Raises RecipeError where a GradScaler has not unscaled them.
        """
        self.taken = _will_be_taken(self.optimizer, self.scaler)
        for member in self.members:
            member.gradients()

    def weights(self) -> None:
        """Once after each step of the optimizer."""
        self.steps += 1
        for member in self.members:
            member.weights()

    def validation(self, metrics: Mapping[str, float]) -> Verdict:
        """STOP where one says so, else IMPROVED where one says so.

        `metrics`: `loss` in nats and `accuracy` in [0, 1]. Raises RecipeError where a member
        returns no Verdict.
        """
        verdicts = [member.validation(metrics) for member in self.members]
        wrong = [m for m, v in zip(self.members, verdicts, strict=True) if v not in list(Verdict)]
        if wrong:
            raise RecipeError(f"validation() of {called(wrong[0])} returns no Verdict.")
        strongest = (Verdict.STOP, Verdict.IMPROVED)
        return next((verdict for verdict in strongest if verdict in verdicts), Verdict.CONTINUE)

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """Averages come first: what others do to the weights of a validation, they do to these."""
        with contextlib.ExitStack() as stack:
            for member in sorted(self.members, key=lambda m: not m.averages):
                stack.enter_context(member.evaluating())
            yield

    def detach(self) -> None:
        """Averages come first; those that watch validations last, since the best weights win."""
        for member in sorted(self.members, key=lambda m: (m.uses("validation"), not m.averages)):
            member.detach()
        super().detach()

    def penalty(self) -> Tensor:
        return sum((member.penalty() for member in self.members), start=super().penalty())

    def penalties(self) -> dict[str, Tensor]:
        """The value of each that has one, (), by name."""
        has = [member for member in self.members if member.uses("penalty")]
        return {called(member): member.penalty() for member in has}

    def state_dict(self) -> dict[str, Any]:
        states = [{"name": called(m), "state": m.state_dict()} for m in self.members]
        return {"steps": self.steps, "members": states}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up `state`. Raises RecipeError where it is that of other regularizers."""
        theirs, ours = [m["name"] for m in state["members"]], [called(m) for m in self.members]
        if theirs != ours:
            raise RecipeError(
                f"The state is that of {theirs or 'no regularizers'}, and these are {ours}.",
                hint="Go on with the regularizers that the run began with.",
            )
        self.steps = state["steps"]
        for member, saved in zip(self.members, state["members"], strict=True):
            member.load_state_dict(saved["state"])


def _at_most_one(
    members: Iterable[Regularizer], which: Callable[[Regularizer], bool], what: str
) -> None:
    names = [called(member) for member in members if which(member)]
    if len(names) > 1:
        raise RecipeError(f"{' and '.join(names)} each {what}: take one.")


@contextlib.contextmanager
def _named(member: Regularizer) -> Iterator[None]:
    """A ValueError inside comes out as a RecipeError with the regularizer's name."""
    try:
        yield
    except ValueError as error:
        raise RecipeError(f"{called(member)}: {error}.") from error


def _will_be_taken(optimizer: Any, scaler: Any) -> Tensor | None:
    """1 on the device where the gradients are all finite, 0 where the scaler will skip the step.

    Asked for without waiting for the device; None where no step is ever skipped. Raises
    RecipeError where the gradients are still scaled.
    """
    if scaler is None or optimizer is None or not scaler.is_enabled():
        return None
    while hasattr(optimizer, "optimizer"):  # Accelerate's wrapper
        optimizer = optimizer.optimizer
    infinite = list(scaler._found_inf_per_device(optimizer).values())
    if not infinite:
        raise RecipeError(
            "The gradients are still scaled.",
            hint="Call scaler.unscale_(optimizer) before stack.gradients().",
        )
    return 1 - torch.stack([inf.to(infinite[0].device) for inf in infinite]).amax()

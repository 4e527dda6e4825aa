"""Regularizers: what lowers the generalization error, one class each.

"Any modification we make to a learning algorithm that is intended to reduce its generalization
error but not its training error" (Goodfellow, Bengio and Courville, 2016, chapter 5). The class has
a method for each moment of training; a regularizer overrides those that it needs. They are chosen
by name (`"l2=1e-4"`, `"early-stopping:patience=5"`) or given as objects, and work in zoo's loop and
in anybody's.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from zoo_core.catalogue import catalogue
from zoo_core.errors import RecipeError, UnknownName, did_you_mean
from zoo_core.schedule import Schedule, scheduled
from zoo_core.selection import selected, words
from zoo_core.types import Option, RegularizerSpec


class Verdict(Enum):
    """What a regularizer makes of a validation: go on, go on and note a new best, or stop."""

    CONTINUE = "continue"
    IMPROVED = "improved"
    STOP = "stop"


class Regularizer:
    """One thing that lowers generalisation error: override the moments that it needs.

    `stages`, `exclude`: where it acts, as names of stages or paths of modules: a sequence, or one
    text joined by `+`; by default wherever something trains. `schedule`, `steps`: how its strength
    moves (`zoo_core.schedule`). What it raises as ValueError comes out as a RecipeError that names
    it.

    >>> class Noise(Regularizer):
    ...     def gradients(self) -> None:
    ...         for weight in self.trained.values():
    ...             weight.grad += self.now(0.01) * torch.randn_like(weight.grad)
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
    stack: Stack | None = None
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
        """In `weights()`, where a GradScaler may have skipped the step: 1 or 0 on the device.

        None where no step is skipped.
        """
        return self.stack.taken if self.stack else None

    def uses(self, moment: str) -> bool:
        """Whether it does something at a moment, so that a loop has to serve it."""
        return getattr(type(self), moment) is not getattr(Regularizer, moment)

    def now(self, strength: float) -> float:
        """A strength as its schedule has it at this step of the stack."""
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
        """Take hold of a model: before training, and again after each change of what trains.

        `optimizer`: proximal steps take its learning rates, 1 without one. `scaler`: a GradScaler.
        `reference`: the weights to start from by name (default: those of the first attach, kept
        from then on). Afterwards `self.model`, `self.optimizer`, `self.trained` (the weights that
        train, by name) and `self.decayed` (those of two and more dimensions) are set, of the
        chosen stages only.
        """
        self.release()
        self.model, self.optimizer, self.scaler = unwrapped(model), optimizer, scaler
        learns = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        chosen = selected(self.model, learns, self.stages, self.exclude)
        self.trained = {name: learns[name] for name in chosen}
        self.decayed = {name: p for name, p in self.trained.items() if p.ndim >= 2}

    def batch(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and targets of a step."""
        return x, y

    def loss(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss to go backward from.

        `outputs`: scores (N, C). `targets`: classes (N,), or shares of classes (N, C) when mixed.
        """
        return loss

    def passes(self, closure: Callable[[], Tensor]) -> Tensor:
        """Forward and backward pass of a step; at most one regularizer of a stack replaces it."""
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
        """Its value now, on the device of the model; zero for those that add none."""
        return torch.zeros((), device=next(self.model.parameters()).device)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state of an earlier run, once attached."""

    def nothing_to_act_on(self, what: str, hint: str = "") -> RecipeError:
        """The error of a regularizer that would do nothing."""
        where = f" in {'+'.join(self.stages)}" if self.stages else ""
        where += f" outside {'+'.join(self.exclude)}" if self.exclude else ""
        return RecipeError(
            f"{called(self)} has nothing to act on: no {what}{where}.",
            hint=hint or "Unfreeze it, choose other stages, or leave the regularizer out.",
        )

    def release(self) -> None:
        """Take its hooks out of the model, and nothing else: after training, or where it failed."""
        for handle in self.handles:
            handle.remove()
        self.handles = []


class Stack(Regularizer):
    """Several regularizers as one: each moment goes to all of them in order.

    `steps`: how many steps the optimizer has taken. `taken`: where a GradScaler may skip a step, 1
    on the device if the last one was taken and 0 if not; else None.
    """

    def __init__(self, members: Sequence[Regularizer]) -> None:
        self.members = tuple(members)
        self.steps = 0
        self.taken: Tensor | None = None
        _at_most_one(self.members, lambda m: m.uses("passes"), "replace the backward pass")
        _at_most_one(self.members, lambda m: m.averages, "put averaged weights into the model")

    def using(self, *moments: str) -> list[str]:
        """The names of those that do something at one of some moments."""
        return [called(m) for m in self.members if any(map(m.uses, moments))]

    def refuse_without_validation(self, hint: str) -> None:
        """Raise RecipeError, for a training without validations, where a member needs them."""
        names = [called(member) for member in self.members if member.needs_validation]
        if names:
            raise RecipeError(f"{' and '.join(names)} needs validation.", hint=hint)

    def refuse_several_labels(self) -> None:
        """Raise RecipeError, where pictures have several labels, for members that know one only."""
        names = [called(member) for member in self.members if member.one_class]
        if names:
            raise RecipeError(
                f"{' and '.join(names)} is made for one class a picture.",
                hint="Leave it out for pictures of several labels.",
            )

    def attach(self, model: nn.Module, **given: Any) -> Stack:  # type: ignore[override]
        """Attach all of them and return the stack, so that it reads in one line."""
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
        """Once before each step of the optimizer, however many passes its gradients come from."""
        self.taken = _will_be_taken(self.optimizer, self.scaler)
        for member in self.members:
            member.gradients()

    def weights(self) -> None:
        """Once after each step of the optimizer."""
        self.steps += 1
        for member in self.members:
            member.weights()

    def validation(self, metrics: Mapping[str, float]) -> Verdict:
        """STOP where one says so, else IMPROVED where one says so."""
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
        """The value of each that has one, by name."""
        has = [member for member in self.members if member.uses("penalty")]
        return {called(member): member.penalty() for member in has}

    def state_dict(self) -> dict[str, Any]:
        states = [{"name": called(m), "state": m.state_dict()} for m in self.members]
        return {"steps": self.steps, "members": states}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises RecipeError where it is the state of other regularizers."""
        theirs, ours = [m["name"] for m in state["members"]], [called(m) for m in self.members]
        if theirs != ours:
            raise RecipeError(
                f"The state is that of {theirs or 'no regularizers'}, and these are {ours}.",
                hint="Go on with the regularizers that the run began with.",
            )
        self.steps = state["steps"]
        for member, saved in zip(self.members, state["members"], strict=True):
            member.load_state_dict(saved["state"])


def called(member: Regularizer) -> str:
    """What a regularizer is called: its name, else that of its class."""
    return member.name or type(member).__name__


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside the wrappers of torch: compiled, data-parallel, or both."""
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while True:
        if isinstance(model, wrappers):
            model = model.module
        elif "_orig_mod" in model._modules:
            model = model._modules["_orig_mod"]  # type: ignore[assignment]
        else:
            return model


def at_least_zero(**numbers: float) -> None:
    """Raise ValueError for a strength that is negative, infinite or no number."""
    for name, number in numbers.items():
        if not 0 <= number < math.inf:
            wanted = "finite" if number == math.inf else "0 or more"
            raise ValueError(f"{name} must be {wanted}, not {number}")


def above_zero(**numbers: float) -> None:
    """Raise ValueError for a bound that is zero, negative, infinite or no number."""
    for name, number in numbers.items():
        if not 0 < number < math.inf:
            wanted = "finite" if number == math.inf else "above 0"
            raise ValueError(f"{name} must be {wanted}, not {number}")


def a_share(**numbers: float) -> None:
    """Raise ValueError for what is not in [0, 1)."""
    for name, number in numbers.items():
        if not 0 <= number < 1:
            raise ValueError(f"{name} must be in [0, 1), not {number}")


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
    found = list(scaler._found_inf_per_device(optimizer).values())
    if not found:
        raise RecipeError(
            "The gradients are still scaled.",
            hint="Call scaler.unscale_(optimizer) before stack.gradients().",
        )
    return 1 - torch.stack([inf.to(found[0].device) for inf in found]).amax()


# --- by name -------------------------------------------------------------------------------------


def regularizers(chosen: Iterable[str | Regularizer] | str | Regularizer = ()) -> Stack:
    """A stack of regularizers: by name, with options, or as objects.

    `"name"`, `"name=0.01"` (its main option), `"name:option=value,option=value"`, or both. Raises
    UnknownName, RecipeError.

    >>> len(regularizers(["l2=1e-4", "early-stopping:patience=3,restore=true"]).members)
    2
    """
    if isinstance(chosen, str | Regularizer):
        return Stack([_one(chosen)])
    if isinstance(chosen, Mapping) or not isinstance(chosen, Iterable):
        message = f"Regularizers are a list of names and objects, not {chosen!r}."
        raise RecipeError(message, hint='Write ["l2=1e-4", "ema"].')
    return Stack([_one(item) for item in chosen])


def _one(item: str | Regularizer) -> Regularizer:
    if isinstance(item, Regularizer):
        return item
    if not isinstance(item, str):
        hint = f"Make one: {item.__name__}()." if isinstance(item, type) else ""
        raise RecipeError(f"A regularizer is a name or a Regularizer, not {item!r}.", hint=hint)
    head, _, tail = item.partition(":")
    name, has_value, value = head.partition("=")
    spec = catalogue().regularizer(name.strip())
    pairs = list(_pairs(item, tail))
    if has_value:
        if spec.value is None:
            raise RecipeError(f'"{spec.name}" takes no value: "{item}".', hint=_usage(spec))
        pairs.append((spec.value, value))
    given = dict(pairs)
    if len(given) < len(pairs):
        twice = next(key for key, _ in pairs if [k for k, _ in pairs].count(key) > 1)
        raise RecipeError(f'"{item}" gives {twice} twice.', hint=_usage(spec))
    return _built(spec, given, item)


def _pairs(item: str, text: str) -> Iterator[tuple[str, str]]:
    for pair in filter(None, text.split(",")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise RecipeError(f'"{pair}" in "{item}" is no option=value.')
        yield key.strip(), value.strip()


def _built(spec: RegularizerSpec, given: Mapping[str, str], item: str) -> Regularizer:
    options = {option.name: option for option in spec.options}
    for key in given:
        if key not in options:
            message = f'{spec.name} has no option "{key}". {did_you_mean(key, options)}'.strip()
            raise UnknownName(message, hint=_usage(spec))
    missing = [o.name for o in spec.options if o.default is None and o.name not in given]
    if missing:
        raise RecipeError(f'"{item}" needs {missing[0]}.', hint=_usage(spec))
    values = {key: _value(options[key], text, item) for key, text in given.items()}
    try:
        made = spec.factory(**values)
    except ValueError as error:
        raise RecipeError(f'"{item}": {error}.', hint=_usage(spec)) from error
    made.name = spec.name
    return made


def _value(option: Option, text: str, item: str) -> Any:
    """The text as the type of the option's default; an option without one is a number."""
    kind = float if option.default is None else type(option.default)
    if kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() in words:
            return words[text.lower()]
    else:
        with contextlib.suppress(ValueError):
            return kind(text)
    wanted = _KINDS.get(kind, kind.__name__)
    raise RecipeError(f'{option.name} in "{item}" must be {wanted}, not "{text}".')


_KINDS = {bool: "true or false", int: "a whole number", float: "a number"}


def _usage(spec: RegularizerSpec) -> str:
    value = f"={spec.value}" if spec.value else ""
    rest = ",".join(option.name for option in spec.options if option.name != spec.value)
    options = f", or {spec.name}:option=value with {rest}" if rest else ""
    return f"Write {spec.name}{value}{options}."

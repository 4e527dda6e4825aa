"""Regularizers: what lowers the generalization error, one class each.

"Any modification we make to a learning algorithm that is intended to reduce its generalization
error but not its training error" (Goodfellow, Bengio and Courville, 2016, chapter 5). The class has
a method for each moment of training; a regularizer overrides those that it needs. They are chosen
by name (`"l2=1e-4"`, `"early-stopping:patience=5"`) or given as objects, and work in zoo's loop and
in anybody's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.catalogue import catalogue
from zoo_core.errors import RecipeError, UnknownName, did_you_mean
from zoo_core.types import Option, RegularizerSpec


class Verdict(Enum):
    """What a regularizer makes of a validation: go on, go on and note a new best, or stop."""

    CONTINUE = "continue"
    IMPROVED = "improved"
    STOP = "stop"


class Regularizer:
    """One thing that lowers generalisation error: override the moments that it needs.

    >>> class Noise(Regularizer):
    ...     def gradients(self) -> None:
    ...         for weight in self.trained.values():
    ...             weight.grad += 0.01 * torch.randn_like(weight.grad)
    """

    def attach(
        self,
        model: nn.Module,
        *,
        optimizer: torch.optim.Optimizer | None = None,
        scaler: Any = None,
        reference: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Take hold of a model: before training, and again after each change of what trains.

        `reference`: the weights to start from by name (default: those of the first attach, kept
        from then on). Afterwards `self.model`, `self.optimizer` and `self.trained` (the weights
        that train, by name) are set.
        """
        self.model, self.optimizer, self.scaler = model, optimizer, scaler
        self.trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.decayed = {name: p for name, p in self.trained.items() if p.ndim >= 2}

    def batch(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and targets of a step."""
        return x, y

    def loss(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss to go backward from."""
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
        """After training: the weights that it stands for stay in the model."""

    def penalty(self) -> Tensor:
        """Its value now, on the device of the model; zero for those that add none."""
        return torch.zeros((), device=next(self.model.parameters()).device)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state of an earlier run."""


class Stack(Regularizer):
    """Several regularizers as one: each moment goes to all of them in order."""

    def __init__(self, members: Sequence[Regularizer]) -> None:
        self.members = tuple(members)
        replacing = [type(m).__name__ for m in self.members if _overrides(m, "passes")]
        if len(replacing) > 1:
            both = f"{' and '.join(replacing)} both"
            raise RecipeError(f"{both} replace the forward and backward pass: take one.")

    def attach(self, model: nn.Module, **given: Any) -> Stack:  # type: ignore[override]
        """Attach all of them and return the stack, so that it reads in one line."""
        super().attach(model, **given)
        for member in self.members:
            member.attach(model, **given)
        return self

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
            if _overrides(member, "passes"):
                return member.passes(closure)
        return closure()

    def gradients(self) -> None:
        for member in self.members:
            member.gradients()

    def weights(self) -> None:
        for member in self.members:
            member.weights()

    def validation(self, metrics: Mapping[str, float]) -> Verdict:
        """STOP where one says so, else IMPROVED where one says so."""
        verdicts = [member.validation(metrics) for member in self.members]
        strongest = (Verdict.STOP, Verdict.IMPROVED)
        return next((verdict for verdict in strongest if verdict in verdicts), Verdict.CONTINUE)

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for member in self.members:
                stack.enter_context(member.evaluating())
            yield

    def detach(self) -> None:
        for member in self.members:
            member.detach()

    def penalty(self) -> Tensor:
        return sum((member.penalty() for member in self.members), start=super().penalty())

    def state_dict(self) -> dict[str, Any]:
        return {str(i): member.state_dict() for i, member in enumerate(self.members)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for i, member in enumerate(self.members):
            member.load_state_dict(state[str(i)])


def _overrides(member: Regularizer, method: str) -> bool:
    return getattr(type(member), method) is not getattr(Regularizer, method)


# --- by name -------------------------------------------------------------------------------------


def regularizers(chosen: Iterable[str | Regularizer] | str | Regularizer = ()) -> Stack:
    """A stack of regularizers: by name, with options, or as objects.

    `"name"`, `"name=0.01"` (its main option), `"name:option=value,option=value"`, or both. Raises
    UnknownName, RecipeError.

    >>> len(regularizers(["l2=1e-4", "early-stopping:patience=3,restore=true"]).members)
    2
    """
    listed = [chosen] if isinstance(chosen, str | Regularizer) else list(chosen)
    return Stack([_one(item) for item in listed])


def _one(item: str | Regularizer) -> Regularizer:
    if isinstance(item, Regularizer):
        return item
    if not isinstance(item, str):
        raise RecipeError(f"A regularizer is a name or a Regularizer, not {item!r}.")
    head, _, tail = item.partition(":")
    name, has_value, value = head.partition("=")
    known = catalogue().regularizers()
    if name.strip() not in known:
        message = f'No regularizer "{name}". {did_you_mean(name, known)}'.strip()
        raise UnknownName(message, hint=f"There is: {', '.join(known)}.")
    spec = known[name.strip()]
    given = dict(_pairs(item, tail))
    if has_value:
        if spec.value is None:
            raise RecipeError(f'"{spec.name}" takes no value: "{item}".', hint=_usage(spec))
        given[spec.value] = value
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
        return spec.factory(**values)
    except ValueError as error:
        raise RecipeError(f'"{item}": {error}.', hint=_usage(spec)) from error


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
    rest = ",".join(f"{o.name}={_shown(o.default)}" for o in spec.options if o.name != spec.value)
    return f"Write {spec.name}{value}{':' if rest else ''}{rest}."


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "…" if value is None else str(value)

"""The choices of a fine-tune, checked before any work is done, and the phases of its schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from zoo_core.errors import RecipeError, UnknownName, did_you_mean
from zoo_core.training.precision import Precision
from zoo_core.training.what_trains import WORDS, is_subset

# Learning rates that fine-tuning tolerates from a head alone to a whole network of moderate depth.
RATES = {"adamw": 1e-3, "sgd": 1e-2}

# What a stage's learning rate is of that of the next one, where a schedule goes deeper.
DECAY = 0.75

# The augmentation that crops and does not mirror.
CROP = "crop"

MOST_WORKERS = 256
_NO_EPOCHS = (
    'With head="ridge" (--head ridge) there may be none: the head is solved in closed form, and '
    "that is all."
)

# First guesses that look like no other word.
_MEANT = {
    "optimizer": {"adam": "adamw", "momentum": "sgd", "nesterov": "sgd"},
    "precision": {
        "float32": "no", "fp32": "no", "32": "no", "float16": "fp16", "half": "fp16",
        "16": "fp16", "amp": "auto", "mixed": "auto", "bfloat16": "bf16",
    },
    "head": {"closed-form": "ridge", "new": "random", "none": "random", "linear": "ridge"},
    "lr_schedule": {"none": "constant", "flat": "constant", "step": "linear"},
    "balance": {"oversample": "sampler", "class_weight": "weights", "balanced": "weights"},
}  # fmt: skip

SHAPES = ("constant", "linear", "cosine")


@dataclass(frozen=True)
class PhasePlan:
    """One step of a schedule: what trains, for how many epochs.

    `what`: a layer to freeze until, a range of stages, `norm`, `bias` or `all`; "" for what trains
    already.
    """

    what: str
    epochs: int


@dataclass(frozen=True)
class Settings:
    """The numbers and choices of a fine-tune; see `zoo.finetune`."""

    epochs: int
    batch_size: int
    lr: float | None
    optimizer: str
    freeze_until: str | None
    train: str | None
    schedule: Any
    augment: bool | str | int
    cache: bool | str
    head: str
    precision: str
    compile: bool
    seed: int
    workers: int | str
    lr_schedule: str = "constant"
    warmup: float = 0.0
    layer_decay: float | None = None
    accumulate: int = 1
    balance: str | None = None
    channels_last: bool | str = "auto"
    checkpointing: bool = False
    mirrors: bool | str = "auto"

    def check(self) -> None:
        """Raise RecipeError or UnknownName for what makes no sense."""
        least = 0 if self.head == "ridge" and self.schedule is None else 1
        _whole("epochs", self.epochs, least, hint=_NO_EPOCHS if self.epochs == 0 else "")
        for name, low in (("batch_size", 1), ("seed", 0), ("accumulate", 1)):
            _whole(name, getattr(self, name), low)
        if self.seed >= 2**63:
            raise RecipeError(f"seed must be less than 2**63: {self.seed}.")
        if self.workers != "auto":
            _whole("workers", self.workers, 0)
            if int(self.workers) > MOST_WORKERS:
                raise RecipeError(f"workers={self.workers} is more than {MOST_WORKERS} processes.")
        if self.accumulate > self.batch_size:
            raise RecipeError(
                f"accumulate={self.accumulate} would leave parts of batch_size={self.batch_size} "
                "without a picture."
            )
        if self.lr is not None:
            _number("lr", self.lr, above=0)
        _number("warmup", self.warmup, least=0)
        if self.layer_decay is not None and not _number("layer_decay", self.layer_decay, above=0):
            raise RecipeError(f"layer_decay must be 1 or less: {self.layer_decay!r}.")
        _one_of("optimizer", self.optimizer, RATES)
        _one_of("precision", self.precision, ("auto", "no", "bf16", "fp16"))
        _one_of("head", self.head, ("auto", "ridge", "random"))
        _one_of("lr_schedule", self.lr_schedule, SHAPES)
        if self.balance is not None:
            _one_of("balance", self.balance, ("weights", "sampler"))
        for name in ("cache", "channels_last", "mirrors"):
            if getattr(self, name) not in ("auto", True, False):
                raise RecipeError(f'{name} is "auto", True or False: {getattr(self, name)!r}.')
        _check_augment(self.augment, self.mirrors)
        ways = [n for n in ("freeze_until", "train", "schedule") if getattr(self, n) is not None]
        if len(ways) > 1:
            raise RecipeError(f"{' and '.join(ways)} each say what trains: give one.")
        if self.train is not None and not is_subset(self.train):
            raise RecipeError(
                f"train={self.train!r} is no range of stages.",
                hint=f'Write "{self.train}:" for all from there on, "{self.train}:{self.train}" '
                f"for one stage, or {', '.join(WORDS)}.",
            )
        self.phases()

    def resolved(self, augment: bool | int | str, precision: Precision) -> dict[str, Any]:
        """For a recipe: all choices, those of "auto" as they came out where one can know it."""
        schedule = [[p.what, p.epochs] for p in self.phases()] if self.schedule else None
        table = asdict(self) | {"lr": self.rate, "schedule": schedule, "precision": precision.name}
        if not self.schedule:
            table["augment"] = augment
        if self.mirrors == "auto" or table["augment"] == CROP:  # which says it already
            table["mirrors"] = None
        return table

    @property
    def rate(self) -> float:
        """The learning rate of the last stage."""
        return RATES[self.optimizer] if self.lr is None else float(self.lr)

    @property
    def decay(self) -> float:
        """The learning rate of a stage, as a share of that of the next one."""
        if self.layer_decay is not None:
            return float(self.layer_decay)
        return DECAY if self.schedule is not None else 1.0

    def phases(self) -> list[PhasePlan]:
        """The steps of the training, in order. Raises RecipeError."""
        if self.schedule is not None:
            return _schedule(self.schedule)
        return [PhasePlan(self.train or self.freeze_until or "", self.epochs)]

    @property
    def total(self) -> int:
        """The epochs of all phases."""
        return sum(phase.epochs for phase in self.phases())


def _schedule(schedule: Any) -> list[PhasePlan]:
    """`"head=3,layer4=5"`, or pairs of what trains and epochs, as phases."""
    pairs = _parsed(schedule) if isinstance(schedule, str) else schedule
    if isinstance(pairs, Mapping):
        pairs = list(pairs.items())
    steps = list(pairs) if isinstance(pairs, Sequence) else []
    for step in steps or [None]:
        pair = isinstance(step, Sequence) and not isinstance(step, str) and len(step) == 2
        if step is None or not pair or not isinstance(step[0], str) or not step[0]:
            raise RecipeError(
                f"schedule is a list of (what trains, epochs), not {schedule!r}.",
                hint='Write [("head", 3), ("layer4", 5)], or "head=3,layer4=5".',
            )
        _whole(f'the epochs of "{step[0]}" in schedule', step[1], 1)
    return [PhasePlan(what, epochs) for what, epochs in steps]


def _parsed(text: str) -> list[tuple[str, Any]]:
    pairs = [part.strip().rpartition("=") for part in text.split(",") if part.strip()]
    return [(what.strip(), _number_of_epochs(count.strip())) for what, _, count in pairs]


def _number_of_epochs(text: str) -> int | str:
    """A whole number where it is one; int() takes none of thousands of digits."""
    return int(text) if text.isdecimal() and len(text) < 10 else text


def _check_augment(augment: Any, mirrors: Any) -> None:
    if augment == CROP and mirrors is True:
        raise RecipeError('augment="crop" leaves mirror images out, and mirrors=True wants them.')
    if augment in ("auto", CROP, True, False) and not _is_count(augment):
        return
    if not _is_count(augment) or augment < 1:
        raise RecipeError(
            f'augment is "auto", True, "crop" (no mirror images), False, or a number of fixed '
            f"views: {augment!r}."
        )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _whole(name: str, value: Any, least: int, *, hint: str = "") -> None:
    if not _is_count(value) or value < least:
        raise RecipeError(f"{name} must be a whole number, {least} or more: {value!r}.", hint=hint)


def _number(name: str, value: Any, *, above: float | None = None, least: float = 0) -> bool:
    """Whether a number is at most 1; raises RecipeError for what is none, or out of range."""
    number = isinstance(value, float | int) and not isinstance(value, bool)
    if (
        not number
        or not value < math.inf
        or (value <= above if above is not None else value < least)
    ):
        bound = f"above {above}" if above is not None else f"{least} or more"
        raise RecipeError(f"{name} must be a number {bound}: {value!r}.")
    return bool(value <= 1)


def _one_of(name: str, value: Any, choices: Iterable[str]) -> None:
    if value not in choices:
        near = did_you_mean(str(value), choices, _MEANT.get(name, {}))
        message = f"No {name} {value!r}. {near}".strip()
        raise UnknownName(message, hint=f"There is: {', '.join(choices)}.")

"""What a pass over the pictures tells: where in a network their classes can be told apart best."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo_core.advice.probe import probe
from zoo_core.advice.scores import right, shares
from zoo_core.data.pictures import Pictures
from zoo_core.model.create import create
from zoo_core.model.zoo_model import ZooModel
from zoo_core.plugins.catalogue import catalogue
from zoo_core.training.solving.calibration import losses
from zoo_core.training.solving.solve import solve

HEAD = "head"
ENOUGH_TO_TELL = 50  # pictures that tell how similar they are
CLEAR = 2.0  # standard errors by which some features are clearly better than others


@dataclass(frozen=True)
class Judged:
    """A solved head on what enters a stage, each picture left out: its log-loss (N,), whether it is
    right (N,)."""

    stage: str
    losses: Tensor
    right: Tensor

    @property
    def loss(self) -> float:
        return float(self.losses.mean())


@dataclass(frozen=True)
class Evidence:
    """Judgements of all boundaries, in order, and of the same network with random weights.

    `guess`: the log-loss of somebody who knows how large the classes are, and nothing else.
    `unsure`: by stage, why what enters it was not judged.
    """

    stages: list[Judged]
    random: list[Judged]
    guess: Tensor
    unsure: dict[str, str]

    @property
    def best(self) -> Judged:
        """The boundary of the least log-loss."""
        return min(self.stages, key=lambda judged: judged.loss)

    @property
    def head(self) -> Judged | None:
        """The network's own features."""
        return next((judged for judged in self.stages if judged.stage == HEAD), None)

    @property
    def control(self) -> Judged:
        """The best boundary of the network with random weights."""
        return min(self.random, key=lambda judged: judged.loss)

    @property
    def tells(self) -> bool:
        """Whether any boundary tells more than the sizes of the classes do."""
        return beyond_chance(self.best.losses, self.guess)

    @property
    def similarity(self) -> str:
        """How similar the pictures are to those that the network knows, as far as this tells.

        "near": its own, last features are as good as any, and clearly better than those of random
        weights; "far": random weights do as well; "medium": earlier features are better than the
        last, which know the old classes; "unknown": there are too few pictures to say, or they lean
        to none of these.
        """
        return "unknown" if self.few else self.leaning

    @property
    def few(self) -> bool:
        """Whether there are too few pictures to say how similar they are."""
        return len(self.guess) < ENOUGH_TO_TELL

    @property
    def leaning(self) -> str:
        """The same, however few pictures there are."""
        head, random = self.head, self.control
        if not beyond_chance(self.best.losses, random.losses):
            return "far"
        if head is None or beyond_chance(self.best.losses, head.losses):
            return "medium"
        # Where nothing tells these classes apart well, the last features are as good as any, too.
        return "near" if beyond_chance(head.losses, random.losses, errors=CLEAR) else "unknown"

    @property
    def earlier_is_clear(self) -> bool:
        """Whether earlier features are better than the last clearly: of several boundaries one is
        a little better by chance."""
        head = self.head
        return head is None or beyond_chance(self.best.losses, head.losses, errors=CLEAR)

    def rows(self, seed: int) -> list[dict[str, Any]]:
        """`stage, accuracy, low, high, loss` of each boundary, and `random`, the accuracy there of
        the network with random weights."""
        return [
            {"stage": own.stage, **shares(own.right, seed), "loss": own.loss,
             "random": float(other.right.mean())}
            for own, other in zip(self.stages, self.random, strict=True)
        ]  # fmt: skip


def beyond_chance(a: Tensor, b: Tensor, errors: float = 1.0) -> bool:
    """Whether a is lower than b, of the same pictures, by more than so many standard errors."""
    less = b - a
    return len(less) > 1 and bool(less.mean() > errors * less.std() / math.sqrt(len(less)))


def gathered(network: ZooModel, sample: Pictures, seed: int, progress: bool) -> Evidence:
    """Judge all boundaries of a network, and of its twin with random weights."""
    own = probe(network, sample, progress=progress)
    other = probe(_random_twin(network, seed), sample, progress=progress)
    targets, classes = sample.target_tensor(), sample.num_classes
    judged = [_judged(stage, x, targets, classes) for stage, x in own.features.items()]
    control = [_judged(stage, x, targets, classes) for stage, x in other.features.items()]
    nothing = torch.zeros(len(sample), 1)
    return Evidence(judged, control, _judged("", nothing, targets, classes).losses, own.unsure)


def _judged(stage: str, x: Tensor, targets: Tensor, classes: int) -> Judged:
    # Ridge regression alone: it tells boundaries apart as well, and takes a thirtieth of the time.
    left_out = solve(x, targets, classes=classes, refine=False).left_out
    return Judged(stage, left_out.losses, right(left_out, targets))


def _random_twin(network: ZooModel, seed: int) -> ZooModel:
    """The same network before anybody trained it."""
    name, config = catalogue().bare(network.info), network.origin.config
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        twin = create(name, pretrained=False, in_chans=network.origin.in_chans, **config)
    twin.input = network.input  # the same pictures
    return twin


def judged_on(scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Log-losses (N,) and who is right (N,) of scores (N, C), of a trained network."""
    scores = scores.double()
    if targets.ndim == 2:
        says = (scores > 0) == (targets > 0.5)
        return losses(scores, targets.double()), says.double().mean(1)
    return losses(scores, targets), (scores.argmax(1) == targets).double()

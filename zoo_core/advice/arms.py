"""Ways to use a network for new classes: how much is kept, how much is trained; tried for short."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo_core.advice.beginning import Beginning
from zoo_core.advice.budget import Budget
from zoo_core.advice.evidence import HEAD, Evidence, beyond_chance, judged_on
from zoo_core.data.loader import loader
from zoo_core.data.pictures import Pictures
from zoo_core.data.samples import Samples
from zoo_core.inference.evaluate import scored
from zoo_core.model.zoo_model import ZooModel
from zoo_core.plugins.catalogue import catalogue
from zoo_core.training.finetune import finetune
from zoo_core.training.head import has_closed_form
from zoo_core.transfer.parts import parts_of
from zoo_core.transfer.snapshot import moving
from zoo_core.weights.part import KEEP_UNTIL

KEEP, ALONE, LAST = "keep until", "head alone", "last stage"
HALF, ALL, SCRATCH = "half", "all", "from scratch"


@dataclass(frozen=True)
class Arm:
    """A way: its name, the model, and the arguments of `zoo.finetune` that it is.

    `work`: of an epoch, about, in forward passes through the network. `solved`: no steps are taken.
    """

    name: str
    model: str | Path
    how: Mapping[str, Any] = field(default_factory=dict)
    work: float = 1.0
    solved: bool = False


@dataclass(frozen=True, eq=False)
class Trial:
    """An arm as it was tried: for how many epochs and seconds, and how each of the validation
    pictures fared. `bytes`: of what training changed, which is what a run keeps."""

    arm: Arm
    epochs: int
    seconds: float
    losses: Tensor
    right: Tensor
    bytes: int

    @property
    def loss(self) -> float:
        return float(self.losses.mean())


def arms_of(start: Beginning, network: ZooModel, evidence: Evidence) -> list[Arm]:
    """The ways to try, cheapest first."""
    # to train a stage that only pools is to train none
    names, model = [part.name for part in parts_of(network) if part.params], start.model
    closed = has_closed_form(network)
    first = {**start.beside, **({"head": "ridge"} if closed else {})}
    ways = [Arm(ALONE, model, {**first, "freeze_until": HEAD}, 1.0, closed)]
    early = earlier(evidence)
    if early is not None and KEEP_UNTIL not in network.origin.config:
        ways.insert(0, kept_until(start, early))
    last, half = names[-2] if len(names) > 1 else "", names[len(names) // 2]
    if last not in ("", names[0]):
        ways.append(Arm(f"{LAST}, {last}", model, {**first, "freeze_until": last}, 1.5))
    if half not in (last, HEAD, names[0]):
        ways.append(Arm(f"{HALF}, from {half}", model, {**first, "freeze_until": half}, 2.2))
    ways.append(Arm(ALL, model, {**first, "train": "all"}, 3.0))
    config = start.beside.get("config") or dict(network.origin.config) or None
    scratch = {"train": "all", "pretrained": False, "config": config}
    ways.append(Arm(SCRATCH, catalogue().bare(network.info), scratch, 3.0))
    return ways


def kept_until(start: Beginning, stage: str) -> Arm:
    """A solved head on what enters a stage before the head, and nothing behind it."""
    how = {**start.beside, "head": "ridge", "keep_until": stage, "freeze_until": HEAD}
    return Arm(f"{KEEP} {stage}", start.model, how, 1.0, True)


def earlier(evidence: Evidence) -> str | None:
    """The last boundary before the head that is as good as any before it, within one standard
    error, where the network's own features are not better than what enters there.

    The least loss of many boundaries is one by chance, where pictures are few, and what is late in
    a network is better on average.
    """
    before = [judged for judged in evidence.stages if judged.stage != HEAD]
    if not before:
        return None
    best, head = min(before, key=lambda judged: judged.loss), evidence.head
    latest = next(one for one in reversed(before) if not beyond_chance(best.losses, one.losses))
    if head is None:
        return latest.stage
    same = torch.equal(head.losses, latest.losses)  # only pooling lies between
    return None if same or beyond_chance(head.losses, latest.losses) else latest.stage


def arguments(arm: Arm, epochs: int, count: int, seed: int) -> dict[str, Any]:
    """The arguments of `zoo.finetune` for an arm, beside model and data; `count`: of pictures."""
    how: dict[str, Any] = {"augment": False, "batch_size": batch_size(count), "seed": seed}
    if not arm.solved:
        how |= {"lr_schedule": "cosine"}
    return {**how, "epochs": 0 if arm.solved else epochs, **arm.how}


def batch_size(count: int) -> int:
    """At least ten steps an epoch, as far as batches of 8 have them.

    >>> batch_size(50), batch_size(300), batch_size(5000)
    (8, 16, 64)
    """
    return next((size for size in (64, 32, 16) if count >= 10 * size), 8)


def tried(arm: Arm, train: Pictures, val: Pictures, epochs: int, seed: int) -> Trial:
    """Train an arm, and see how it does on pictures that were held out."""
    start = Budget.clock()
    how = arguments(arm, epochs, len(train), seed)
    run = finetune(arm.model, train, val=val, out=False, progress=False, **how)
    seconds = Budget.clock() - start
    held_out = run.held_out
    assert held_out is not None
    samples = Samples(held_out, run.model.transform(), random=False, seed=0)
    with contextlib.closing(loader(samples, 64, shuffle=False, workers=0)) as batches:
        scores, targets = scored(run.model, batches)
    lost, hits = judged_on(scores.cpu(), targets.cpu())
    size = sum(tensor.nbytes for tensor in moving(run.model).values())
    return Trial(arm, how["epochs"], seconds, lost, hits, size)


def is_finite(trial: Trial) -> bool:
    """Whether it came to numbers at all."""
    return bool(torch.isfinite(trial.losses).all())

"""Scores of all pictures of a feed, by all processes together, and what they come to."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from zoo_core.data.loader import Feed
from zoo_core.training.loaders import Supply
from zoo_core.training.task import Task
from zoo_core.transfer.modes import evaluating


def scores_of(task: Task, supply: Supply, feed: Feed) -> Tensor:
    """The scores (N, C) of pictures in order, in float32 on the CPU, on every process."""
    scores, places = [], []
    with evaluating(task.model), torch.inference_mode():
        for batch in feed.epoch(1):
            h = supply.entering(batch.x)
            with task.precision.autocast():
                scores.append(task.model(h).float())
            places.append(batch.indices)
    return task.processes.in_order(torch.cat(scores).cpu(), torch.cat(places), feed.order.size)


def validated(task: Task, supply: Supply, feed: Feed) -> dict[str, float]:
    """Mean log-loss, and the share that is right: of pictures, or of each yes and no."""
    return measures(scores_of(task, supply, feed), feed.samples.targets)


def measures(scores: Tensor, targets: Tensor) -> dict[str, float]:
    """`loss` and `accuracy` of scores (N, C).

    `targets`: (N,), or (N, C) of 0 and 1 where a picture may have several labels.
    """
    if targets.ndim == 2:
        loss = functional.binary_cross_entropy_with_logits(scores, targets)
        right = (scores > 0) == (targets > 0.5)
    else:
        loss = functional.cross_entropy(scores, targets)
        right = scores.argmax(1) == targets
    return {"loss": loss.item(), "accuracy": right.double().mean().item()}

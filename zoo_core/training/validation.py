"""Scores of all pictures of a feed, by all processes together, and what they come to."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from zoo_core.data.loader import Feed
from zoo_core.model.zoo_model import ZooModel
from zoo_core.training.distributed import Processes
from zoo_core.training.loaders import Supply
from zoo_core.transfer.modes import evaluating


def scores_of(model: ZooModel, feed: Feed, supply: Supply, processes: Processes) -> Tensor:
    """The scores (N, C) of pictures in order, in float32 on the CPU, on every process."""
    found, places = [], []
    with evaluating(model), torch.inference_mode():
        for batch in feed.epoch(1):
            h = supply.entering(batch.x)
            with supply.precision.autocast():
                found.append(model(h).float())
            places.append(batch.indices)
    return processes.in_order(torch.cat(found).cpu(), torch.cat(places), feed.order.size)


def validated(scores: Tensor, targets: Tensor) -> dict[str, float]:
    """Mean log-loss, and the share that is right: of pictures, or of each yes and no.

    `scores`: (N, C). `targets`: (N,), or (N, C) of 0 and 1 where a picture may have several labels.
    """
    if targets.ndim == 2:
        loss = functional.binary_cross_entropy_with_logits(scores, targets)
        right = (scores > 0) == (targets > 0.5)
    else:
        loss = functional.cross_entropy(scores, targets)
        right = scores.argmax(1) == targets
    return {"loss": loss.item(), "accuracy": right.double().mean().item()}

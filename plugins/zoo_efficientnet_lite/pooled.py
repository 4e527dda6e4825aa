"""What enters each stage of a network, as numbers of each picture: the mean of each map."""

from __future__ import annotations

import torch
from torch import Tensor

import zoo_core as zoo
from zoo_core.chain import run_stages
from zoo_core.data import Pictures

BATCH = 16


def pooled(model: zoo.ZooModel, pictures: Pictures) -> dict[str, Tensor]:
    """For each stage behind the first, what enters it (N, C), maps averaged; `head`: as it is.

    One pass gives the features of `keep_until` every stage, and those of the network itself.
    """
    transform = model.transform()
    found: dict[str, list[Tensor]] = {stage: [] for stage in list(model.chain)[1:]}
    model.eval()
    for start in range(0, len(pictures), BATCH):
        batch = range(start, min(start + BATCH, len(pictures)))
        h = torch.stack([transform(pictures.read(i)) for i in batch])
        with torch.inference_mode():
            for name, stage in model.chain.items():
                if name in found:
                    found[name].append(h.mean((2, 3)) if h.ndim == 4 else h)
                if name != "head":
                    h = run_stages(model, [stage], h)
    return {name: torch.cat(parts) for name, parts in found.items()}


def balanced(scores: Tensor, targets: Tensor) -> float:
    """The mean over the classes of the share of their pictures that is found, in [0, 1].

    `scores`: (N, C); `targets`: (N,). Chance is 1 / C, however many pictures each class has.

    >>> balanced(torch.tensor([[1.0, 0], [1, 0], [1, 0], [1, 0]]), torch.tensor([0, 0, 0, 1]))
    0.5
    """
    right = (scores.argmax(1) == targets).double()
    return torch.stack([right[targets == c].mean() for c in targets.unique()]).mean().item()

"""Some pictures of many: by seed, each class with its share, none without a picture."""

from __future__ import annotations

import torch

from zoo_core.data.pictures import Pictures


def sampled(pictures: Pictures, most: int, seed: int) -> Pictures:
    """All pictures, or about `most` of them, in their order."""
    if len(pictures) <= most:
        return pictures
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(pictures), generator=generator).tolist()
    by_class: dict[object, list[int]] = {}
    for index in order:
        by_class.setdefault(pictures.targets[index], []).append(index)
    share = most / len(pictures)
    chosen = [i for own in by_class.values() for i in own[: max(round(len(own) * share), 1)]]
    return pictures.subset(sorted(chosen))

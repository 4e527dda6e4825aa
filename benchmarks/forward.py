"""A forward pass with weights in the mapped file against the same weights copied into memory."""

from __future__ import annotations

import copy

from benchmarks.measure import Row, alternate, at_most, ms, show
from benchmarks.weights import resnet50_file

ROUNDS = 25


def measure() -> list[Row]:
    import torch

    import zoo_core as zoo

    rows = []
    with resnet50_file() as path, torch.inference_mode():
        mapped = zoo.create("resnet50", pretrained=path).eval()
        copied = copy.deepcopy(mapped)
        for batch in (1, 8):
            x = torch.rand(batch, 3, 224, 224)
            ways = {"mapped": lambda x=x: mapped(x), "copied": lambda x=x: copied(x)}
            times = alternate(ways, ROUNDS if batch == 1 else ROUNDS // 3)
            name = f"ResNet-50 forward, batch {batch}: mapped weights against copied"
            both = ms(times.median("mapped")), ms(times.median("copied"))
            rows.append(at_most(name, *both, times.ratio("mapped", "copied"), 1.05))
    return rows


if __name__ == "__main__":
    show(measure())

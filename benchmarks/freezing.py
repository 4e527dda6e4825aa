"""A training step of a ResNet-50 frozen until layer4, against one of the whole network."""

from __future__ import annotations

from typing import Any

from benchmarks.measure import Row, alternate, ms, show

ROUNDS = 5


def measure() -> list[Row]:
    import torch

    import zoo_core as zoo

    x, y = torch.rand(8, 3, 160, 160), torch.arange(8) % 10
    ways = {}
    for name, layer in (("frozen", "layer4"), ("all", None)):
        model = zoo.create("resnet50", num_classes=10, freeze_until=layer).train()
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(trained, lr=1e-4, momentum=0.9)
        ways[name] = lambda model=model, optimizer=optimizer: step(model, optimizer, x, y)
    times = alternate(ways, ROUNDS)
    what = "training step, ResNet-50 frozen until `layer4` against everything trained"
    both = ms(times.median("frozen")), ms(times.median("all"))
    return [Row(what, *both, times.ratio("all", "frozen"), "x", "-", None)]


def step(model: Any, optimizer: Any, x: Any, y: Any) -> None:
    from torch.nn.functional import cross_entropy

    optimizer.zero_grad()
    cross_entropy(model(x), y).backward()
    optimizer.step()


if __name__ == "__main__":
    show(measure())

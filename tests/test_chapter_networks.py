"""What the pages of docs/chapter on networks say in their words and answers holds."""

from __future__ import annotations

import re
from typing import Any

from test_docs import ROOT
from torch import nn

import zoo_core as zoo
from benchmarks import how_far_back


def text_of(page: str) -> str:
    text = (ROOT / "docs" / "chapter" / f"{page}.md").read_text(encoding="utf-8")
    return re.sub(r"\{,\}", ",", text)  # a comma in a number, for TeX


def weights(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def says(page: str, number: int) -> bool:
    return bool(re.search(rf"(?<![\d,.]){number:,}(?!,?\d)", text_of(page)))


def test_lenet_has_the_numbers_of_the_book() -> None:
    model = zoo.create("lenet5")
    counts = [
        sum(p.numel() for name, p in model.named_parameters() if stage.has(name))
        for stage in model.chain.values()
    ]
    assert counts == [156, 2_416, 48_120, 10_164, 850] and sum(counts) == 61_706
    assert [n for n in (*counts, sum(counts)) if not says("lenet", n)] == []


def test_the_answers_on_lenet() -> None:
    assert says("lenet", weights(nn.Conv2d(1, 6, 3))) and weights(nn.Conv2d(1, 6, 3)) == 60
    assert says("lenet", 4_704 * (1_024 + 1))
    side = ((64 - 4) // 2 - 4) // 2
    assert says("lenet", weights(nn.Linear(16 * side**2, 120)))


def test_the_answers_on_alexnet() -> None:
    model = zoo.create("alexnet")
    fc6 = next(layer for layer in model.modules() if isinstance(layer, nn.Linear))
    assert says("alexnet", weights(fc6)) and says("alexnet", weights(nn.Linear(256, 4_096)))
    assert round(weights(fc6) / weights(nn.Linear(256, 4_096))) == 36


def test_the_answers_on_inception() -> None:
    reduced, wide = zoo.create("googlenet").inception3a.branch2
    c, m, r = reduced.conv.in_channels, wide.conv.out_channels, reduced.conv.out_channels
    assert (c, m, r) == (192, 128, 96)

    def saves(k: int, r: int) -> bool:
        return c * r + k**2 * r * m < k**2 * c * m

    assert saves(3, 164) and not saves(3, 165)
    assert saves(1, 76) and not saves(1, 77)


def test_the_answers_on_resnet() -> None:
    block = zoo.create("resnet18").layer2[0]
    assert weights(block.downsample[0]) == 8_192 and says("resnet", 8_192)
    assert says("resnet", weights(block.conv1)) and says("resnet", weights(block.conv2))
    assert block.conv1.bias is None
    assert f"{0.8**40:.5f}" in text_of("resnet") and f"{0.99**20:.2f}" in text_of("resnet")


def test_what_is_said_of_how_far_back_is_what_was_measured() -> None:
    found = how_far_back.results()

    def mean(*job: Any) -> float:
        return 100 * sum(found[how_far_back.Job(*job[:2], s, job[2])] for s in range(3)) / 3

    for count in how_far_back.TASKS["near"].counts:
        best = max(mean("near", count, way) for way in how_far_back.WAYS)
        assert best - mean("near", count, "head") <= 0.4
    assert f"{mean('near', 5, 'head'):.1f}%" in text_of("how-far-back")
    assert f"{mean('near', 5, 'scratch'):.1f}%" in text_of("how-far-back")
    behind = [
        mean("far", count, "scratch") - mean("far", count, "head")
        for count in how_far_back.TASKS["far"].counts
    ]
    assert [round(min(behind)), round(max(behind))] == [14, 19]
    for count in how_far_back.TASKS["far"].counts:
        ways = {way: mean("far", count, way) for way in how_far_back.WAYS}
        assert max(ways, key=lambda way: ways[way]) == "scratch"

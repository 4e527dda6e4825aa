"""model.draw(): one function draws every chain, from its stages."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

import zoo_core as zoo
from zoo_core.pages.drawing import Solid, drawing

SVG = "{http://www.w3.org/2000/svg}"


def words(svg: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_a_stage_has_its_name_its_output_and_its_parameters() -> None:
    drawn = zoo.create("lenet5").freeze_until("fc1").draw()
    said = words(drawn)
    assert said[:6] == ["picture", "1×32×32", "", "conv1", "6×14×14", "156"]
    assert [said[said.index(stage) + 2] for stage in ("conv2", "fc1", "fc2", "head")] == [
        *("2,416", "48,120", "10,164", "850")
    ]
    assert said.count("frozen") == 2 and drawn.count("stroke-dasharray") == 6
    [told] = re.findall('role="img" aria-label="([^"]+)"', drawn)
    assert "conv1 6×14×14, 156 parameters, frozen; " in told and told.endswith("850 parameters")


@pytest.mark.parametrize(
    "name", ["resnet18", "googlenet", "efficientnet_lite0", "timm/vit_tiny_patch16_224"]
)
def test_any_chain_is_drawn(name: str) -> None:
    model = zoo.create(name, pretrained=False)
    said = words(model.draw())
    assert [stage for stage in model.chain if stage not in said] == []
    assert "no weights" in said  # of the pooling


@pytest.mark.parametrize(
    ("shape", "maps"),
    [((6, 14, 14), (6, 14)), ((84,), (84, 1)), ((197, 64), (64, 197**0.5)), ((7, 7, 96), (96, 7))],
)
def test_maps_are_known_by_their_shape(shape: tuple[int, ...], maps: tuple[int, float]) -> None:
    assert Solid("one", shape).maps == maps


def test_a_name_stays_text() -> None:
    drawn = drawing('<b>"', [Solid("<script>", (3, 8, 8)), Solid("head", (2,), 10)])
    assert "<script>" in words(drawn) and "<script>" not in drawn


def test_a_file_is_read_by_light_and_by_dark(tmp_path: Path) -> None:
    saved = zoo.create("lenet5").draw().save(tmp_path / "lenet.svg")
    text = saved.read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in text and "conv2" in words(text)
    with pytest.raises(zoo.ZooError, match="cannot be written"):
        zoo.create("lenet5").draw().save(tmp_path / "none" / "lenet.svg")

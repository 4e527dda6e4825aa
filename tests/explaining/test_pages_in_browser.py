"""The page of explain() in a browser: readable by anybody, each picture beside its map."""

from typing import Any

import pytest
from PIL import Image
from support.browser import Looking

import zoo_core as zoo


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_picture_stands_beside_its_map(
    tmp_path: Any, look: Looking, findings: Any, scheme: str
) -> None:
    found = zoo.explain("lenet5", Image.new("L", (28, 28), 90))
    page = look(found.save(tmp_path / "page.html"), color_scheme=scheme)
    assert findings(page) == []
    seen, shown = (page.locator(".pair img").nth(i).bounding_box() for i in range(2))
    assert seen["y"] == shown["y"] and seen["x"] + seen["width"] <= shown["x"]

"""The page of inspect() in a browser: readable by anybody."""

from typing import Any

import pytest
from support.browser import Looking

import zoo_core as zoo


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_inspection_is_readable_by_anybody(
    tmp_path: Any, look: Looking, findings: Any, scheme: str
) -> None:
    found = zoo.inspect("digits#test", "lenet5", progress=False)
    page = look(found.save(tmp_path / "look.html"), color_scheme=scheme)
    for summary in page.query_selector_all("details:not([open]) > summary"):
        summary.click()
    assert findings(page) == []

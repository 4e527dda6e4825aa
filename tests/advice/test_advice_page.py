"""The page of a question, in a browser: readable by anybody, and it asks nobody for anything."""

from typing import Any

import pytest
from support.browser import Looking

import zoo_core as zoo


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_advice_is_readable_by_anybody(
    tmp_path: Any, look: Looking, findings: Any, scheme: str
) -> None:
    advice = zoo.advise("lenet5", "digits#test", budget="3s", progress=False)
    page = look(advice.save(tmp_path / "advice.html"), color_scheme=scheme)
    assert page.inner_text("h1")
    assert findings(page) == []

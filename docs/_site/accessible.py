"""What a keyboard and a screen reader need, and the theme leaves out."""

from __future__ import annotations

import re
from typing import Any

# A signature of several lines is a list without terms, which is none: lines are all that it is.
SIGNATURE = re.compile(r'<dl>\n(<dd><em class="sig-param">.*?)</dl>\n', re.S)

MENDED = {
    'role="heading">': 'role="heading" aria-level="2">',  # captions of the navigation
    "<pre>": '<pre tabindex="0">',  # what is too wide scrolls, by keys too
    '<summary aria-label="Toggle hidden content">': "<summary>",  # of a cell: it is what it says
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
}


def mend(app: Any, pagename: str, template: str, context: dict[str, Any], tree: Any) -> None:
    for name in ("furo_navigation_tree", "body"):
        text = context.get(name)
        if isinstance(text, str):
            for wrong, right in MENDED.items():
                text = text.replace(wrong, right)
            context[name] = SIGNATURE.sub(lambda found: _as_lines(found[1]), text)


def _as_lines(items: str) -> str:
    return items.replace("<dd>", '<span class="sig-line">').replace("</dd>", "</span>")


def setup(app: Any) -> dict[str, Any]:
    app.connect("html-page-context", mend, priority=900)  # after the theme
    return {"parallel_read_safe": True, "parallel_write_safe": True}

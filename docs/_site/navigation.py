"""The navigation is what index.md says: its headings are groups, its lists the pages in them.

A page that stands below another one in a list is below it in the navigation, too. So a page that no
list has is a warning of Sphinx, and every page has a way to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

LINK = re.compile(r"\[[^\]]+\]\((?!https?:)([^)#]+)\.(?:md|rst)\)")
HOME = "index"


class Entry(NamedTuple):
    """A page in the navigation: the one that it is below, and the caption that it stands under."""

    parent: str
    caption: str
    page: str


def entries(text: str) -> Iterator[Entry]:
    """The pages that index.md leads to, in order.

    >>> list(entries("## Learn\\n- [A](a.md): first\\n  - [B](b.md)"))[1]
    Entry(parent='a', caption='', page='b')
    """
    caption, above = "", HOME
    for line in text.splitlines():
        if line.startswith("## "):
            caption = line[3:].strip()
        elif re.match(r" *- ", line):
            is_below = line.startswith(" ")
            for page in LINK.findall(line):
                yield Entry(above if is_below else HOME, "" if is_below else caption, page)
                above = above if is_below else page


def toctrees(text: str, parent: str) -> Iterator[tuple[str, list[str]]]:
    """Captions and pages of what is below a page."""
    groups: dict[str, list[str]] = {}
    for entry in entries(text):
        if entry.parent == parent:
            groups.setdefault(entry.caption, []).append(f"/{entry.page}")
    yield from groups.items()


def in_markdown(caption: str, pages: list[str]) -> str:
    options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(["", "", "```{toctree}", *options, "", *pages, "```", ""])


def in_rst(caption: str, pages: list[str]) -> str:
    options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(
        ["", "", ".. toctree::", *(f"   {line}" for line in (*options, "", *pages)), ""]
    )


def add_toctrees(app: Any, docname: str, source: list[str]) -> None:
    """What Sphinx reads at the end of a page: its hidden tables of contents."""
    index = Path(app.srcdir) / f"{HOME}.md"
    is_markdown = Path(app.env.doc2path(docname)).suffix == ".md"
    for caption, pages in toctrees(index.read_text(encoding="utf-8"), docname):
        source[0] += (in_markdown if is_markdown else in_rst)(caption, pages)


def setup(app: Any) -> dict[str, Any]:
    app.connect("source-read", add_toctrees)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

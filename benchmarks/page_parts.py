"""A page that several commands write, each its own part of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path


def put(page: Path, name: str, text: str) -> None:
    """Write the part of a page that begins with the comment `name`, and leave the others.

    A new part goes to the end.
    """
    whole = page.read_text(encoding="utf-8") if page.exists() else ""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    part = f"{begin}\n\n{text.strip()}\n\n{end}"
    found = re.compile(f"{begin}.*{end}", re.DOTALL)
    if found.search(whole):
        whole = found.sub(lambda _: part, whole)
    else:
        whole = f"{whole.rstrip()}\n\n{part}".lstrip()
    page.write_text(whole.rstrip() + "\n", encoding="utf-8")


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows under their titles: words of the first column on the left, figures on the right.

    >>> print(table(["way", "regret"], [["all", "1.75"]]))
    | way | regret |
    |---|--:|
    | all | 1.75 |
    """
    below = "|---|" + "--:|" * (len(titles) - 1)
    lines = ["| " + " | ".join(cells) + " |" for cells in (titles, *rows)]
    return "\n".join([lines[0], below, *lines[1:]])

"""Other people's text in Markdown, and which part of a README is zoo's own."""

from __future__ import annotations

import re

from zoo_core.errors import PublishError
from zoo_core.humanize import readable_name

BEGIN = "<!-- zoo: what stands between this mark and the next is written anew by each push -->"
END = "<!-- /zoo -->"

_MARK = re.compile(f"{re.escape(BEGIN)}|{re.escape(END)}")
_OWN = re.compile(rf"{re.escape(BEGIN)}.*?{re.escape(END)}\n?", re.DOTALL)

# What begins or ends something within a line; an underscore does so at the rim of a word only.
_SPECIAL = re.compile(r"[\\`*\[|~$]|(?<!\w)_|_(?!\w)")
_ENTITY = re.compile(r"&(?=#?\w+;)")


def plain(text: object) -> str:
    """Any text as such, within a line or a table's cell.

    >>> plain("great_white_shark"), plain("a|b"), plain("<b>")
    ('great_white_shark', 'a\\\\|b', '&lt;b>')
    """
    escaped = _SPECIAL.sub(lambda found: f"\\{found[0]}", readable_name(text))
    return _ENTITY.sub("&amp;", escaped).replace("<", "&lt;")


def code(text: object) -> str:
    """A name in the font of code, where Markdown can write it so.

    >>> code("resnet18"), code("a`b")
    ('`resnet18`', 'a\\\\`b')
    """
    shown = readable_name(text)
    return plain(text) if not shown.strip() or {"`", "|"} & {*shown} else f"`{shown}`"


def own_part(text: str) -> str:
    """zoo's part of a README between its marks, which nothing in it can be taken for."""
    inside = text.strip().replace("<!--", "&lt;!--")
    return f"{BEGIN}\n\n{inside}\n\n{END}\n"


def with_own_part(readme: str, own: str) -> str:
    """A README whose own part is this one: in place of the one that is there, or at the end."""
    if not _OWN.search(readme):
        return readme.rstrip() + f"\n\n{own}"
    before, *after = _OWN.split(readme)
    return before + own + "".join(after)


def check_marks(readme: str) -> None:
    """Raise PublishError where a mark has no other half: whose text stands there, nobody knows."""
    wanted = BEGIN
    opened = 0
    for found in _MARK.finditer(readme):
        line = readme.count("\n", 0, found.start()) + 1
        if found[0] != wanted:
            raise _odd(opened if wanted == END else line)
        wanted, opened = (END, line) if wanted == BEGIN else (BEGIN, 0)
    if opened:
        raise _odd(opened)


def _odd(line: int) -> PublishError:
    return PublishError(
        f"The README.md that is there has one of zoo's two marks alone, in line {line}.",
        hint=f'Remove that mark, or write its other half ("{END}" ends zoo\'s part); push again.',
    )

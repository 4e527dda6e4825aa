"""Docstrings of zoo as Sphinx reads them.

They say what an argument or a field means in running text, "`size`: the side of a picture.". On a
page each of them stands on a line of its own. The names of errors become links.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

NAMED = re.compile(r"(?:^|(?<=[.;:] ))((?:`\w+`(?:, | and ))*`\w+`): ")
RAISES = re.compile(r"(?<=[.;:] )(?=Raises [A-Z])")
PRIVATE = re.compile(r", _\w+: [^=]*= <factory>")
ERROR = re.compile(r"(?<![`\w.])([A-Z]\w+Error|HashMismatch|NotCached|NotInstalled|UnknownName)\b")


def apart(paragraph: list[str], known: set[str]) -> list[str]:
    """A paragraph with what it says of each name in a list of definitions.

    >>> apart(["All. `a`: one. `b`: two,", "`c`: no."], {"a", "b"})
    ['All.', '', '``a``', '    one.', '', '``b``', '    two, `c`: no.', '']
    """
    text = " ".join(line.strip() for line in paragraph)
    places = [m for m in NAMED.finditer(text) if set(re.findall(r"`(\w+)`", m[1])) <= known]
    if not places or re.match(r"[-*>] |>>>", text):
        return paragraph
    lead = text[: places[0].start()].strip()
    lines, last = [lead, ""] if lead else [], ""
    for place, after in zip(places, [*places[1:], None], strict=True):
        said = text[place.end() : after.start() if after else None].strip()
        said = re.sub(r";$", ".", said)
        said, *raises = RAISES.split(said, maxsplit=1)
        lines += [place[1].replace("`", "``"), f"    {said.strip()}", ""]
        last = last or "".join(raises)
    return [*lines, last, ""] if last else lines


def listed(item: list[str], known: set[str]) -> list[str]:
    """The same for an item of a list: "- `a`: one. `b`: two." are two items."""
    text = " ".join(line.strip() for line in item)[2:]
    places = [m for m in NAMED.finditer(text) if set(re.findall(r"`(\w+)`", m[1])) <= known]
    return item if not places else apart([text], known)


def names_of(what: str, thing: Any) -> set[str]:
    """The arguments of a function, or the arguments and fields of a class.

    >>> class Both:
    ...     field: int = 0
    ...     def __init__(self, given=1):
    ...         self.kept = given
    >>> {"field", "given", "kept"} <= names_of("class", Both)
    True
    """
    names: set[str] = set()
    for one in (thing, getattr(thing, "__init__", None)):
        try:
            names |= set(inspect.signature(one).parameters)
        except (TypeError, ValueError):
            continue
    for base in getattr(thing, "__mro__", ()):
        names |= set(getattr(base, "__annotations__", ())) | set(vars(base))
        made = getattr(vars(base).get("__init__"), "__code__", None)
        names |= set(made.co_names) if made else set()  # among them, what it sets on self
    return names


def process(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    known, out, paragraph = names_of(what, thing), [], []
    for line in [*lines, ""]:
        starts_item = line.startswith("- ")
        if paragraph and (not line.strip() or starts_item):
            out += _shown(paragraph, known)
            paragraph = []
        if line.strip():
            paragraph.append(line)
        else:
            out.append("")
    lines[:] = out


def _shown(paragraph: list[str], known: set[str]) -> list[str]:
    first = paragraph[0]
    if first.startswith((" ", ">>>", "..")):
        return paragraph
    shown = listed(paragraph, known) if first.startswith("- ") else apart(paragraph, known)
    return [ERROR.sub(r":py:class:`~zoo_core.\1`", line) for line in shown]


def readable(
    app: Any, what: str, name: str, thing: Any, options: Any, signature: str | None, returns: Any
) -> tuple[str | None, Any]:
    """A signature as somebody would write it.

    Without what is private, the class of paths of this system, and <factory>.

    >>> readable(None, "", "", None, None, "(rows: list, _own: dict[str, int] = <factory>)", "")
    ('(rows: list)', '')
    """
    if signature is not None:
        signature = PRIVATE.sub("", signature)
        signature = signature.replace("PosixPath(", "Path(").replace("<factory>", "...")
    return signature, returns


def setup(app: Any) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", process)
    app.connect("autodoc-process-signature", readable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

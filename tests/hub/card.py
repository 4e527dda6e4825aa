"""The metadata at the top of a README.md: read and checked as far as the tests need it.

Top-level words and lists of words are understood; deeper values, such as `model-index`, are
skipped, not checked.
"""

from __future__ import annotations

import re
from typing import Any

from hub.files import File

ENTRY = re.compile(r"([A-Za-z_][\w-]*):(?:\s+(.*))?")
IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9.+-]*")
WORD = r"[\w.-]+"
SHAPES = {
    "license": IDENTIFIER,
    "pipeline_tag": IDENTIFIER,
    "library_name": re.compile(WORD),
    "base_model": re.compile(f"{WORD}(/{WORD})?"),
    "datasets": re.compile(f"{WORD}(/{WORD})?"),
}


def block(text: str) -> list[str] | None:
    """The lines between the two lines of dashes; None where there is no metadata."""
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[0].rstrip() != "---":
        return None
    ends = [number for number, line in enumerate(lines[1:], 1) if line.rstrip() == "---"]
    return lines[1 : ends[0]] if ends else ["an opening line of dashes without a closing one"]


def metadata(lines: list[str]) -> tuple[dict[str, Any], list[str]]:
    """What the lines say, and what is wrong with them."""
    found: dict[str, Any] = {}
    errors, key = [], ""
    for line in lines:
        entry = ENTRY.fullmatch(line.rstrip())
        if entry:
            key = entry[1]
            errors += [f"duplicated mapping key {key!r}"] if key in found else []
            found[key] = scalar(entry[2] or "")
        elif line.startswith("\t"):
            errors.append("a tab cannot indent")
        elif line.startswith(("- ", "  - ")) and key:
            found[key] = [*(found[key] or []), scalar(line.lstrip()[2:])]
        elif line.strip() and not line.startswith((" ", "#", "- ")):
            errors.append(f"cannot read {line!r}")
    return found, errors


def scalar(text: str) -> Any:
    """A word or a list in brackets; None for what is empty or deeper."""
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        return [scalar(part) for part in text[1:-1].split(",") if part.strip()]
    return text.strip("'\"") or None


def check(text: str) -> tuple[list[str], list[str]]:
    """Errors and warnings, as the Hub gives them for a README.md."""
    lines = block(text)
    if lines is None:
        return [], ["empty or missing yaml metadata in repo card"]
    found, errors = metadata(lines)
    for key, shape in SHAPES.items():
        for value in values(found.get(key)):
            errors += [] if shape.fullmatch(value) else [f'"{key}" is not valid: {value!r}']
    return errors, []


def values(value: Any) -> list[str]:
    return [str(v) for v in (value if isinstance(value, list) else [value]) if v is not None]


def facts(readme: File | None) -> dict[str, Any]:
    """The part of a model's facts that comes from its card."""
    lines = (
        block(readme.content.decode(errors="replace")) if readme and readme.sha256 is None else None
    )
    found, _ = metadata(lines or [])
    plain = {key: value for key, value in found.items() if value and key != "model-index"}
    tags = values(plain.get("tags"))
    for key, prefix in {"license": "license:", "base_model": "base_model:"}.items():
        tags += [prefix + value for value in values(plain.get(key))]
    known = {key: plain[key] for key in ("pipeline_tag", "library_name") if key in plain}
    return known | {"tags": [*known.values(), *tags], "cardData": plain}

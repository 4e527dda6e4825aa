"""Times, sizes, names and tables as people read them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any


def duration(seconds: float) -> str:
    """A time in its two largest units.

    >>> duration(0.031), duration(2.34), duration(75), duration(7380)
    ('0.031 s', '2.3 s', '1 min 15 s', '2 h 3 min')
    """
    if seconds < 0.95:
        return f"{seconds:.2g} s"
    if round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, hours = whole // 60, whole // 3600
    return f"{minutes} min {whole % 60} s" if hours == 0 else f"{hours} h {minutes % 60} min"


def byte_size(count: float) -> str:
    """A number of bytes in units of 1,000, with two digits or more.

    >>> byte_size(81_920), byte_size(1_430_000_000), byte_size(512)
    ('82 kB', '1.4 GB', '512 B')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.1f} {unit}" if count < 9.95 and unit != "B" else f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def one_line(text: object) -> str:
    """Any text, or that of an error, on one line.

    >>> one_line(ValueError("size mismatch:\\n    got 3"))
    'size mismatch: got 3'
    """
    return " ".join(str(text).split())


def shortened(text: str, most: int) -> str:
    """A text of up to `most` letters: of a longer one the middle is left out.

    >>> shortened("a" * 9 + "/cat.png", 12), shortened("cat.png", 12)
    ('aaaaaa…t.png', 'cat.png')
    """
    if len(text) <= most:
        return text
    tail = most // 2 - 1
    return f"{text[: most - tail - 1]}…{text[len(text) - tail :]}"


def some(names: Sequence[str], most: int = 5) -> str:
    """The first of some names, readable, and whether there are more.

    >>> some(["cat", "dog"]), some("abcdef", most=2)
    ('cat, dog', 'a, b, …')
    """
    return ", ".join(map(readable_name, names[:most])) + (", …" if len(names) > most else "")


def clipped(text: object, most: int = 100) -> str:
    """Text of so many characters at most: of what is longer, the beginning and the end.

    >>> clipped("a long name of a class", 12)
    'a long …lass'
    """
    whole = str(text)
    if len(whole) <= most:
        return whole
    end = most // 3
    return f"{whole[: most - 1 - end]}…{whole[-end:]}"


# Half characters that stand for no byte: JSON may hold them, and no encoding takes them.
_HALVES = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def printable(name: object) -> str:
    """A name that can be printed and saved anywhere: bytes in it that are no UTF-8 are shown.

    >>> printable(b"caf\\xe9.png".decode("utf-8", "surrogateescape"))
    'caf\\\\xe9.png'
    """
    text = _HALVES.sub(_escaped, str(name))
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


# C0 and C1 (line ends, escape sequences), the two Unicode line ends, what turns the direction, and
# marks of the text's own structure, which nothing shows
_HIDDEN = "\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb\U000e0001"
_CONTROLS = re.compile(f"[\x00-\x1f{_HIDDEN}]")
_CONTROLS_IN_LINES = re.compile(f"[\x00-\x08\x0b-\x1f{_HIDDEN}]")
_NOT_IN_JSON = re.compile(f"[\ud800-\udfff{_HIDDEN}]")


def readable_name(name: object) -> str:
    """A printable name on one line, for a message: control characters are shown, not obeyed.

    >>> readable_name("two\\nlines.png"), readable_name("\\x1b]0;title\\x07")
    ('two\\\\nlines.png', '\\\\x1b]0;title\\\\x07')
    """
    text = str(name)
    return text if text.isprintable() else _CONTROLS.sub(_escaped, printable(text))


def readable_text(text: object) -> str:
    """The same for text of several lines: line breaks and tabs stay.

    >>> readable_text("one\\n\\x1b[2Jtwo")
    'one\\n\\\\x1b[2Jtwo'
    """
    return _CONTROLS_IN_LINES.sub(_escaped, printable(text))


def readable_json(value: Any, *, ascii_only: bool = False, default: Any = None) -> str:
    r"""JSON that can be printed: what is no plain text is escaped as JSON has it, so all is true.

    >>> print(readable_json(["caf\xe9 \x9b2J \u202egpj"], ascii_only=False))
    [
      "café \u009b2J \u202egpj"
    ]
    """
    import json

    text = json.dumps(value, indent=2, ensure_ascii=ascii_only, default=default)
    return _NOT_IN_JSON.sub(lambda found: json.dumps(found[0])[1:-1], text)


def without_credentials(text: object) -> str:
    """Any text without the passwords and tokens that stand in its addresses.

    Of a URL what comes before `@` goes, and what comes after `?`; all else stays.

    >>> without_credentials("see https://me:secret@host/a.bin?token=x#part for more")
    'see https://host/a.bin#part for more'
    >>> without_credentials("https://me:it's/a?secret@host/a.bin")
    'https://host/a.bin'
    """
    return _ADDRESS.sub(_plain_address, str(text))


# what comes before `@` may hold any character; files have no passwords, and `?` in their names
_ADDRESS = re.compile(
    r"\b(?!file:|pkg:)(https?:/(?=[^/])|[a-zA-Z][a-zA-Z0-9+.-]*://)"  # a Path has one slash
    r"(?:[^\s/]*@|[^\s/@:\[]*:(?![0-9]*[/?#\s]|[0-9]+$)[^\s@]*@)?([^\s\"'<>`]*)"
)


def _plain_address(found: re.Match[str]) -> str:
    scheme, rest = found.groups()
    return scheme + re.sub(r"\?[^#]*", "", rest, count=1)


def _escaped(control: re.Match[str]) -> str:
    return control[0].encode("unicode_escape", "surrogatepass").decode()


def natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """A sort key by which `run-2` comes before `run-10`; upper and lower case are the same.

    >>> sorted(["class10", "class2", "Class1"], key=natural)
    ['Class1', 'class2', 'class10']
    """
    pieces = re.split(r"([0-9]+)", name.lower())  # every second one is a number
    numbers = (piece.lstrip("0") for piece in pieces)  # by length first: int() has a limit
    keys = zip(pieces, numbers, strict=True)
    return [(len(n), n) if i % 2 else (0, piece) for i, (piece, n) in enumerate(keys)], name


def dotted(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Tables within tables as one table, whose names say the way.

    >>> dotted({"train": {"lr": 0.1, "seed": 0}, "version": "0.1.0"})
    {'train.lr': 0.1, 'train.seed': 0, 'version': '0.1.0'}
    """
    plain: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            plain |= dotted(value, f"{prefix}{name}.")
        else:
            plain[prefix + name] = value
    return plain


def pip_install(named: str) -> str:
    """The command for a distribution, as a shell takes it.

    >>> pip_install("zoo-core[imagenet]"), pip_install("zoo-acme")
    ("pip install 'zoo-core[imagenet]'", 'pip install zoo-acme')
    """
    return f"pip install {shlex.quote(named)}"


def aligned(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """Rows as lines with columns two spaces apart, a line each.

    >>> aligned([["name", "params"], ["lenet5", "61,706"]], [False, True])
    ['name    params', 'lenet5  61,706']
    """
    rows = [[readable_name(cell) for cell in row] for row in rows]
    wide = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, wide, right, strict=True)
        ).rstrip()
        for row in rows
    ]

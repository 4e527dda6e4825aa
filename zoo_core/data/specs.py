"""How data is written as text: `KIND:WHERE?option=value#part`, or `KIND/WHERE` and so on."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from zoo_core.data.pictures import Pictures
from zoo_core.errors import DataError, did_you_mean

PARTS = ("train", "test")
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # of two letters at least: c:/ is a drive
OPTIONS = re.compile(r"\w+=[^&=]*(&\w+=[^&=]*)*")


@dataclass(frozen=True)
class Spec:
    """A spec in its pieces.

    `text`: the whole of it. `format`: its name in FORMATS. `location`: the path or pattern, as it
    is written. `part`: what stands after `#`, or nothing.
    """

    text: str
    format: str
    location: str
    options: dict[str, str]
    part: str

    @property
    def path(self) -> Path:
        return expanded(self.location)

    @property
    def name(self) -> str:
        """The spec without its part."""
        return self.text.removesuffix(f"#{self.part}") if self.part else self.text


@dataclass(frozen=True)
class Format:
    """A format of data that a spec can name.

    `sign`: how it is written, `folder:DIR`. `parts`: what may stand after `#`; None: what the data
    has. `options`: what may stand after `?`. `speaks`: whether `open` takes a function for a line
    that a person should see meanwhile.
    """

    sign: str
    open: Callable[..., Pictures]
    parts: tuple[str, ...] | None = PARTS
    options: tuple[str, ...] = ()
    speaks: bool = False


def parse(text: str, formats: dict[str, Format]) -> Spec:
    """A spec in its pieces. Raises DataError where it is not one of the formats."""
    format, separator, rest = _split_format(text)
    if format not in formats:
        refuse_url(text)
        raise _unknown(text, format, formats)
    sign = formats[format].sign
    if separator != sign.removeprefix(format)[:1] or (separator and not rest):
        needs = {"FILE": "a file", "NAME": "a name"}.get(sign[-4:], "a folder")
        fault = "takes no folder" if sign == format else f"needs {needs}: {sign}"
        raise DataError(f'"{format}" {fault}.')
    location, options, part = _pieces(rest)
    spec = Spec(text, format, location, options, part)
    _check(spec, formats[format])
    return spec


def _split_format(text: str) -> tuple[str, str, str]:
    """The format, the separator after it (`:`, `/` or none), and the rest."""
    pieces = re.match(r"(\w*)([:/]?)(.*)", text, re.DOTALL)
    assert pieces is not None
    return pieces[1], pieces[2], pieces[3]


def _pieces(rest: str) -> tuple[str, dict[str, str], str]:
    """Location, options and part; a folder's own name may hold a `#` or a `?`."""
    if _exists(rest):
        return rest, {}, ""
    body, mark, part = rest.rpartition("#")
    if not mark:
        body, part = rest, ""
    head, mark, tail = body.rpartition("?")
    if mark and OPTIONS.fullmatch(tail) and not _exists(body):
        return head, dict(pair.split("=") for pair in tail.split("&")), part
    return body, {}, part


def _check(spec: Spec, known: Format) -> None:
    for option in spec.options:
        if option not in known.options:
            raise DataError(
                f'No option "{option}" in "{spec.text}". {did_you_mean(option, known.options)}',
                hint=f"It has: {_listed(known.options)}." if known.options else "It has none.",
            )
    if spec.part and known.parts is not None and spec.part not in known.parts:
        raise no_part(spec, known.parts)


def chosen_part(spec: Spec, parts: Iterable[str]) -> str:
    """The part that is asked for, else the training part, or the only one. Raises DataError."""
    listed = list(parts)
    if spec.part in listed:
        return spec.part
    if not spec.part and ("train" in listed or len(listed) == 1):
        return "train" if "train" in listed else listed[0]
    raise no_part(spec, listed)


def no_part(spec: Spec, parts: Iterable[str]) -> DataError:
    """The error for a part that the data has not."""
    listed = [f"#{part}" for part in parts]
    hint = f"A part is {_listed(listed, ' or ')}." if listed else "Leave it out."
    fault = f'No part "{spec.part}" in "{spec.text}".' if spec.part else f'"{spec.text}" has parts.'
    return DataError(fault, hint=hint)


def _unknown(text: str, format: str, formats: dict[str, Format]) -> DataError:
    hint = f"Data is {_listed([known.sign for known in formats.values()], ' or ')}."
    if _exists(text):
        csv = Path(text).suffix.lower() == ".csv"
        hint = f'Did you mean "{"csv" if csv else "folder"}:{text}"?'
    return DataError(f'No data "{text}". {did_you_mean(format, formats)}'.strip(), hint=hint)


def _listed(names: Iterable[str], last: str = " and ") -> str:
    *some, end = names
    return f"{', '.join(some)}{last}{end}" if some else end


def bits_of(spec: Spec) -> int | None:
    """How many bits of deep pixels are used, where `?bits=` says it. Raises DataError."""
    text = spec.options.get("bits")
    if text is None:
        return None
    if not text.isdecimal() or not 8 <= int(text) <= 32:
        raise DataError(f'bits in "{spec.text}" is a number from 8 to 32, not "{text}".')
    return int(text)


def expanded(path: str) -> Path:
    """A path with `~` replaced, from the folder of `paths_from` on where it is relative.

    Raises DataError for a URL, and where `~` is nobody's home.
    """
    refuse_url(path)
    try:
        return START.get() / Path(path).expanduser()
    except RuntimeError as error:
        raise DataError(f"{path}: {error}") from error


START: ContextVar[Path] = ContextVar("START", default=Path())


@contextlib.contextmanager
def paths_from(folder: Path) -> Iterator[None]:
    """Specs that are opened inside have their relative paths begin at `folder`."""
    token = START.set(folder)
    try:
        yield
    finally:
        START.reset(token)


def refuse_url(path: str) -> None:
    """Raise DataError for what is the address of something, and no file."""
    if URL.match(path) and not _is_there(Path(path)):
        raise DataError(
            f"{path} is a URL, and nothing is downloaded here.",
            hint="Download it, and give the path of the file or folder.",
        )


def _exists(path: str) -> bool:
    try:
        return bool(path) and _is_there(expanded(path))
    except DataError:
        return False


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # longer than a name can be, or with a zero byte in it
        return False

"""One attempt at a file, or at the rest of it: its answer, its size and its speed are looked at.

A part belongs to one version of a file: its ETag is kept beside it and sent as `If-Range`, so that
a file that changed meanwhile starts over (RFC 9110, section 13.1.5).
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub.utils import httpx

from zoo_core.errors import SourceError, WeightsError
from zoo_core.files import text
from zoo_core.humanize import byte_size, readable_name
from zoo_core.progress import Bar
from zoo_https.asking import SILENCE, answered, shown
from zoo_https.beginning import Beginning, NoFile

LARGEST = 100_000_000_000  # bytes
LARGEST_UNTOLD = 2_000_000_000  # bytes, where neither the server nor the file says how many
SLOWEST = 1000  # bytes a second
WINDOW = 20.0  # seconds over which that is measured

_ETAG = re.compile(r'"[\x21\x23-\x7e]{0,200}"')  # a strong one, that can be sent as it came
_LOGIN = (
    "Fetch it once with the whole address, NAME:PASSWORD@ or ?TOKEN too (zoo fetch ADDRESS), or "
    "put name and password into ~/.netrc. zoo writes none of them down."
)


class Interrupted(Exception):
    """The transfer broke off, and may be taken up again.

    `wait`: seconds that the server asks for.
    """

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


class Stalled(Interrupted):
    """Nothing came any more, or next to nothing."""


class Part:
    """What there is of a file: beside its place, with the tag of its version."""

    def __init__(self, path: Path) -> None:
        self.whole = path
        self.path, self._tag = (path.with_name(path.name + end) for end in (".part", ".etag"))

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def version(self) -> str | None:
        """The tag to resume with; None where there is none that could be sent."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            tag = text(self._tag, most=1000)
            return tag if _ETAG.fullmatch(tag) else None
        return None

    def begin(self, etag: str) -> None:
        """A new file begins; without a tag it cannot be resumed."""
        self.drop()
        if _ETAG.fullmatch(etag):
            self._tag.write_text(etag, encoding="utf-8")

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self._tag.unlink(missing_ok=True)

    def finish(self) -> None:
        self.path.replace(self.whole)
        self._tag.unlink(missing_ok=True)


def transfer(url: str, part: Part, bar: Bar) -> None:
    """Raises Interrupted, NoFile, NoAnswer, SourceError, WeightsError for a full disk, httpx's."""
    version = part.version
    have = part.size if version else 0
    headers = {"Accept-Encoding": "identity"}
    if have and version:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    with answered(url, headers, bar.line) as response:
        _refuse(url, response, have, part)
        have = have if response.status_code == 206 else 0
        if not have:
            part.begin(response.headers.get("ETag", ""))
        told = response.headers.get("Content-Length", "")
        total = have + int(told) if told.isdecimal() else None
        _check_room(url, part.path.parent, total, have)
        bar.line(f"Fetching {bar.title}" + (f", {total / 1e6:.1f} MB" if total else ""))
        bar.update_total(total or 0)
        bar.step(count=have)
        with part.path.open("ab" if have else "wb") as file:
            for chunk in _checked(_paced(response), url, part, total, have):
                file.write(chunk)
                bar.step(count=len(chunk))
    if total is not None and part.size != total:
        raise Interrupted(f"{part.size} bytes of {total} came")
    if part.size == 0:
        raise NoFile("empty")


def _refuse(url: str, response: httpx.Response, have: int, part: Part) -> None:
    """Let only the answers pass that are a file, or the rest of the one that is here."""
    status = response.status_code
    if status in (408, 429) or status >= 500:
        after = response.headers.get("Retry-After", "")
        wait = float(after) if re.fullmatch("[0-9]{1,6}", after) else None
        raise Interrupted(f"the server answers {status}", wait)
    coding = response.headers.get("Content-Encoding", "identity")
    if status == 416 or (status == 206 and not _goes_on(response, have)):
        part.drop()
        raise Interrupted("the part that was here did not fit")
    if status in (401, 403):
        raise SourceError(f"{shown(url)} is not for everybody ({status}).", hint=_LOGIN)
    if status >= 400:
        raise SourceError(f"{shown(url)} cannot be fetched: the server answers {status}.")
    if status not in (200, 206):
        raise SourceError(f"{shown(url)} is no file: the server answers {status} and sends none.")
    if coding.lower() not in ("identity", ""):
        raise SourceError(
            f"{shown(url)} comes compressed ({readable_name(coding)}), which nobody asked for.",
            hint="Fetch it yourself, unpack it, and pass its path.",
        )


def _goes_on(response: httpx.Response, have: int) -> bool:
    return have > 0 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")


def _check_room(url: str, folder: Path, total: int | None, have: int) -> None:
    free = shutil.disk_usage(folder).free
    if total is not None and total > LARGEST:
        raise SourceError(
            f"{shown(url)} has {byte_size(total)}; zoo fetches files of up to {byte_size(LARGEST)}."
        )
    if total is not None and total - have > free:
        raise WeightsError(
            f"{shown(url)} has {byte_size(total)}, and {folder} has room for {byte_size(free)}.",
            hint="Free some space, or set ZOO_CACHE to a folder of yours.",
        )


def _checked(
    chunks: Iterator[bytes], url: str, part: Part, total: int | None, have: int
) -> Iterator[bytes]:
    """The chunks, as long as they are weights from the first on, and not more than there can be."""
    beginning = Beginning(part.whole.name) if not have else None
    folder, size = part.path.parent, have
    most = total or min(LARGEST_UNTOLD, shutil.disk_usage(folder).free // 2)
    for chunk in chunks:
        if beginning is not None:
            beginning.take(chunk)
            if beginning.size is not None:
                if total and beginning.size != total:
                    raise Interrupted(f"{total} bytes are promised, and it has {beginning.size}")
                _check_room(url, folder, beginning.size, have)
                most, beginning = beginning.size, None
        size += len(chunk)
        if size > most:
            part.drop()
            raise SourceError(
                f"{shown(url)} does not end: more than {byte_size(most)} came.",
                hint="Its server does not say how long it is: fetch it by hand, and pass its path.",
            )
        yield chunk


def _paced(response: httpx.Response) -> Iterator[bytes]:
    """The chunks of a body, as long as they come. Raises Stalled."""
    begin, came = time.monotonic(), 0
    try:
        for chunk in response.iter_raw():
            yield chunk
            came += len(chunk)
            passed = time.monotonic() - begin
            if passed >= WINDOW:
                if came < SLOWEST * passed:
                    raise Stalled(f"only {came} bytes came in {passed:.0f} seconds")
                begin, came = time.monotonic(), 0
    except httpx.TimeoutException as error:
        raise Stalled(f"not a byte came in {SILENCE:.0f} seconds") from error

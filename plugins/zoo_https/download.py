"""A download that survives: streamed beside its place, resumed by Range, renamed when it is whole.

A part belongs to one version of a file: its ETag is kept beside it and sent as `If-Range`, so that
a file that changed meanwhile starts over (RFC 9110, section 13.1.5). No credentials are ever sent.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from huggingface_hub import get_session
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.utils import httpx

from zoo_core.cache import locked, unwritable
from zoo_core.errors import NotCached, SourceError
from zoo_core.progress import Bar
from zoo_core.types import Fetched
from zoo_core.weights.transport import is_safe

ATTEMPTS = 5
TIMEOUT = 30.0  # seconds without a byte


class Interrupted(Exception):
    """The transfer broke off, and may be taken up again.

    `wait`: seconds that the server asks for.
    """

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


def fetch(url: str, *, cache: Path, offline: bool, progress: bool) -> Fetched:
    """The file at `url`, from the cache or from its server.

    Raises NotCached when offline, SourceError where the server does not give it, WeightsError where
    the cache cannot be written.
    """
    path = place(url, cache)
    if not path.exists():
        if offline:
            raise NotCached(f"{url} is not in the cache {cache}, and zoo is offline.")
        refuse_plain_http(url)
        with locked(url):
            if not path.exists():
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    _download(url, path, progress)
                except OSError as error:
                    raise unwritable(path.parent, error) from error
    return Fetched(path, pinned=url, disposable=True)


def place(url: str, cache: Path) -> Path:
    """Where the file of `url` is kept. Its own name is in there, for people who look."""
    name = PurePosixPath(unquote(urlsplit(url).path)).name.lstrip(".")[-100:] or "file"
    digest = hashlib.blake2b(url.encode(), digest_size=8).hexdigest()
    return cache / "https" / digest / name


def refuse_plain_http(url: str) -> None:
    """Bytes that travel in the clear can be changed on their way; on this machine they cannot."""
    if not is_safe(url):
        raise SourceError(
            f"{url} is not encrypted, and zoo fetches nothing that way.", hint="Write https://."
        )


def _download(url: str, path: Path, progress: bool) -> None:
    part, tag = path.with_name(path.name + ".part"), path.with_name(path.name + ".etag")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _transfer(url, part, tag, progress)
            break
        except (Interrupted, httpx.TransportError) as error:
            why = str(error) or type(error).__name__
            if attempt == ATTEMPTS:
                raise SourceError(
                    f"{url} cannot be fetched: {why} ({ATTEMPTS} attempts).",
                    hint="What has arrived is kept: the same command goes on from there.",
                ) from error
            wait = error.wait if isinstance(error, Interrupted) else None
            time.sleep(min(2 ** (attempt - 1) / 4 if wait is None else wait, 30))
        except OfflineModeIsEnabled as error:
            raise NotCached(f"{url} is not in the cache, and HF_HUB_OFFLINE is set.") from error
        except (httpx.InvalidURL, httpx.HTTPError) as error:
            raise SourceError(f"{url} cannot be fetched: {error}.") from error
    part.replace(path)
    tag.unlink(missing_ok=True)


def _transfer(url: str, part: Path, tag: Path, progress: bool) -> None:
    """One request, for the whole file or for the rest of it."""
    have = part.stat().st_size if part.exists() and tag.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": tag.read_text(encoding="utf-8")}
    with get_session().stream("GET", url, headers=headers, timeout=TIMEOUT) as response:
        refuse_plain_http(str(response.url))
        if response.status_code == 416:  # the part is no beginning of what is there now
            part.unlink(missing_ok=True)
            raise Interrupted("the part that was here did not fit")
        _refuse_failure(url, response)
        goes_on = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        have = have if response.status_code == 206 and goes_on else 0
        if not have:
            _note_version(tag, response)
        total = have + int(response.headers.get("Content-Length", 0))
        with part.open("ab" if have else "wb") as file:
            for chunk in _shown(response, part.name.removesuffix(".part"), have, total, progress):
                file.write(chunk)
    size = part.stat().st_size
    if "Content-Length" in response.headers and size != total:
        raise Interrupted(f"{size} bytes of {total} came")


def _refuse_failure(url: str, response: httpx.Response) -> None:
    status = response.status_code
    if status in (408, 429) or status >= 500:
        after = response.headers.get("Retry-After", "")
        raise Interrupted(f"the server answers {status}", float(after) if after.isdigit() else None)
    if status >= 400:
        raise SourceError(f"{url} cannot be fetched: the server answers {status}.")


def _note_version(tag: Path, response: httpx.Response) -> None:
    """Keep what tells this version of the file from others; without it a part cannot be resumed."""
    etag = response.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        tag.write_text(etag, encoding="utf-8")
    else:
        tag.unlink(missing_ok=True)


def _shown(
    response: httpx.Response, name: str, have: int, total: int, progress: bool
) -> Iterator[bytes]:
    """The chunks of a response, with a bar in bytes."""
    with Bar(name, total=total, shown=progress, unit="bytes") as bar:
        bar.line(f"Fetching {name}, {total / 1e6:.1f} MB")
        bar.step(count=have)
        for chunk in response.iter_raw():
            yield chunk
            bar.step(count=len(chunk))

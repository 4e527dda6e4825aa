"""A download that survives: streamed beside its place, resumed by Range, renamed when it is whole.

`transfer.py` is one attempt, `asking.py` one request of it.
"""

from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path, PurePosixPath

from huggingface_hub.utils import httpx

from zoo_core.cache import locked, make_folder, unwritable
from zoo_core.errors import NotCached, SourceError
from zoo_core.humanize import readable_name
from zoo_core.progress import Bar
from zoo_core.types import Fetched
from zoo_core.weights.addresses import is_private, known_as, stated_sha256
from zoo_core.weights.hashes import sha256_of
from zoo_core.weights.sources import MODEL_FILE
from zoo_https.asking import NoAnswer, parsed, shown
from zoo_https.beginning import NoFile
from zoo_https.transfer import Interrupted, Part, Stalled, transfer

ATTEMPTS = 5
WORTH_ANOTHER = 1_000_000  # bytes; what stood still before them stands still again


def fetch(url: str, filename: str | None, *, cache: Path, offline: bool, progress: bool) -> Fetched:
    """The file of weights at `url`, from the cache or from its server.

    Raises NotCached when offline, SourceError where the server does not give it, WeightsError where
    the cache cannot be written.
    """
    if filename not in (None, MODEL_FILE):  # of a published model
        raise SourceError(
            f"{shown(url)} is an address of one file, and has no {filename}.",
            hint="Weights end in .safetensors or .pth. A published model has several files: hf://…",
        )
    path = place(url, cache)
    if not path.exists():
        path = _same_bytes(url, path) or path
    if not path.exists():
        parsed(url)
        if offline:
            raise NotCached(f"{shown(url)} is not in the cache {cache}, and zoo is offline.")
        with locked(known_as(url)):
            if not path.exists():
                try:
                    make_folder(path.parent)
                    _download(url, path, progress)
                except OSError as error:
                    raise unwritable(path.parent, error) from error
    return Fetched(path, pinned=None if is_private(url) else url, disposable=True)


def place(url: str, cache: Path) -> Path:
    """Where the file of `url` is kept. Its own name is in there, for people who look."""
    try:
        name = PurePosixPath(httpx.URL(url).path).name
    except (httpx.InvalidURL, ValueError):  # nothing will be there
        name = ""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")[-100:] or "file"
    digest = hashlib.blake2b(known_as(url).encode("utf-8", "replace"), digest_size=8).hexdigest()
    return cache / "https" / digest / name


def _same_bytes(url: str, path: Path) -> Path | None:
    """The file that `…#sha256=` names, where it came from an address that is not written down."""
    sha256 = stated_sha256(url)
    others = path.parents[1].glob(f"*/{path.name}") if sha256 else ()
    return next((other for other in others if sha256_of(other) == sha256), None)


def _download(url: str, path: Path, progress: bool) -> None:
    """Raises SourceError. What has arrived of a file stays, for the next time."""
    part = Part(path)
    for attempt in range(1, ATTEMPTS + 1):
        before = part.size
        try:
            with Bar(path.name, total=0, shown=progress, unit="bytes") as bar:
                transfer(url, part, bar)
            part.finish()
            return
        except NoFile as error:
            part.drop()
            raise SourceError(
                f"{shown(url)} is no file of weights: it is {error}.",
                hint="Open it in a browser: does this network want you to log in first?",
            ) from error
        except (Interrupted, httpx.TransportError) as error:
            useless = isinstance(error, Stalled) and part.size - before < WORTH_ANOTHER
            if attempt == ATTEMPTS or useless:
                raise _given_up(url, error, attempt) from error
            wait = error.wait if isinstance(error, Interrupted) else None
            time.sleep(min(2 ** (attempt - 1) / 4 if wait is None else wait, 30))
        except (NoAnswer, httpx.InvalidURL, httpx.HTTPError, ValueError, OverflowError) as error:
            why = readable_name(error)
            raise SourceError(f"{shown(url)} cannot be fetched: {why}.") from error


def _given_up(url: str, error: Exception, attempts: int) -> SourceError:
    why = readable_name(error) or type(error).__name__
    count = f"{attempts} attempts" if attempts > 1 else "one attempt"
    return SourceError(
        f"{shown(url)} cannot be fetched: {why} ({count}).",
        hint="What has arrived is kept: the same command goes on from there.",
    )

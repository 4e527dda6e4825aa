"""hf:// -> a file in the Hub's own cache, by huggingface_hub.

A revision is resolved to a commit first: so every file of a repository comes from one commit, also
while somebody pushes, and a commit that is here needs no request at all.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import hf_hub_url, try_to_load_from_cache
from huggingface_hub.utils import tqdm

from zoo_core.cache import locked
from zoo_core.errors import NotCached, SourceError
from zoo_core.types import Fetched
from zoo_hub.client import api
from zoo_hub.failures import explained, is_passing
from zoo_hub.reference import Place, parse

Result = TypeVar("Result")

ATTEMPTS = 4
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ETAG = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")  # git's sha1, or a large file's sha256


class Silent(tqdm):
    """The client's progress bar, for those who want none."""

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **(given | {"disable": True}))


def fetch(
    reference: str, filename: str | None, *, cache: Path, offline: bool, progress: bool
) -> Fetched:
    """The file of a repository at a commit. Private and gated repositories need a token.

    Raises SourceError, NotCached when offline, WeightsError where the cache cannot be written.
    """
    place = parse(reference)
    name = place.file or filename
    if name is None:
        raise SourceError(f"hf://{reference} names no file.")
    with explained(reference, name, SourceError):
        commit = _commit(place, offline)
        path = _cached(place, name, commit)
        if path is None:
            if offline:
                raise NotCached(f"hf://{place.repository} ({name}) is not in the cache.")
            with locked(f"hf://{place.repository}@{commit}/{name}"):
                path = _cached(place, name, commit) or persistently(
                    lambda: _download(place, name, commit, progress)
                )
    return Fetched(path, _stated_sha256(path), commit, place.at(commit), disposable=True)


def persistently(call: Callable[[], Result]) -> Result:
    """What `call` returns, after a few attempts where the Hub is busy or a connection breaks."""
    for attempt in range(1, ATTEMPTS):
        try:
            return call()
        except Exception as error:
            if not is_passing(error):
                raise
            time.sleep(2 ** (attempt - 1) / 2)
    return call()


def _commit(place: Place, offline: bool) -> str:
    if place.revision and _COMMIT.fullmatch(place.revision):
        return place.revision
    hub = api()
    revision = persistently(
        lambda: hub.resolve_revision(
            place.repository, revision=place.revision, local_files_only=offline
        )
    )
    return revision.resolved


def _cached(place: Place, name: str, commit: str) -> Path | None:
    path = try_to_load_from_cache(place.repository, name, revision=commit)
    return Path(path) if isinstance(path, str) else None


def _download(place: Place, name: str, commit: str, progress: bool) -> Path:
    hub = api()
    url = hf_hub_url(place.repository, name, revision=commit)
    facts = hub.get_hf_file_metadata(url=url)
    if facts.etag is None or not _ETAG.fullmatch(facts.etag):
        # the client would use it as a file name
        raise SourceError(
            f"hf://{place.repository}: the Hub calls {name} {facts.etag!r}, which is no hash.",
            hint=f"Is {hub.endpoint} really a Hub?",
        )
    bar = None if progress else Silent
    path = hub.hf_hub_download(place.repository, name, revision=commit, tqdm_class=bar)
    return Path(path)


def _stated_sha256(path: Path) -> str | None:
    """The Hub names its blobs by what it says of them: in large file storage, by their sha256."""
    name = path.readlink().name if path.is_symlink() else ""
    return name if re.fullmatch(r"[0-9a-f]{64}", name) else None

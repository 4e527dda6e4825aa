"""hf:// -> a file in the Hub's own cache, by huggingface_hub.

A revision is resolved to a commit first: so every file of a repository comes from one commit, also
while somebody pushes, and a commit that is here needs no request at all.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import re
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import RevisionNotFoundError, RevisionResolutionError
from huggingface_hub.utils import tqdm

from zoo_core.cache import locked, recall, remember_if_possible
from zoo_core.errors import NotCached, SourceError
from zoo_core.hub.client import api, persistently
from zoo_core.hub.failures import Damaged, explained
from zoo_core.humanize import readable_name
from zoo_core.progress import Bar
from zoo_core.terminal.notebook import in_notebook
from zoo_core.types import Fetched
from zoo_core.weights.config_json import LARGEST
from zoo_core.weights.published import CONFIG
from zoo_hub.reference import COMMIT, Place, readings

_SHA256 = re.compile(r"[0-9a-f]{64}")
_ETAG = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")  # git's sha1, or a large file's sha256


class Silent(tqdm):
    """The client's progress bar, for those who want none."""

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **(given | {"disable": True}))


class InCell:
    """The client's bar as one of zoo's: in a notebook its own would be in red, or nowhere."""

    def __init__(self, name: str, *, total: float | None = None, **_: Any) -> None:
        self._bar = Bar(name, total=int(total or 0), unit="bytes")

    def __enter__(self) -> InCell:
        self._bar.__enter__()
        return self

    def __exit__(self, *fault: Any) -> None:
        self._bar.__exit__(*fault)

    def update(self, n: float | None = 1) -> None:
        self._bar.step(count=int(n or 0))


def fetch(
    reference: str, filename: str | None, *, cache: Path, offline: bool, progress: bool
) -> Fetched:
    """The file of a repository at a commit. Private and gated repositories need a token.

    Raises SourceError, NotCached when offline, WeightsError where the cache cannot be written.
    """
    places = readings(reference)
    name = places[0].file or filename
    if name is None:
        raise SourceError(f"hf://{reference} names no file.")
    revisions = [place.revision or "main" for place in places]
    with explained(readable_name(reference), name, SourceError, " or ".join(revisions)):
        place, commit = _resolved(places, offline)
        name = place.file or name
        path = _cached(place, name, commit)
        if path is None:
            if offline:
                raise NotCached(f"hf://{place.repository} ({name}) is not in the cache.")
            with locked(f"hf://{place.repository}@{commit}/{name}"):
                path = _cached(place, name, commit) or persistently(
                    lambda: _download(place, name, commit, progress)
                )
        stated = _stated(path, place, name, commit, cache, offline)
    sha256 = stated if stated and _SHA256.fullmatch(stated) else None
    # what nobody states is taken, but neither pinned nor fetched again
    return Fetched(path, sha256, commit, place.at(commit), disposable=stated is not None)


def _resolved(places: list[Place], offline: bool) -> tuple[Place, str]:
    """The first of the places that there is, and its commit."""
    for place in places[:-1]:
        with contextlib.suppress(RevisionNotFoundError, RevisionResolutionError):
            return place, _commit(place, offline)
    return places[-1], _commit(places[-1], offline)


def _commit(place: Place, offline: bool) -> str:
    if place.revision and COMMIT.fullmatch(place.revision):
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
    etag = _facts(place, name, commit)
    bar: Any = None if progress else Silent
    if progress and in_notebook():
        bar = functools.partial(InCell, name)
    path = Path(api().hf_hub_download(place.repository, name, revision=commit, tqdm_class=bar))
    if not _SHA256.fullmatch(etag) and etag not in _sha1s(path):
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise Damaged(f"{name} did not arrive as the Hub has it")
    return path


def _facts(place: Place, name: str, commit: str) -> str:
    """What the Hub says of a file: the hash of its bytes."""
    hub = api()
    facts = hub.get_hf_file_metadata(url=hf_hub_url(place.repository, name, revision=commit))
    if facts.etag is None or not _ETAG.fullmatch(facts.etag):
        # the client would use it as a file name
        raise SourceError(
            f"hf://{place.repository}: the Hub calls {name} {facts.etag!r}, which is no hash.",
            hint=f"Is {hub.endpoint} really a Hub?",
        )
    if name == CONFIG and (facts.size or 0) > LARGEST:
        raise SourceError(
            f"hf://{place.repository}: {name} has {facts.size:,} bytes, "
            "more than any description of a model."
        )
    return facts.etag


def _stated(
    path: Path, place: Place, name: str, commit: str, cache: Path, offline: bool
) -> str | None:
    """What the Hub says of a file that is here; None where nobody knows it offline.

    The client names its blobs by it. Where it makes no links to them, as on Windows, zoo remembers.
    """
    if path.is_symlink():
        return path.readlink().name
    key = hashlib.blake2b(place.at(commit).encode() + name.encode(), digest_size=16).hexdigest()
    memory = cache / "stated" / key
    known = recall(memory, str)
    if known is not None and _ETAG.fullmatch(known):
        return known
    if offline:
        return None
    stated = persistently(lambda: _facts(place, name, commit))
    remember_if_possible(memory, stated)
    return stated


def _sha1s(path: Path) -> set[str]:
    """The sha1 of a small file: as git computes it, and as mirrors of the Hub do."""
    body = path.read_bytes()
    header = f"blob {len(body)}\0".encode()
    return {hashlib.sha1(part + body, usedforsecurity=False).hexdigest() for part in (header, b"")}

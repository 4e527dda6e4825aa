"""A model's signature (OpenSSF model signing, `model.sig`), checked before a tensor is read.

It vouches for the names and the sha256 of all files of a folder. The library `model-signing` says
whether the signature is good and the files are those that were signed; the sha256 of a file comes
from its stamp, so that a check costs a pass over the bytes once. What the library lets pass and
zoo does not: a certificate that has expired, and files that the signer left out.
"""

from __future__ import annotations

import base64
import json
import os
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from zoo_core.errors import SourceError, WeightsError, first_line
from zoo_core.files import content
from zoo_core.humanize import one_line, pip_install, some
from zoo_core.weights.hashes import read_sha256
from zoo_core.weights.sources import MODEL_FILE, obtain, split_reference, verified_file
from zoo_core.weights.trusted_keys import CALLED, Kind, TrustedKey, keys_at

SIGNATURE = "model.sig"
# what is not signed: itself, what git keeps, and where the Hub's client keeps notes
UNSIGNED = (".git", ".gitattributes", ".github", ".gitignore", ".cache/huggingface", SIGNATURE)
EXTRA = "zoo-core[signing]"
LARGEST = 16 * 2**20  # bytes of a signature
MOST = 10_000  # files that a signature names

Digests = Callable[[Collection[str]], Mapping[str, str]]  # names -> the sha256 of each


@dataclass(frozen=True)
class Signed:
    """What a good signature vouches for: the sha256 of each file, by name. `key`: whose it is."""

    place: str
    key: Path
    kind: Kind
    files: Mapping[str, str]

    def check_holds(self, name: str) -> str:
        """The sha256 of a file that is read. Raises WeightsError where it was not signed."""
        if name not in self.files:
            raise WeightsError(
                f"{name} of {self.place} is not signed: {SIGNATURE} does not name it.",
                hint="Ask whoever published it for a signature over all files.",
            )
        return self.files[name]


def verify(place: str | Path, key: str | Path) -> Signed:
    """Check the signature of a folder, or of a published model (`hf://owner/repository`).

    `key`: a public EC key or a certificate in PEM, a .toml file with an `identity` and `issuer` of
    sigstore, or a folder with some, of which one must fit. Every file is read from its first byte
    to its last. Of a repository, that is each file that was signed.

    Raises WeightsError where there is no signature, it is not by that key, a certificate has
    expired, or a file was changed, removed or added.
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
                raise _other_files(str(folder), [f"{some(sorted(names))} {what}"])
        try:
            return {name: read(folder / name) for name in signed}
        except OSError as error:
            reason = error.strerror or error
            raise WeightsError(f"{folder} cannot be read: {reason}.") from error

    return _checked(folder / SIGNATURE, str(folder), keys, digests)


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
    return _checked(
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

        return _checked(signature.path, folder, keys, digests).check_holds(name)
    raise _unsigned(reference, "Fetch it, put it into a folder of its own, and sign that.")


def library() -> Any:
    """The package model_signing, with what is used of it. Raises WeightsError without it."""
    try:
        import model_signing
        import model_signing.hashing
        import model_signing.manifest
        import model_signing.signing
        import model_signing.verifying
    except ImportError as error:
        raise WeightsError(
            f"Signatures need model-signing: {first_line(error)}.",
            hint=f"Run: {pip_install(EXTRA)}",
        ) from error
    return model_signing


# --- the signature itself ------------------------------------------------------------------------


class _Files:
    """The files that are here, as the library asks for them once a signature is good."""

    def __init__(self, digests: Digests) -> None:
        self._digests = digests
        self.found: Mapping[str, str] | None = None

    def add_ignored_paths(self, **_: Any) -> None:
        """What a signer left out is not signed."""

    def hash(self, model_path: Path, *, files_to_hash: Iterable[Path]) -> Any:
        names = [path.as_posix() for path in files_to_hash]
        for path in map(PurePosixPath, names):
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"it names {path}, which is outside")
        if len(names) > MOST:
            raise ValueError(f"it names {len(names):,} files")
        self.found = self._digests(names)
        made = library().manifest
        return made.Manifest(
            "",
            [
                made.FileManifestItem(
                    path=PurePosixPath(name),
                    digest=made.hashing.Digest("sha256", bytes.fromhex(digest)),
                )
                for name, digest in self.found.items()
            ],
            None,
        )


def _checked(signature: Path, place: str, keys: Sequence[TrustedKey], digests: Digests) -> Signed:
    verifying = library().verifying
    kind, certificates, signed = _read(signature, place)
    fitting = [key for key in keys if key.kind == kind]
    reasons = [] if fitting else [f"it is by {CALLED[kind]}"]
    for key in fitting:
        files = _Files(digests)
        config = verifying.Config().set_hashing_config(files).set_ignore_unsigned_files(True)
        try:
            if kind == "certificate":
                _check_dates(key.path, certificates)
            _use(config, key)
            with warnings.catch_warnings(action="ignore"):  # of the library's own old ways
                config.verify(Path(), signature)
            return Signed(place, key.path, kind, dict(files.found or {}))
        except WeightsError:
            raise
        except Exception as error:  # a stranger's file can bring any of them about
            if files.found is not None:
                changed = [n for n, digest in files.found.items() if signed.get(n) != digest]
                what = f"{some(changed)} has other bytes" if changed else first_line(error)
                raise _other_files(place, [what]) from error
            reasons.append(_why(error, kind))
    named = keys[0].path if len(keys) == 1 else "a trusted key"
    raise WeightsError(
        f"{place} is not signed with {named}: {'; '.join(dict.fromkeys(reasons))}.",
        hint="Do not use it, unless you know whose it is and why it changed.",
    )


def _use(config: Any, key: TrustedKey) -> None:
    """Have the library check with a key. Sigstore's are asked for over the network."""
    if key.kind == "key":
        config.use_elliptic_key_verifier(public_key=key.path)
    elif key.kind == "certificate":
        config.use_certificate_verifier(certificate_chain=[key.path])
    else:
        config.use_sigstore_verifier(identity=key.identity, oidc_issuer=key.issuer)


def _read(signature: Path, place: str) -> tuple[Kind, list[bytes], Mapping[str, str]]:
    """What a signature says of itself, not checked yet: kind, certificates, sha256 by name."""
    try:
        told = json.loads(content(signature, LARGEST))
        material = told["verificationMaterial"]
        payload = json.loads(base64.b64decode(told["dsseEnvelope"]["payload"]))
        resources = payload["predicate"]["resources"]
        others = {r["algorithm"] for r in resources} - {"sha256"}
        if others or payload["predicate"]["serialization"]["method"] != "files":
            raise ValueError("zoo reads those of whole files, by sha256")
        chain = material.get("x509CertificateChain", {}).get("certificates", [])
        certificates = [base64.b64decode(part["rawBytes"]) for part in chain]
        signed = {str(resource["name"]): str(resource["digest"]) for resource in resources}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        why = first_line(error)
        raise WeightsError(
            f"{place} has a {SIGNATURE} that is no signature of a model: {why}.",
            hint="It is damaged, or of another kind: sign the folder again.",
        ) from error
    kinds: dict[str, Kind] = {"publicKey": "key", "x509CertificateChain": "certificate"}
    kind: Kind = next((known for name, known in kinds.items() if name in material), "identity")
    return kind, certificates, signed


def _check_dates(roots: Path, chain: Sequence[bytes]) -> None:
    """Raise for a chain that does not hold today; the library asks for the day it was made."""
    from cryptography import x509
    from OpenSSL import crypto

    store = crypto.X509Store()
    for root in x509.load_pem_x509_certificates(roots.read_bytes()):
        store.add_cert(crypto.X509.from_cryptography(root))
    parts = [crypto.X509.from_cryptography(x509.load_der_x509_certificate(c)) for c in chain]
    crypto.X509StoreContext(store, parts[0], parts[1:]).verify_certificate()


def _why(error: Exception, kind: Kind) -> str:
    if kind == "key":
        return "it is another key's, or was changed"
    return first_line(error)[:200] if str(error) else "it was changed"


def _unsigned(place: str, hint: str) -> WeightsError:
    return WeightsError(f"{place} has no signature ({SIGNATURE}).", hint=hint)


def _other_files(place: str, what: Iterable[str]) -> WeightsError:
    return WeightsError(
        f"{place} is not what was signed: {'; '.join(what)}.",
        hint="Do not use it: fetch it again, or ask whoever signed it.",
    )


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

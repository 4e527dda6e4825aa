"""The signature of a model as OpenSSF model signing has it, by its library `model-signing`.

The library says whether a signature is good, and whether the files are those that were signed. What
it lets pass and zoo does not: a certificate that has expired, and files that the signer left out.
"""

from __future__ import annotations

import base64
import json
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from zoo_core.errors import WeightsError, first_line
from zoo_core.files import content
from zoo_core.humanize import pip_install, some
from zoo_core.weights.trusted_keys import CALLED, Kind, TrustedKey

SIGNATURE = "model.sig"
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


def checked(signature: Path, place: str, keys: Sequence[TrustedKey], digests: Digests) -> Signed:
    """Check a signature with each key that may fit, and then the files by `digests`.

    Raises WeightsError where none fits, or the files are not those that were signed.
    """
    library()
    claim = _read(signature, place)
    fitting = [key for key in keys if key.kind == claim.kind]
    reasons = [] if fitting else [f"it is by {CALLED[claim.kind]}"]
    for key in fitting:
        files = _Files(digests)
        try:
            _verify(claim, key, files)
            assert files.found is not None, "the library has asked for no file"
            return Signed(place, key.path, claim.kind, dict(files.found))
        except WeightsError:
            raise
        except Exception as error:  # a stranger's file can bring any of them about
            if files.found is not None:
                changed = [n for n, digest in files.found.items() if claim.files.get(n) != digest]
                what = f"{some(changed)} has other bytes" if changed else first_line(error)
                raise other_files(place, [what]) from error
            reasons.append(_why(error, claim.kind))
    named = keys[0].path if len(keys) == 1 else "a trusted key"
    raise WeightsError(
        f"{place} is not signed with {named}: {'; '.join(dict.fromkeys(reasons))}.",
        hint="Do not use it, unless you know whose it is and why it changed.",
    )


def _verify(claim: _Claim, key: TrustedKey, files: _Files) -> None:
    """Have the library check with a key. Sigstore's are asked for over the network."""
    config = library().verifying.Config()
    config.set_hashing_config(files).set_ignore_unsigned_files(True)
    if key.kind == "key":
        config.use_elliptic_key_verifier(public_key=key.path)
    elif key.kind == "certificate":
        _check_dates(key.path, claim.certificates)
        config.use_certificate_verifier(certificate_chain=[key.path])
    else:
        config.use_sigstore_verifier(identity=key.identity, oidc_issuer=key.issuer)
    with tempfile.TemporaryDirectory(prefix="zoo-verify-") as aside:
        copy = Path(aside) / SIGNATURE  # so that both read the same
        copy.write_text(json.dumps(claim.bundle), encoding="utf-8")
        with warnings.catch_warnings(action="ignore"):  # of the library's own old ways
            config.verify(Path(), copy)


@dataclass(frozen=True)
class _Claim:
    """What a signature says of itself, not checked yet. `files`: the sha256 of each, by name."""

    bundle: Mapping[str, Any]
    kind: Kind
    certificates: Sequence[bytes]
    files: Mapping[str, str]


def _read(signature: Path, place: str) -> _Claim:
    try:
        told = json.loads(content(signature, LARGEST), object_pairs_hook=_plain)
        material = told["verificationMaterial"]
        payload = json.loads(base64.b64decode(told["dsseEnvelope"]["payload"], validate=True))
        resources = payload["predicate"]["resources"]
        others = {r["algorithm"] for r in resources} - {"sha256"}
        if others or payload["predicate"]["serialization"]["method"] != "files":
            raise ValueError("zoo reads those of whole files, by sha256")
        chain = material.get("x509CertificateChain", {}).get("certificates", [])
        certificates = [base64.b64decode(part["rawBytes"], validate=True) for part in chain]
        signed = {str(resource["name"]): str(resource["digest"]) for resource in resources}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        why = first_line(error)
        raise WeightsError(
            f"{place} has a {SIGNATURE} that is no signature of a model: {why}.",
            hint="It is damaged, or of another kind: sign the folder again.",
        ) from error
    kinds: dict[str, Kind] = {"publicKey": "key", "x509CertificateChain": "certificate"}
    kind: Kind = next((known for name, known in kinds.items() if name in material), "identity")
    return _Claim(told, kind, certificates, signed)


def _plain(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A table, each of whose names is there once, also in the other spelling that is read."""
    table = dict(pairs)
    if len(table) < len(pairs) or any("_" in name for name in table):
        raise ValueError("a name is there twice, or in another spelling")
    return table


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


def other_files(place: str, what: Iterable[str]) -> WeightsError:
    return WeightsError(
        f"{place} is not what was signed: {'; '.join(what)}.",
        hint="Do not use it: fetch it again, or ask whoever signed it.",
    )

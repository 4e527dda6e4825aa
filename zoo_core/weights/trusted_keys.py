"""What signatures are checked with: public EC keys, certificates, and identities of sigstore."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zoo_core.errors import WeightsError
from zoo_core.files import text

Kind = Literal["key", "certificate", "identity"]

CALLED: dict[Kind, str] = {
    "key": "an EC key",
    "certificate": "a certificate",
    "identity": "an identity of sigstore",
}
ENDINGS = (".pub", ".pem", ".crt", ".toml")  # of what counts in a folder
LARGEST = 2**20  # bytes
IS_PRIVATE = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")


@dataclass(frozen=True)
class TrustedKey:
    """A file that says whose signature is believed. `identity`, `issuer`: of sigstore's."""

    path: Path
    kind: Kind
    identity: str = ""
    issuer: str = ""


def keys_at(path: Path) -> list[TrustedKey]:
    """The key in a file, or all that a folder has.

    Raises WeightsError for a file that is none, and where there is none at all.
    """
    path = path.expanduser()
    if not path.is_dir():
        return [_key_in(path)]
    files = [p for p in sorted(path.iterdir()) if p.suffix in ENDINGS and p.name[0] != "."]
    if not files:
        raise WeightsError(
            f"{path} has no key: nothing can be checked with it.",
            hint=f"Put public keys or certificates there, as files that end in {_or(ENDINGS)}.",
        )
    return [_key_in(file) for file in files]


def _key_in(path: Path) -> TrustedKey:
    try:
        content = text(path, LARGEST)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise WeightsError(f"The key {path} cannot be read: {reason}.") from error
    if IS_PRIVATE.search(content):
        raise WeightsError(
            f"{path} is a private key, and a check takes the public one.",
            hint=f"Make it: openssl pkey -in {path} -pubout -out {path.with_suffix('.pub')}",
        )
    if "-----BEGIN CERTIFICATE-----" in content:
        return TrustedKey(path, "certificate")
    if "-----BEGIN PUBLIC KEY-----" in content:
        return TrustedKey(path, "key")
    return _identity_in(path, content)


def _identity_in(path: Path, content: str) -> TrustedKey:
    try:
        told = tomllib.loads(content) if path.suffix == ".toml" else {}
    except tomllib.TOMLDecodeError as error:
        raise WeightsError(f"{path} is no TOML: {error}.") from error
    identity, issuer = told.get("identity"), told.get("issuer")
    if not (isinstance(identity, str) and isinstance(issuer, str) and identity and issuer):
        raise WeightsError(
            f"{path} is no key to check with.",
            hint="It takes a public EC key or a certificate in PEM, or a .toml file with "
            "identity and issuer, for sigstore.",
        )
    return TrustedKey(path, "identity", identity, issuer)


def _or(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"

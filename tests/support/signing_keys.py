"""Real EC keys and certificates for tests, in a folder."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey
PEM = Encoding.PEM


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder with `alice.key`, `mallory.key`, and their public halves in `trusted`, `others`."""
    folder = tmp_path / "keys"
    for name, home in (("alice", "trusted"), ("mallory", "others")):
        (folder / home).mkdir(parents=True)
        key = ec.generate_private_key(ec.SECP256R1())
        (folder / f"{name}.key").write_bytes(private(key))
        (folder / home / f"{name}.pub").write_bytes(public(key))
    return folder


def private(key: Key) -> bytes:
    return key.private_bytes(PEM, PrivateFormat.PKCS8, NoEncryption())


def public(key: Key) -> bytes:
    return key.public_key().public_bytes(PEM, PublicFormat.SubjectPublicKeyInfo)


def certified(folder: Path, name: str = "carol", *, days: int = 30, usage: bool = True) -> Path:
    """`NAME.pem`, a key with its certificate by `NAME-ca.crt`, for so many days from now."""
    folder.mkdir(parents=True, exist_ok=True)
    above, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _certificate("ca", above, "ca", above, 365, usage=True)
    leaf = _certificate(name, own, "ca", above, days, usage=usage)
    (folder / f"{name}-ca.crt").write_bytes(root.public_bytes(PEM))
    (folder / f"{name}.pem").write_bytes(private(own) + leaf.public_bytes(PEM))
    return folder / f"{name}.pem"


def _certificate(
    name: str, key: Key, issuer: str, by: Key, days: int, *, usage: bool
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    is_root = name == issuer
    made = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=60))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
    )
    if usage:
        may = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment"), False)
        may |= dict.fromkeys(("key_agreement", "encipher_only", "decipher_only"), False)
        how = x509.KeyUsage(digital_signature=True, key_cert_sign=is_root, crl_sign=False, **may)
        made = made.add_extension(how, critical=True)
    return made.sign(by, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


Change = Callable[[Path], object]


def _flip(folder: Path) -> None:
    path = folder / "model.safetensors"
    body = bytearray(path.read_bytes())
    body[-1] ^= 1
    path.write_bytes(body)


def _link(folder: Path) -> None:
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (folder / "more").symlink_to(elsewhere, target_is_directory=True)


# what somebody can do to a signed folder, and what the error says
CHANGES: dict[str, tuple[Change, str]] = {
    "a flipped bit": (_flip, "model.safetensors has other bytes"),
    "another config": (
        lambda f: (f / "config.json").write_text((f / "config.json").read_text() + " "),
        "config.json has other bytes",
    ),
    "a missing file": (lambda f: (f / "README.md").unlink(), "README.md is missing"),
    "an added file": (lambda f: (f / "delta.safetensors").touch(), "delta.safetensors was added"),
    "an added folder": (
        lambda f: ((f / "a").mkdir(), (f / "a" / "b.py").touch()),
        "a/b.py was added",
    ),
    "a link to a folder": (_link, "more was added"),
    "no signature": (lambda f: (f / "model.sig").unlink(), "has no signature"),
    "an empty one": (lambda f: (f / "model.sig").write_text(""), "is no signature of a model"),
    "one of another kind": (lambda f: (f / "model.sig").write_text("[]"), "is no signature of"),
    "one that never ends": (
        lambda f: (f / "model.sig").write_text("[" * 100_000),
        "is no signature of a model",
    ),
}

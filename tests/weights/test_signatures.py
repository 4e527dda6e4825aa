"""A signature is checked before a tensor is read: keys, certificates, and whatever was changed."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
import torch
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from hub.server import HubServer
from support.fetching import lenet, own_places, safetensors
from support.signing_keys import CHANGES, certified, keys, private, public

import zoo_core as zoo
from zoo_core.weights import openssf, tensors

__all__ = ["keys", "own_places"]
pytestmark = pytest.mark.usefixtures("own_places")


@pytest.fixture
def folder() -> Path:
    """LeNet-5, exported."""
    return zoo.create("lenet5", pretrained=True).save_pretrained("mine")


@pytest.fixture
def signed(folder: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, signed by alice, whose signature is demanded; and no tensor may be read."""
    zoo.sign(folder, keys / "alice.key")
    monkeypatch.setenv("ZOO_TRUSTED_KEYS", str(keys / "trusted"))
    return folder


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No tensor is read by anybody."""

    def read(*_: object, **__: object) -> None:
        raise AssertionError("a tensor was read")

    for name in ("load_file", "safe_open"):
        monkeypatch.setattr(tensors, name, read)
    monkeypatch.setattr(torch, "load", read)


def test_sign_verify_and_create(signed: Path, keys: Path) -> None:
    found = zoo.verify(signed, keys / "trusted" / "alice.pub")
    assert set(found.files) == {"model.safetensors", "config.json", "README.md"}
    assert found.key.name == "alice.pub"
    assert zoo.create(signed).num_outputs == 10
    assert zoo.create("lenet5", pretrained=signed / "model.safetensors").num_outputs == 10


def test_what_is_official_needs_none(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_TRUSTED_KEYS", str(keys / "trusted"))
    assert zoo.create("lenet5", pretrained=True).num_outputs == 10
    assert zoo.create("lenet5").num_outputs == 10


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_changed_is_refused_before_a_tensor_is_read(
    signed: Path, keys: Path, sealed: None, what: str
) -> None:
    change, said = CHANGES[what]
    change(signed)
    with pytest.raises(zoo.WeightsError, match=said):
        zoo.verify(signed, keys / "trusted" / "alice.pub")
    with pytest.raises(zoo.WeightsError, match=f"{said}.*ZOO_TRUSTED_KEYS is set"):
        zoo.create(signed)
    with pytest.raises(zoo.WeightsError, match=said):
        zoo.create("lenet5", pretrained=signed / "model.safetensors")


def test_another_key(folder: Path, keys: Path, sealed: None, monkeypatch) -> None:
    zoo.sign(folder, keys / "mallory.key")
    with pytest.raises(zoo.WeightsError, match=r"not signed with .*alice.pub: it is another key's"):
        zoo.verify(folder, keys / "trusted" / "alice.pub")
    monkeypatch.setenv("ZOO_TRUSTED_KEYS", str(keys / "trusted"))
    with pytest.raises(zoo.WeightsError, match="another key's"):
        zoo.create(folder)


def test_one_of_several_keys_is_enough(folder: Path, keys: Path) -> None:
    (keys / "others" / "alice.pub").write_bytes((keys / "trusted" / "alice.pub").read_bytes())
    certified(keys / "others")
    (keys / "others" / "carol.pem").unlink()
    (keys / "others" / "README").write_text("whose these are")
    zoo.sign(folder, keys / "mallory.key")
    assert zoo.verify(folder, keys / "others").key.name == "mallory.pub"


def test_a_payload_that_was_changed(signed: Path, keys: Path, sealed: None) -> None:
    place = signed / "model.sig"
    told = json.loads(place.read_text())
    payload = json.loads(base64.b64decode(told["dsseEnvelope"]["payload"]))
    payload["predicate"]["resources"].pop()
    told["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
    place.write_text(json.dumps(told))
    with pytest.raises(zoo.WeightsError, match="or was changed"):
        zoo.create(signed)


def test_names_that_two_readers_may_read_otherwise(signed: Path, sealed: None) -> None:
    place = signed / "model.sig"
    told = json.loads(place.read_text())
    for text in (
        json.dumps(told | {"verification_material": told["verificationMaterial"]}),
        place.read_text()[:-1] + ',"dsseEnvelope":{}}',
    ):
        place.write_text(text)
        with pytest.raises(zoo.WeightsError, match="twice, or in another spelling"):
            zoo.create(signed)


def test_a_library_that_asks_for_no_file(signed: Path, sealed: None, monkeypatch) -> None:
    from model_signing import verifying

    monkeypatch.setattr(verifying.Config, "verify", lambda *_: None)
    with pytest.raises(zoo.WeightsError, match="is not signed with"):
        zoo.create(signed)


def test_a_certificate(folder: Path, keys: Path) -> None:
    zoo.sign(folder, certified(keys))
    assert zoo.verify(folder, keys / "carol-ca.crt").kind == "certificate"
    with pytest.raises(zoo.WeightsError, match="it is by a certificate"):
        zoo.verify(folder, keys / "trusted" / "alice.pub")
    certified(keys, "dave")
    with pytest.raises(zoo.WeightsError, match=r"not signed with .*dave-ca.crt"):
        zoo.verify(folder, keys / "dave-ca.crt")


def test_a_certificate_whose_files_changed(folder: Path, keys: Path) -> None:
    zoo.sign(folder, certified(keys))
    (folder / "README.md").write_text("mine")
    with pytest.raises(zoo.WeightsError, match=r"README.md has other bytes"):
        zoo.verify(folder, keys / "carol-ca.crt")


@pytest.mark.parametrize(
    ("days", "usage", "said"), [(-1, True, "has expired"), (30, False, "cannot be used")]
)
def test_a_certificate_that_does_not_hold(
    folder: Path, keys: Path, sealed: None, monkeypatch, days: int, usage: bool, said: str
) -> None:
    zoo.sign(folder, certified(keys, days=days, usage=usage))
    (keys / "carol-ca.crt").rename(keys / "trusted" / "carol-ca.crt")
    with pytest.raises(zoo.WeightsError, match=said):
        zoo.verify(folder, keys / "trusted" / "carol-ca.crt")
    monkeypatch.setenv("ZOO_TRUSTED_KEYS", str(keys / "trusted"))
    with pytest.raises(zoo.WeightsError, match=said):
        zoo.create(folder)


@pytest.mark.parametrize("content", [None, "", "-----BEGIN PUBLIC KEY-----\nAAAA\n", "a = 1"])
def test_trusted_keys_that_are_none_trust_nobody(
    signed: Path, tmp_path: Path, sealed: None, monkeypatch, content: str | None
) -> None:
    trusted = tmp_path / "none"
    if content is not None:
        trusted.mkdir()
        if content:
            (trusted / "a.toml").write_text(content)
    monkeypatch.setenv("ZOO_TRUSTED_KEYS", str(trusted))
    with pytest.raises(zoo.WeightsError, match="ZOO_TRUSTED_KEYS is set"):
        zoo.create(signed)
    assert zoo.create("lenet5").num_outputs == 10


def test_a_private_key_checks_nothing(signed: Path, keys: Path) -> None:
    with pytest.raises(zoo.WeightsError, match=r"is a private key.* openssl pkey -in"):
        zoo.verify(signed, keys / "alice.key")


def test_keys_that_cannot_sign(folder: Path, keys: Path) -> None:
    locked, old, brittle = keys / "locked.key", keys / "rsa.key", keys / "k1.key"
    how = (Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    locked.write_bytes(ec.generate_private_key(ec.SECP256R1()).private_bytes(*how))
    old.write_bytes(private(rsa.generate_private_key(65537, 2048)))
    brittle.write_bytes(private(ec.generate_private_key(ec.SECP256K1())))
    for key in (locked, old, brittle, keys / "trusted" / "alice.pub", keys / "nosuch", keys):
        with pytest.raises(zoo.WeightsError):
            zoo.sign(folder, key)
    mixed = keys / "mixed.pem"  # a key with another's certificate
    theirs = certified(keys).read_text()
    mixed.write_text((keys / "alice.key").read_text() + theirs[theirs.index("-----BEGIN CERT") :])
    with pytest.raises(zoo.WeightsError, match="does not match"):
        zoo.sign(folder, mixed)
    assert not (folder / "model.sig").exists()


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()])
def test_other_curves(folder: Path, keys: Path, curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    (keys / "own.key").write_bytes(private(key))
    (keys / "own.pub").write_bytes(public(key))
    zoo.sign(folder, keys / "own.key")
    assert zoo.verify(folder, keys / "own.pub")


def test_a_folder_that_cannot_be_signed(folder: Path, keys: Path) -> None:
    with pytest.raises(zoo.PublishError, match="No folder is at"):
        zoo.sign("nowhere", keys / "alice.key")
    (folder / "more").symlink_to(keys)
    with pytest.raises(zoo.PublishError, match="symlink"):
        zoo.sign(folder, keys / "alice.key")


def test_other_tools_check_it_too(folder: Path, keys: Path) -> None:
    from model_signing import verifying

    zoo.sign(folder, keys / "alice.key")
    config = verifying.Config().use_elliptic_key_verifier(public_key=keys / "trusted/alice.pub")
    config.verify(folder, folder / "model.sig")


def test_what_another_tool_signed(folder: Path, keys: Path, sealed: None, monkeypatch) -> None:
    """All files but those that it was told to leave out: these are not signed."""
    from model_signing import hashing, signing

    monkeypatch.setenv("ZOO_TRUSTED_KEYS", str(keys / "trusted"))
    config = signing.Config().use_elliptic_key_signer(private_key=keys / "alice.key")
    config.sign(folder, folder / "model.sig")
    assert zoo.verify(folder, keys / "trusted")
    left_out = hashing.Config().set_ignored_paths(paths=["model.sig", "model.safetensors"])
    config.set_hashing_config(left_out).sign(folder, folder / "model.sig")
    with pytest.raises(zoo.WeightsError, match=r"model.safetensors was added"):
        zoo.create(folder)
    config.set_hashing_config(hashing.Config().use_file_serialization(hashing_algorithm="blake3"))
    (folder / "model.sig").unlink()
    config.sign(folder, folder / "model.sig")
    with pytest.raises(zoo.WeightsError, match="by sha256"):
        zoo.create(folder)


def test_without_the_extra(signed: Path, keys: Path, sealed: None, monkeypatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "model_signing.verifying", None)
    for call in (
        lambda: zoo.create(signed),
        lambda: zoo.verify(signed, keys / "trusted"),
        lambda: zoo.sign(signed, keys / "alice.key"),
    ):
        with pytest.raises(zoo.WeightsError, match=r"pip install 'zoo-core\[signing\]'"):
            call()


def test_a_file_of_weights_on_the_hub(hub: HubServer, keys: Path, monkeypatch) -> None:
    monkeypatch.setenv("ZOO_TRUSTED_KEYS", str(keys / "trusted"))
    body = safetensors(lenet())
    Path("repo/a").mkdir(parents=True)
    Path("repo/a/model.safetensors").write_bytes(body)
    zoo.sign("repo", keys / "alice.key")
    files = {"a/model.safetensors": body, "model.sig": Path("repo/model.sig").read_bytes()}
    commit = hub.seed("alice/digits", files)
    reference = "hf://alice/digits@{}/a/model.safetensors"
    assert zoo.create("lenet5", pretrained=reference.format(commit)).origin.trained
    assert zoo.create("lenet5", pretrained=reference.format("main")).origin.trained
    other = hub.seed("alice/digits", files | {"a/model.safetensors": safetensors(lenet(1))})
    with pytest.raises(zoo.WeightsError, match=r"a/model.safetensors has other bytes"):
        zoo.create("lenet5", pretrained=reference.format(other))
    bare = hub.seed("alice/bare", {"a/model.safetensors": body})
    with pytest.raises(zoo.WeightsError, match="has no signature"):
        zoo.create("lenet5", pretrained=f"hf://alice/bare@{bare}/a/model.safetensors")


def test_names_that_lead_outside_are_not_fetched() -> None:
    files = openssf._Files(lambda names: pytest.fail("asked"))
    for name in ("../secret", "/etc/passwd"):
        with pytest.raises(ValueError, match="outside"):
            files.hash(Path(), files_to_hash=[Path(name)])


def test_an_identity_of_sigstore_is_asked_for(
    signed: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from model_signing import verifying

    asked: list[dict[str, str]] = []

    def used(config: object, **how: str) -> None:
        asked.append(how)
        raise RuntimeError("no network here")

    monkeypatch.setattr(verifying.Config, "use_sigstore_verifier", used)
    told = json.loads((signed / "model.sig").read_text())
    told["verificationMaterial"] = {"certificate": {"rawBytes": ""}, "tlogEntries": []}
    (signed / "model.sig").write_text(json.dumps(told))
    me = keys / "me.toml"
    me.write_text('identity = "me@host"\nissuer = "https://issuer"\n')
    with pytest.raises(zoo.WeightsError, match="no network here"):
        zoo.verify(signed, me)
    assert asked == [{"identity": "me@host", "oidc_issuer": "https://issuer"}]
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(zoo.WeightsError, match="zoo is offline"):
        zoo.sign(signed, "sigstore")

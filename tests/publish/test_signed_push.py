"""A push that is signed: what is signed, what a demanded signature refuses, and the commands."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import torch
from hub.server import HubServer
from support.fetching import own_places, same
from support.signing_keys import keys

import zoo_core as zoo
from zoo_core.cli import main
from zoo_core.model.zoo_model import ZooModel
from zoo_core.weights import tensors

__all__ = ["keys", "own_places"]
pytestmark = pytest.mark.usefixtures("own_places")
Patch = pytest.MonkeyPatch


def tuned() -> ZooModel:
    torch.manual_seed(0)
    return zoo.create("lenet5", pretrained=True, num_classes=3)


def files(hub: HubServer, repository: str) -> dict[str, bytes]:
    return {name: hub.file(repository, name) for name in hub.files(repository)}


def refuse_tensors(monkeypatch: Patch) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("a tensor was read")

    monkeypatch.setattr(tensors, "load_file", read)


def test_sign_push_verify_and_demand(
    hub: HubServer, signed_in: str, keys: Path, monkeypatch: Patch
) -> None:
    model = tuned()
    done = zoo.push(model, "alice/three", sign=keys / "alice.key")
    assert done.sizes["model.sig"] == len(hub.file("alice/three", "model.sig"))
    signed = zoo.verify("hf://alice/three", keys / "trusted" / "alice.pub")
    assert set(signed.files) == {"delta.safetensors", "config.json", "README.md"}
    with pytest.raises(zoo.WeightsError, match="another key's"):
        zoo.verify("hf://alice/three", keys / "others")
    monkeypatch.setenv("ZOO_TRUSTED_KEYS", str(keys / "trusted"))
    assert same(zoo.create("hf://alice/three"), model.state_dict())
    assert same(zoo.create(done.reference), model.state_dict())
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    assert same(zoo.create(done.reference), model.state_dict()), "all that was signed is cached"
    monkeypatch.setenv("ZOO_TRUSTED_KEYS", str(keys / "others"))
    refuse_tensors(monkeypatch)
    with pytest.raises(zoo.WeightsError, match=r"another key's.*ZOO_TRUSTED_KEYS"):
        zoo.create("hf://alice/three")


@pytest.mark.parametrize("name", ["README.md", "config.json", "delta.safetensors"])
@pytest.mark.parametrize("gone", [False, True])
def test_a_repository_that_was_changed(
    hub: HubServer, signed_in: str, keys: Path, monkeypatch: Patch, name: str, gone: bool
) -> None:
    zoo.push(tuned(), "alice/three", sign=keys / "alice.key")
    there = files(hub, "alice/three")
    body = there.pop(name)
    end = b" " if name == "config.json" else bytes([body[-1] ^ 1])
    hub.seed("alice/other", there if gone else {**there, name: body[:-1] + end})
    refuse_tensors(monkeypatch)
    with pytest.raises(zoo.WeightsError, match=name):
        zoo.verify("hf://alice/other", keys / "trusted")
    monkeypatch.setenv("ZOO_TRUSTED_KEYS", str(keys / "trusted"))
    with pytest.raises(zoo.WeightsError, match=name):
        zoo.create("hf://alice/other")


def test_weights_that_were_not_signed(
    hub: HubServer, signed_in: str, keys: Path, monkeypatch: Patch
) -> None:
    """A signature over other files lends its trust to none of these."""
    zoo.push(tuned(), "alice/three", delta=False)
    Path("card").mkdir()
    for name in ("config.json", "README.md"):
        (Path("card") / name).write_bytes(hub.file("alice/three", name))
    zoo.sign("card", keys / "alice.key")
    sig = Path("card/model.sig").read_bytes()
    hub.seed("alice/other", {**files(hub, "alice/three"), "model.sig": sig})
    monkeypatch.setenv("ZOO_TRUSTED_KEYS", str(keys / "trusted"))
    refuse_tensors(monkeypatch)
    with pytest.raises(zoo.WeightsError, match=r"model\.safetensors of .* is not signed"):
        zoo.create("hf://alice/other")


def test_without_a_signature(
    hub: HubServer, signed_in: str, keys: Path, monkeypatch: Patch
) -> None:
    zoo.push(tuned(), "alice/three")
    with pytest.raises(zoo.WeightsError, match=r"has no signature \(model.sig\)"):
        zoo.verify("hf://alice/three", keys / "trusted")
    monkeypatch.setenv("ZOO_TRUSTED_KEYS", str(keys / "trusted"))
    refuse_tensors(monkeypatch)
    with pytest.raises(zoo.WeightsError, match="has no signature"):
        zoo.create("hf://alice/three")


def test_a_push_without_one_takes_the_old_one_away(
    hub: HubServer, signed_in: str, keys: Path
) -> None:
    zoo.push(tuned(), "alice/three", sign=keys / "alice.key")
    zoo.push(tuned().reset_head(4), "alice/three")
    assert "model.sig" not in hub.files("alice/three")
    folder = tuned().save_pretrained("mine")
    zoo.sign(folder, keys / "alice.key")
    tuned().save_pretrained("mine")
    assert not (folder / "model.sig").exists()


def test_a_base_is_vouched_for_by_its_sha256(
    hub: HubServer, signed_in: str, keys: Path, monkeypatch: Patch
) -> None:
    zoo.push(tuned(), "alice/three", delta=False)
    model = zoo.create("hf://alice/three").reset_head(5)
    assert "delta.safetensors" in zoo.push(model, "alice/five", sign=keys / "alice.key").sizes
    monkeypatch.setenv("ZOO_TRUSTED_KEYS", str(keys / "trusted"))
    assert same(zoo.create("hf://alice/five"), model.state_dict())


def test_a_dry_run_shows_it_too(hub: HubServer, signed_in: str, keys: Path) -> None:
    assert "model.sig" in zoo.push(tuned(), "alice/a", sign=keys / "alice.key", dry_run=True).sizes
    assert "model.sig" not in zoo.push(tuned(), "alice/a", sign="sigstore", dry_run=True).sizes
    with pytest.raises(zoo.WeightsError, match="holds no private key"):
        zoo.push(tuned(), "alice/a", sign=keys / "trusted" / "alice.pub")


def test_runs(hub: HubServer, signed_in: str, keys: Path, monkeypatch: Patch) -> None:
    """One that trains and publishes needs no signature for it; one that is loaded again does."""
    monkeypatch.setenv("ZOO_TRUSTED_KEYS", str(keys / "trusted"))
    run = zoo.finetune("lenet5", "digits", freeze_until="head", epochs=1, out="run", progress=False)
    zoo.evaluate(run)
    done = zoo.push("./run", "alice/digits", sign=keys / "alice.key")
    assert "recipe.toml" in zoo.verify(done.reference, keys / "trusted").files
    assert zoo.create(done.reference).num_outputs == 10
    with pytest.raises(zoo.WeightsError, match=r"run has no signature.*zoo sign"):
        zoo.create("./run")
    zoo.sign("run", keys / "alice.key")
    assert zoo.create("./run").num_outputs == 10
    assert zoo.evaluate("./run", "digits") is not None
    recipe = Path("run") / "recipe.toml"
    recipe.write_text(recipe.read_text() + "\n")
    with pytest.raises(zoo.WeightsError, match=r"recipe.toml has other bytes"):
        zoo.create("./run")


def test_fetched_for_a_machine_without_a_network(
    hub: HubServer, signed_in: str, keys: Path, monkeypatch: Patch
) -> None:
    done = zoo.push(tuned(), "alice/three", sign=keys / "alice.key")
    monkeypatch.setenv("ZOO_TRUSTED_KEYS", str(keys / "trusted"))
    assert main(["fetch", done.reference, "--to", "stick"]) == 0
    monkeypatch.setenv("ZOO_CACHE", "stick")
    monkeypatch.setenv("HF_HOME", "empty")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "empty")
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    assert zoo.create(done.reference).num_outputs == 3


def test_the_commands(
    hub: HubServer, signed_in: str, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As docs/signing.md has them, with keys that openssl makes."""
    for line in (
        "openssl ecparam -name prime256v1 -genkey -noout -out zoo.key",
        "openssl pkey -in zoo.key -pubout -out zoo.pub",
    ):
        subprocess.run(line.split(), check=True)
    tuned().save_pretrained("mine")
    assert main(["sign", "mine", "--key", "zoo.key"]) == 0
    assert "Signed: mine/model.sig" in capsys.readouterr().out
    assert main(["verify", "mine", "--key", "zoo.pub"]) == 0
    assert "3 files, all as they were signed with zoo.pub." in capsys.readouterr().out
    assert main(["verify", "mine", "--key", "zoo.pub", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["files"]) == 3
    assert main(["push", "./mine", "alice/three", "--sign", "zoo.key"]) == 0
    assert "model.sig" in capsys.readouterr().out
    assert main(["verify", "hf://alice/three", "--key", "zoo.pub"]) == 0
    capsys.readouterr()
    (Path("mine") / "README.md").unlink()
    assert main(["verify", "mine", "--key", "zoo.pub"]) == 1
    said = capsys.readouterr().err
    assert "Error: mine is not what was signed: README.md is missing." in said
    assert "Traceback" not in said
    assert main(["verify", "mine"]) == 2
    assert main(["verify", "--key", "zoo.pub"]) == 2
    assert main(["sign", "mine"]) == 2
    assert main(["sign", "mine", "--key", "zoo.pub"]) == 1
    assert "holds no private key" in capsys.readouterr().err


def test_verify_takes_the_trusted_keys(
    keys: Path, monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    zoo.sign(tuned().save_pretrained("mine"), keys / "alice.key")
    monkeypatch.setenv("ZOO_TRUSTED_KEYS", str(keys / "trusted"))
    assert main(["verify", "mine"]) == 0
    monkeypatch.setenv("ZOO_TRUSTED_KEYS", str(keys / "others"))
    assert main(["verify", "mine"]) == 1
    assert "is not signed with" in capsys.readouterr().err

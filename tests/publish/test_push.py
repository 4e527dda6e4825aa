"""A push, and loading it back: whole, as a delta, on another delta; what forbids and breaks it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hub.client import run_client
from hub.server import HubServer
from huggingface_hub import HfApi, ModelCard
from support.fetching import digest, own_places, safetensors, same, seeded
from support.model_fixtures import Offer

import zoo_core as zoo
from zoo_core.cli import main
from zoo_core.model.zoo_model import ZooModel
from zoo_core.plugins.catalogue import catalogue
from zoo_core.publish import staging
from zoo_core.types import Pushed, Upload

__all__ = ["own_places"]
pytestmark = pytest.mark.usefixtures("own_places")


def tuned(classes: int = 3) -> ZooModel:
    """LeNet-5 with MNIST's weights and a new head."""
    torch.manual_seed(classes)
    model = zoo.create("lenet5", pretrained=True)
    return model.reset_head(classes, labels=[f"class {i}" for i in range(classes)])


def equal(one: torch.nn.Module, other: torch.nn.Module, count: int = 1) -> bool:
    x = torch.rand(count, 1, 32, 32)
    with torch.no_grad():
        return torch.equal(one.eval()(x), other.eval()(x))


def test_a_delta_holds_what_differs_and_comes_back_bit_for_bit(
    hub: HubServer, signed_in: str
) -> None:
    model = tuned()
    done = zoo.push(model, "alice/three")
    assert set(hub.files("alice/three")) >= {"delta.safetensors", "config.json", "README.md"}
    assert "model.safetensors" not in hub.files("alice/three")
    assert done.sizes["delta.safetensors"] < 3_000
    again = zoo.create("hf://alice/three")
    assert same(again, model.state_dict())
    assert equal(again, model)
    assert (again.labels, again.input, again.info) == (model.labels, model.input, model.info)


def test_a_push_is_one_commit_and_a_tag_and_says_what_it_did(
    hub: HubServer, signed_in: str
) -> None:
    done = zoo.push(tuned(), "alice/three")
    assert len(hub.requests("POST */commit/*")) == 1
    [commit] = [entry for entry in hub.requests("POST */commit/*") if entry.body]
    assert commit.body[0]["value"]["parentCommit"]
    assert hub.tags("alice/three") == {"v1": done.commit}
    assert done.tag == "v1"
    body = hub.file("alice/three", "delta.safetensors")
    assert done.sha256 == {"delta.safetensors": digest(body)}
    assert zoo.push(tuned(4), "alice/three").tag == "v2"
    assert zoo.create("hf://alice/three@v1").num_outputs == 3
    assert zoo.create("hf://alice/three@v2").num_outputs == 4


def test_the_same_push_again_changes_nothing(hub: HubServer, signed_in: str) -> None:
    first = zoo.push(tuned(), "alice/three")
    again = zoo.push(tuned(), "alice/three")
    assert (again.commit, again.tag) == (first.commit, first.tag)


def test_a_delta_can_stand_on_a_delta(hub: HubServer, signed_in: str) -> None:
    zoo.push(tuned(), "alice/three")
    middle = zoo.create("hf://alice/three")
    middle.reset_head(5)
    with torch.no_grad():
        middle.fc2.bias.add_(1)
    done = zoo.push(middle, "alice/five")
    assert done.sizes["delta.safetensors"] < 5_000
    last = zoo.create("hf://alice/five")
    assert same(last, middle.state_dict())
    assert equal(last, middle)
    zoo.push(last.reset_head(2), "alice/two")
    assert same(zoo.create("hf://alice/two"), last.state_dict())


def test_a_delta_can_stand_on_a_file_of_a_repository(hub: HubServer, signed_in: str) -> None:
    reference = seeded(hub)
    model = zoo.create("lenet5", pretrained=reference, num_classes=2)
    zoo.push(model, "alice/two")
    assert "delta.safetensors" in hub.files("alice/two")
    assert same(zoo.create("hf://alice/two"), model.state_dict())


def test_a_base_that_no_registry_pins_is_named_by_its_commit(
    hub: HubServer, signed_in: str, offer: Offer
) -> None:
    seeded(hub)
    offer(
        '[models.toy]\narchitecture = "lenet"\nnum_classes = 10\ninput = { size = [1, 32, 32], '
        "mean = [0.1], std = [0.3] }\n[models.toy.weights.a]\ndefault = true\n"
        'license = "mit"\nsource = "hf://alice/digits/model.safetensors"\n'
    )
    model = zoo.create("toy", pretrained=True, num_classes=2)
    zoo.push(model, "alice/two")
    assert "license: mit" in hub.file("alice/two", "README.md").decode()
    seeded(hub, seed=1)
    assert same(zoo.create("hf://alice/two"), model.state_dict())


def test_a_base_with_other_bytes_is_refused(hub: HubServer, signed_in: str) -> None:
    zoo.push(tuned(), "alice/three")
    config = json.loads(hub.file("alice/three", "config.json"))
    config["zoo"]["base"]["digest"] = "0" * 64
    hub.seed("alice/three", {"config.json": json.dumps(config).encode()})
    with pytest.raises(zoo.WeightsError, match=r"stands on lenet5.mnist5k with the digest 0000"):
        zoo.create("hf://alice/three")
    config["zoo"]["base"]["sha256"] = "0" * 64
    hub.seed("alice/three", {"config.json": json.dumps(config).encode()})
    with pytest.raises(zoo.HashMismatch):
        zoo.create("hf://alice/three")


def test_a_loop_of_deltas_ends(hub: HubServer, signed_in: str) -> None:
    done = zoo.push(tuned(), "alice/three")
    config = json.loads(hub.file("alice/three", "config.json"))
    config["zoo"]["base"]["name"] = "hf://alice/three"
    hub.seed("alice/three", {"config.json": json.dumps(config).encode()})
    with pytest.raises(zoo.WeightsError, match="more than 8 deep"):
        zoo.create("hf://alice/three")
    assert zoo.create(f"hf://alice/three@{done.commit}").num_outputs == 3


def test_a_model_without_a_classifier_comes_back_without_one(
    hub: HubServer, signed_in: str
) -> None:
    model = zoo.create("lenet5", pretrained=True, num_classes=0)
    for delta in (True, False):
        zoo.push(model, "alice/features", delta=delta)
        again = zoo.create("hf://alice/features")
        assert equal(again, model)
        assert again.reset_head(4).num_outputs == 4


def test_other_channels_types_and_options_come_back(hub: HubServer, signed_in: str) -> None:
    model = zoo.create("googlenet", in_chans=1, num_classes=4, naive=False, aux_heads=True)
    model.half()
    zoo.push(model, "alice/gray", license="mit")
    again = zoo.create("hf://alice/gray")
    assert next(again.parameters()).dtype == torch.float16
    assert same(again, model.state_dict())
    assert again.aux1 is not None


def test_a_push_from_another_start_is_whole(hub: HubServer, signed_in: str) -> None:
    model = zoo.create("lenet5")
    with pytest.raises(zoo.PublishError, match="nothing that a delta could stand on"):
        zoo.push(model, "alice/scratch", delta=True)
    zoo.push(model, "alice/scratch")
    assert "model.safetensors" in hub.files("alice/scratch")
    assert equal(zoo.create("hf://alice/scratch"), model)
    card = ModelCard(hub.file("alice/scratch", "README.md").decode())
    assert card.data.license is None


def test_a_whole_push_after_a_delta_leaves_no_delta_behind(hub: HubServer, signed_in: str) -> None:
    zoo.push(tuned(), "alice/three")
    zoo.push(tuned(), "alice/three", delta=False)
    assert "delta.safetensors" not in hub.files("alice/three")
    assert equal(zoo.create("hf://alice/three"), tuned())


def test_a_run_brings_recipe_metrics_and_no_folders_of_this_machine(
    hub: HubServer, signed_in: str, tmp_path: Path
) -> None:
    run = zoo.finetune(
        "lenet5",
        "digits",
        freeze_until="head",
        epochs=1,
        regularizers=["l2=1e-4"],
        out=tmp_path / "secret-run",
        progress=False,
    )
    run.recipe["data"]["spec"] = f"folder:{tmp_path}/flowers"
    zoo.push(run, "alice/digits")
    assert {"recipe.toml", "delta.safetensors"} <= set(hub.files("alice/digits"))
    readme = hub.file("alice/digits", "README.md").decode()
    card = ModelCard(readme)
    assert card.data.license == "apache-2.0"
    assert card.data.eval_results[0].metric_value == pytest.approx(run.accuracy, abs=1e-6)
    assert "l2=1e-4" in readme
    assert "| fc1 | 48,120 | as it was |" in readme
    assert "| head | 850 | changed |" in readme
    assert str(tmp_path) not in readme + hub.file("alice/digits", "recipe.toml").decode()
    assert equal(zoo.create("hf://alice/digits"), run.model)
    zoo.push(tmp_path / "secret-run", "alice/from-path")
    assert equal(zoo.create("hf://alice/from-path"), run.model)


def test_a_readme_that_is_there_is_merged(hub: HubServer, signed_in: str) -> None:
    theirs = "---\nlicense: mit\nlanguage: de\ntags:\n- garden\n---\n# Meine Blumen\n\nText.\n"
    hub.seed("alice/three", {"README.md": theirs.encode()})
    for classes in (3, 4):
        zoo.push(tuned(classes), "alice/three")
    readme = hub.file("alice/three", "README.md").decode()
    card = ModelCard(readme)
    assert card.data.license == "apache-2.0"
    assert card.data.language == "de"
    assert card.data.tags[0] == "garden"
    assert "zoo" in card.data.tags
    assert "Meine Blumen" in readme
    assert "Text." in readme
    assert readme.count("## Use") == 1
    assert "4 classes" in readme
    assert "3 classes" not in readme


def test_a_readme_with_broken_metadata_stops_the_push(hub: HubServer, signed_in: str) -> None:
    head = hub.seed("alice/three", {"README.md": b"---\na: [b\n---\n# x\n"})
    with pytest.raises(zoo.PublishError, match=r"README.md that is there.*cannot be read"):
        zoo.push(tuned(), "alice/three")
    assert hub.branches("alice/three")["main"] == head


@pytest.mark.parametrize("license", ["cc-by-nd-4.0", "cc-by-nc-nd-4.0"])
def test_a_licence_that_forbids_it_stops_the_push(
    hub: HubServer, signed_in: str, license: str
) -> None:
    zoo.push(zoo.create("lenet5"), "alice/base", license=license)
    model = zoo.create("hf://alice/base").reset_head(2)
    with pytest.raises(zoo.PublishError, match=f"{license}, which does not allow"):
        zoo.push(model, "alice/derived")
    assert "alice/derived" not in hub.repos


def test_a_licence_is_inherited_and_never_relabelled(hub: HubServer, signed_in: str) -> None:
    zoo.push(zoo.create("lenet5"), "alice/base", license="cc-by-nc-4.0")
    model = zoo.create("hf://alice/base").reset_head(2)
    with pytest.raises(zoo.PublishError, match="cannot be given mit"):
        zoo.push(model, "alice/derived", license="mit")
    zoo.push(model, "alice/derived")
    card = ModelCard(hub.file("alice/derived", "README.md").decode())
    assert card.data.license == "cc-by-nc-4.0"
    assert card.data.base_model == "alice/base"


def test_pull_requests_and_private_repositories(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_write")
    zoo.push(tuned(), "alice/secret", private=True)
    assert hub.repos["alice/secret"].private
    hub.seed("alice/public", {"README.md": b"# x\n"})
    with pytest.raises(zoo.PublishError, match="is public"):
        zoo.push(tuned(), "alice/public", private=True)
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    done = zoo.push(tuned(), "alice/public", create_pr=True)
    assert done.pull_request
    assert done.tag is None
    assert "config.json" not in hub.files("alice/public")
    assert equal(zoo.create("hf://alice/public@refs/pr/1"), tuned())


def test_a_dry_run_shows_everything_and_changes_nothing(hub: HubServer, signed_in: str) -> None:
    done = zoo.push(tuned(), "alice/three", dry_run=True)
    assert done.commit is None
    assert set(done.sizes) == {"delta.safetensors", "config.json", "README.md"}
    assert "alice/three" not in hub.repos
    assert all(entry.method in ("GET", "HEAD") for entry in hub.log)
    assert zoo.push(tuned(), "alice/three").card == done.card


def test_offline_nothing_is_asked(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(zoo.PublishError, match=r"offline.*save_pretrained"):
        zoo.push(tuned(), "alice/three", dry_run=True)
    assert hub.log == []


@pytest.mark.parametrize(
    ("token", "repository", "message"),
    [
        ("", "alice/three", "hf auth login"),
        ("hf_wrong", "alice/three", "does not accept the token"),
        ("hf_read", "alice/three", "may not do that"),
        (
            "hf_write",
            "bob/three",
            r"is bob's, and alice may not do that\. Push to .*: alice/three\.",
        ),
        ("hf_write", "three", "no name of a repository"),
        ("hf_write", "alice/a b", "no name of a repository"),
        ("hf_write", "ftp://alice/three", "no place to push to"),
        ("hf_write", "file:/tmp/x", "no name of a repository"),
    ],
)
def test_who_may_not_push_is_told_so(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, token: str, repository: str, message: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(zoo.PublishError, match=message):
        zoo.push(tuned(), repository)
    assert hub.repos == {}


# --- faults --------------------------------------------------------------------------------------


def test_a_push_that_loses_a_race_pushes_nothing(hub: HubServer, signed_in: str) -> None:
    zoo.push(tuned(), "alice/three")
    hub.faults.call("POST */preupload/*", lambda: hub.seed("alice/three", {"note": b"mine"}))
    with pytest.raises(zoo.PublishError, match=r"changed by somebody else.*again"):
        zoo.push(tuned(4), "alice/three")
    assert zoo.create("hf://alice/three").num_outputs == 3
    zoo.push(tuned(4), "alice/three")
    assert hub.file("alice/three", "note") == b"mine"
    assert zoo.create("hf://alice/three").num_outputs == 4


@pytest.mark.parametrize(
    "pattern", ["POST */commit/*", "POST *.git/info/lfs/objects/batch", "POST */preupload/*"]
)
def test_a_hub_that_fails_in_mid_push_leaves_the_old_version(
    hub: HubServer, signed_in: str, pattern: str
) -> None:
    zoo.push(tuned(), "alice/three")
    hub.faults.status(pattern, 501, times=None)  # which the client does not ask for again
    with pytest.raises(zoo.PublishError, match="501"):
        zoo.push(tuned(4), "alice/three")
    hub.faults.clear()
    assert zoo.create("hf://alice/three").num_outputs == 3
    assert zoo.push(tuned(4), "alice/three").tag == "v2"


def test_a_process_killed_in_mid_push_can_push_again(
    hub: HubServer, signed_in: str, own_places: Path
) -> None:
    code = (
        "import os, signal, torch; import zoo_core as zoo; from zoo_hub import pushing\n"
        "pushing._tagged = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "torch.manual_seed(3); m = zoo.create('lenet5', pretrained=True)\n"
        "zoo.push(m.reset_head(3, labels=['class 0', 'class 1', 'class 2']), 'alice/three')"
    )
    environment = {**os.environ, **hub.environment(own_places / "home")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert done.returncode < 0
    assert hub.tags("alice/three") == {}
    again = zoo.push(tuned(), "alice/three")
    assert hub.tags("alice/three") == {"v1": again.commit}


def test_what_does_not_come_back_the_same_is_not_pushed(
    hub: HubServer, signed_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = staging._write_tensors

    def wrong(tensors: dict[str, torch.Tensor], path: Path) -> None:
        written({name: tensor + 1 for name, tensor in tensors.items()}, path)

    monkeypatch.setattr(staging, "_write_tensors", wrong)
    with pytest.raises(zoo.PublishError, match="comes back different"):
        zoo.push(tuned(), "alice/three")
    assert hub.repos == {}


# --- hostile config.json -------------------------------------------------------------------------


NOWHERE = {"sha256": "0" * 64, "digest": "0" * 64}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"code": "os.system"}, "unknown field"),
        ({"schema": 2}, "schema 2"),
        ({"schema": "1" * 100_000}, "schema 111"),
        ({"model": "os:system"}, "not installed here"),
        ({"model": "no_such_net", "distribution": "zoo-else"}, "trust it: pip install zoo-else"),
        ({"model": "no_such_net", "distribution": "x; rm -rf ~"}, r"not installed here\.$"),
        ({"model": "no_such_net", "distribution": "--pre x"}, r"not installed here\.$"),
        ({"model": "residual_attention56", "distribution": "evil"}, "zoo-residual-att"),
        ({"num_classes": 10**12}, "num_classes"),
        ({"num_classes": -1}, "num_classes"),
        ({"in_chans": 10**9}, "in_chans"),
        ({"config": {"width": 10**30}}, "config"),
        ({"config": {"endpoint": "https://evil.example"}}, "no option"),
        ({"input": {"size": [1, 32, 32], "mean": [0.1], "std": [0.0]}}, "input"),
        ({"format": "pickle"}, "format"),
        ({"sha256": "../../x"}, "sha256"),
        ({"base": {**NOWHERE, "name": "https://evil.example/x.pth"}}, "may not name"),
        ({"base": {**NOWHERE, "name": "file:/etc/passwd"}}, "No model|may not name"),
        ({"base": None}, "without the base"),
        ({"labels": ["a"]}, "1 labels for 3 classes"),
    ],
)  # fmt: skip
def test_a_config_that_says_more_than_it_may_is_refused(
    hub: HubServer, signed_in: str, change: dict[str, object], message: str
) -> None:
    zoo.push(tuned(), "alice/three")
    config = json.loads(hub.file("alice/three", "config.json"))
    config["zoo"] |= change
    hub.seed("alice/three", {"config.json": json.dumps(config).encode()})
    hub.log.clear()
    with pytest.raises(zoo.ZooError, match=message):
        zoo.create("hf://alice/three")


@pytest.mark.parametrize("body", [b"", b"[]", b"{" * 100_000, b"\xff\xfe", b"x" * 5_000_000])
def test_a_config_that_is_none_is_refused(hub: HubServer, body: bytes) -> None:
    hub.seed("alice/three", {"config.json": body})
    with pytest.raises(zoo.WeightsError, match=r"config.json"):
        zoo.create("hf://alice/three")


# --- other doors ---------------------------------------------------------------------------------


def test_save_pretrained_and_push_to_hub_are_where_people_look_for_them(
    hub: HubServer, signed_in: str, tmp_path: Path
) -> None:
    model = tuned()
    for delta in (False, True):
        folder = model.save_pretrained(tmp_path / "exported", delta=delta)
        assert same(zoo.create(folder), model.state_dict())
    assert model.push_to_hub("alice/three").commit
    assert equal(zoo.create("hf://alice/three"), zoo.create(tmp_path / "exported"))


def test_timm_and_transformers_load_a_whole_push(
    xet_hub: HubServer, hub: HubServer, signed_in: str, tmp_path: Path
) -> None:
    import timm

    torch.manual_seed(0)
    model = zoo.create("resnet18", num_classes=4, in_chans=1).eval()
    model.labels = ("a", "b", "c", "d")
    zoo.push(model, "alice/four", license="apache-2.0")
    x = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        loaded = timm.create_model("hf-hub:alice/four", pretrained=True).eval()
        assert torch.equal(loaded(x), model(x))
        assert tuple(loaded.pretrained_cfg["label_names"]) == model.labels
        transformers = pytest.importorskip("transformers")
        auto = transformers.AutoModelForImageClassification.from_pretrained("alice/four").eval()
        assert torch.allclose(auto(x).logits, model(x), atol=1e-6)
    assert loaded.pretrained_cfg["input_size"] == (1, 224, 224)


def test_a_repository_in_timms_layout_is_the_official_model_of_that_name(hub: HubServer) -> None:
    model = zoo.create("resnet18", num_classes=2)
    config = {
        "architecture": "resnet18",
        "num_classes": 2,
        "label_names": ["cat", "dog"],
        "pretrained_cfg": {"input_size": [3, 64, 64], "mean": [0.5, 0.5, 0.5], "tag": "x"},
    }
    files = {"config.json": json.dumps(config).encode()}
    hub.seed("somebody/pets", {**files, "model.safetensors": safetensors(model.state_dict())})
    again = zoo.create("hf://somebody/pets")
    assert again.info.name == "resnet18"
    assert again.labels == ("cat", "dog")
    assert again.input.size == (3, 64, 64)
    assert again.input.mean == (0.5, 0.5, 0.5)
    assert same(again, model.state_dict())


def test_what_timm_itself_exports_is_understood(tmp_path: Path) -> None:
    import timm
    from timm.models import save_for_hf

    torch.manual_seed(0)
    theirs = timm.create_model("resnet18", num_classes=3).eval()
    save_for_hf(theirs, tmp_path, safe_serialization=True)
    assert json.loads((tmp_path / "config.json").read_text())["model_args"]["global_pool"] == "avg"
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(zoo.create(tmp_path).eval()(x), theirs(x))


def test_a_push_and_a_fetch_through_xet(xet_hub: HubServer, tmp_path: Path) -> None:
    code = (
        "import torch, zoo_core as zoo\n"
        "m = zoo.create('lenet5', pretrained=True).reset_head(3)\n"
        "print(zoo.push(m, 'alice/x').tag)\n"
        "n = zoo.create('hf://alice/x'); x = torch.rand(1, 1, 32, 32)\n"
        "print(torch.equal(m.eval()(x), n.eval()(x)))"
    )
    assert run_client(xet_hub, code, tmp_path / "home").split() == ["v1", "True"]
    assert xet_hub.requests("GET */xet-write-token/*")
    assert xet_hub.requests("GET */xet-read-token/*")


def test_the_command_line_pushes(
    hub: HubServer, signed_in: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tuned().save_pretrained(tmp_path / "exported")
    assert main(["push", str(folder), "alice/three", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "Nothing was pushed" in printed
    assert "## Stages" in printed
    assert "delta.safetensors" in printed
    assert main(["push", str(folder), "alice/three", "--private"]) == 0
    printed = capsys.readouterr().out
    commit = HfApi().model_info("alice/three").sha
    assert f"commit {commit}" in printed
    assert digest(hub.file("alice/three", "delta.safetensors")) in printed
    assert main(["push", str(folder), "bob/three"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("Error: ")
    assert main(["push", str(folder)]) == 2


# --- to a branch, by another token ---------------------------------------------------------------


def test_a_branch_is_made_and_pushed_to_again(hub: HubServer, signed_in: str) -> None:
    main_one, first, second = tuned(3), tuned(4), tuned(5)
    done = zoo.push(main_one, "alice/three")
    for model in (first, second):
        pushed = zoo.push(model, "alice/three", revision="dev")
        assert (pushed.tag, hub.tags("alice/three")) == (None, {"v1": done.commit})
        assert '"hf://alice/three@dev"' in pushed.card
        assert same(zoo.create("hf://alice/three@dev"), model.state_dict())
    assert same(zoo.create("hf://alice/three"), main_one.state_dict())
    assert zoo.push(tuned(6), "alice/three", revision="main").tag == "v2"
    assert zoo.create("hf://alice/three").num_outputs == 6


def test_a_branch_of_a_new_repository(
    hub: HubServer, signed_in: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tuned()
    assert not zoo.push(model, "alice/three", revision="dev", dry_run=True).commit
    assert hub.requests("POST */repos/create") == []
    model.push_to_hub("alice/three", revision="dev")
    assert same(zoo.create("hf://alice/three@dev"), model.state_dict())
    with pytest.raises(zoo.ZooError, match=r"config.json"):
        zoo.create("hf://alice/three")
    folder = tuned(4).save_pretrained(tmp_path / "four")
    assert main(["push", str(folder), "alice/three", "--revision", "dev"]) == 0
    assert "three@v" not in capsys.readouterr().out
    assert zoo.create("hf://alice/three@dev").num_outputs == 4


def test_a_pull_request_to_a_branch_and_a_push_to_it(hub: HubServer, signed_in: str) -> None:
    zoo.push(tuned(), "alice/three")
    asked = zoo.push(tuned(4), "alice/three", create_pr=True)
    more = zoo.push(tuned(5), "alice/three", revision="refs/pr/1")
    assert asked.pull_request
    assert more.commit
    assert zoo.create("hf://alice/three@refs%2Fpr%2F1").num_outputs == 5


@pytest.mark.parametrize(
    ("revision", "how", "message"),
    [
        ("v1", {}, "v1 of hf://alice/three is a tag, which stays as it is"),
        ("0" * 40, {}, "hf://alice/three has no branch 0{40}. It has: main"),
        ("refs/pr/9", {}, "has no branch refs/pr/9"),
        ("dev", {"create_pr": True}, "has no branch dev"),
    ],
)
def test_what_is_no_branch(
    hub: HubServer, signed_in: str, revision: str, how: dict[str, bool], message: str
) -> None:
    done = zoo.push(tuned(), "alice/three")
    with pytest.raises(zoo.PublishError, match=message):
        zoo.push(tuned(4), "alice/three", revision=revision, **how)
    assert zoo.create("hf://alice/three").num_outputs == 3
    assert hub.tags("alice/three") == {"v1": done.commit}


def test_a_token_is_used_and_shown_nowhere(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(zoo.PublishError):
        zoo.push(tuned(), "alice/three")
    done = tuned().push_to_hub("alice/three", token="hf_write")
    assert done.commit
    with pytest.raises(zoo.PublishError) as caught:
        tuned().push_to_hub("alice/three", token="hf_of_nobody")
    assert "hf_of_nobody" not in f"{caught.value}{caplog.text}"
    assert "hf_write" not in f"{done}{caplog.text}"


def test_a_source_that_knows_no_branches_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of before there were any: it would push to the main one, by another's token."""

    def push(
        repository: str, upload: Upload, *, private: bool, create_pr: bool, dry_run: bool
    ) -> Pushed:
        raise AssertionError("asked to push")

    def fetch(reference: str, filename: str | None, **how: object) -> zoo.Fetched:
        raise AssertionError("asked to fetch")

    model, source = tuned(), zoo.WeightSource("acme", fetch, push=push)
    monkeypatch.setattr(catalogue(), "_sources", {"acme": source})
    with pytest.raises(zoo.PublishError, match="A push to acme:// takes no revision"):
        zoo.push(model, "acme://me/x", revision="dev")
    with pytest.raises(zoo.PublishError, match="A push to acme:// takes no token"):
        model.push_to_hub("acme://me/x", token="hf_x")

"""What people who know the Hub's own classes write, and classes that are such themselves."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hub.server import HubServer
from huggingface_hub import PyTorchModelHubMixin
from support.fetching import own_places, same
from support.model_fixtures import Offer
from torch import Tensor, nn

import zoo_core as zoo
from zoo_core import Stage, ZooModel

__all__ = ["own_places"]
pytestmark = pytest.mark.usefixtures("own_places")


def small() -> ZooModel:
    return zoo.create("lenet5", pretrained=True).reset_head(3, ["a", "b", "c"])


# --- from_pretrained -----------------------------------------------------------------------------


def test_the_signatures_are_those_of_the_hub() -> None:
    push = inspect.signature(ZooModel.push_to_hub).parameters
    wanted = ["repo_id", "commit_message", "token", "private", "create_pr", "revision"]
    assert {*wanted} <= {*push}
    assert push["repo_id"].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert "save_directory" in inspect.signature(ZooModel.save_pretrained).parameters
    assert next(iter(inspect.signature(ZooModel.from_pretrained).parameters)) == "name_or_path"


def test_a_name_brings_its_weights() -> None:
    expected = zoo.create("lenet5", pretrained=True).state_dict()
    for name in ("lenet5", "lenet5.mnist5k", "lenet"):
        assert same(ZooModel.from_pretrained(name), expected)
    assert ZooModel.from_pretrained("lenet5", num_classes=4, freeze_until="head").num_outputs == 4
    assert not ZooModel.from_pretrained("lenet5", pretrained=False).origin.trained
    assert same(type(zoo.create("lenet5")).from_pretrained("lenet5"), expected)


def test_a_folder_is_found_with_and_without_a_dot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small()
    monkeypatch.chdir(tmp_path)
    for folder in ("mine", "own/mine", "lenet5"):  # what is here comes first, as with the Hub's
        model.save_pretrained(folder)
        for name in (folder, f"./{folder}", tmp_path / folder, Path(folder)):
            assert same(ZooModel.from_pretrained(name), model.state_dict())


def test_a_repository_with_and_without_its_scheme(hub: HubServer, signed_in: str) -> None:
    first, second = small(), small()
    first.push_to_hub("alice/three")
    second.push_to_hub("alice/three")
    for name in ("alice/three", "hf://alice/three", "alice/three@v2"):
        assert same(ZooModel.from_pretrained(name), second.state_dict())
    for name in ("alice/three", "hf://alice/three"):
        assert same(ZooModel.from_pretrained(name, revision="v1"), first.state_dict())
    again = ZooModel.from_pretrained("alice/three", token=None, force_download=False)
    assert same(again, second.state_dict())


def test_a_repository_that_is_not_there(hub: HubServer) -> None:
    with pytest.raises(zoo.SourceError, match=r"hf://alice/nosuch does not exist"):
        ZooModel.from_pretrained("alice/nosuch")


@pytest.mark.parametrize(
    ("name", "how", "message"),
    [
        ("lenet6", {}, 'No model "lenet6". Closest: .*"lenet5"'),
        ("", {}, "wants a model's name, a repository or a folder, not ''. Run"),
        (None, {}, "wants a model's name, a repository or a folder, not None. Run"),
        ("hf-hub:me/x@v1", {}, 'No model "hf-hub:me/x@v1". zoo writes "hf://me/x@v1"'),
        ("local-dir:x", {}, 'No model "local-dir:x". zoo writes "./x"'),
        ("./nowhere", {}, "Nothing is at nowhere"),
        ("./nowhere", {"revision": "v1"}, "nowhere is a path, which has no revision"),
        ("alice/x@v1", {"revision": "v2"}, r"alice/x@v1 names a revision, and revision='v2'"),
        ("lenet5", {"token": "hf_secret"}, "takes no token. Sign in: hf auth login"),
        ("lenet5", {"cache_dir": "/x"}, "takes no cache_dir. Set HF_HOME or ZOO_CACHE"),
        ("lenet5", {"local_files_only": True}, "takes no local_files_only. Set ZOO_OFFLINE=1"),
        ("lenet5", {"torch_dtype": "x"}, 'has no option "torch_dtype"'),
    ],
)
def test_what_cannot_be_is_said(name: Any, how: dict[str, Any], message: str) -> None:
    with pytest.raises(zoo.ZooError, match=message) as caught:
        ZooModel.from_pretrained(name, **how)
    assert "hf_secret" not in str(caught.value)


# --- save_pretrained and push_to_hub -------------------------------------------------------------


def test_save_pretrained_takes_the_old_name_and_the_new(tmp_path: Path) -> None:
    model = small()
    saves: list[Callable[[Path], Path]] = [
        model.save_pretrained,
        lambda path: model.save_pretrained(save_directory=path),
        lambda path: model.save_pretrained(folder=path, delta=True),
    ]
    for number, save in enumerate(saves):
        assert same(zoo.create(save(tmp_path / str(number))), model.state_dict())


def test_the_function_takes_what_push_takes(tmp_path: Path) -> None:
    model = small()
    for how in ({"save_directory": tmp_path / "a"}, {"folder": tmp_path / "b"}):
        assert same(zoo.create(zoo.save_pretrained(model, **how)), model.state_dict())
    plain = {"epochs": 0, "head": "ridge", "freeze_until": "head", "progress": False}
    run = zoo.finetune("lenet5", "digits", out=tmp_path / "run", **plain)
    recipe = (tmp_path / "run" / "recipe.toml").read_text()
    for number, given in enumerate((run, run.path)):
        folder = zoo.save_pretrained(given, tmp_path / f"c{number}")
        assert same(zoo.create(folder), run.model.state_dict())
        assert (folder / "recipe.toml").exists() and "digits" in (folder / "README.md").read_text()
    zoo.save_pretrained(model, folder)  # another model's, of which there is no recipe
    assert not (folder / "recipe.toml").exists()
    with pytest.raises(zoo.PublishError, match="is a run, which stays as it is"):
        zoo.save_pretrained(run, tmp_path / "run")
    assert (tmp_path / "run" / "recipe.toml").read_text() == recipe
    for wrong, message in (({}, "save_directory is missing"), ({"folder": "x", "y": 1}, "'y'")):
        with pytest.raises(TypeError, match=message):
            zoo.save_pretrained(model, **wrong)


@pytest.mark.parametrize("name", ["hf-hub:me/x", "hf_hub:me/x"])
def test_timms_way_to_write_a_repository(name: str) -> None:
    asks: list[Callable[[], Any]] = [
        lambda: zoo.create(name),
        lambda: zoo.info(name),
        lambda: zoo.create("lenet5", pretrained=name),
        lambda: zoo.finetune(name, "digits", out=False, progress=False),
    ]
    for ask in asks:
        with pytest.raises(zoo.UnknownName, match=r'zoo writes "hf://me/x"'):
            ask()


def test_push_to_hub_takes_the_old_names_and_the_new(hub: HubServer, signed_in: str) -> None:
    new = small().push_to_hub(
        repo_id="alice/new", commit_message="Three classes", private=None, create_pr=None
    )
    old = small().push_to_hub(repository="alice/old", message="Three classes")
    for name, done in (("new", new), ("old", old)):
        assert done.tag == "v1"
        commits = [c.body for c in hub.requests(f"POST */alice/{name}/commit/*") if c.body]
        assert commits[0][0]["value"]["summary"] == "Three classes"


@pytest.mark.parametrize(
    ("method", "words", "given", "message"),
    [
        ("push_to_hub", [], {}, "repo_id is missing"),
        ("push_to_hub", ["me/x"], {"repository": "me/y"}, "repository is repo_id"),
        ("push_to_hub", ["me/x"], {"message": "a", "commit_message": "b"}, "message is commit_m"),
        ("save_pretrained", [], {}, "save_directory is missing"),
        ("save_pretrained", ["x"], {"folder": "y"}, "folder is save_directory"),
        ("save_pretrained", ["x"], {"nosuch": 1}, "nosuch"),
    ],
)
def test_a_wrong_call(method: str, words: list[str], given: dict[str, str], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        getattr(small(), method)(*words, **given)


# --- a class that has such methods itself --------------------------------------------------------


class Mixed(nn.Module, PyTorchModelHubMixin):
    def __init__(self, num_classes: int = 3, in_chans: int = 3) -> None:
        super().__init__()
        self.conv, self.pool = nn.Conv2d(in_chans, 4, 3), nn.AdaptiveAvgPool2d(1)
        self.flat, self.fc = nn.Flatten(), nn.Linear(4, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.flat(self.pool(self.conv(x))))


STAGES = [Stage("conv", run=("conv",)), Stage("pool", run=("pool", "flat")), Stage("head", ("fc",))]
MANIFEST = """
[models.mixed]
architecture = "mixed"
num_classes = 3
input = { size = [3, 8, 8] }
"""


def built(*, num_classes: int, in_chans: int) -> nn.Module:
    return Mixed(num_classes, in_chans)


def test_an_architecture_of_such_a_class(offer: Offer, tmp_path: Path) -> None:
    offer(MANIFEST, zoo.Architecture("mixed", built, lambda model: STAGES))
    model = zoo.create("mixed", num_classes=2)
    assert isinstance(model, Mixed)
    pictures = [(torch.rand(3, 8, 8), number % 2) for number in range(12)]
    run = zoo.finetune(model, pictures, epochs=1, freeze_until="head", out=False, progress=False)
    folder = run.model.save_pretrained(tmp_path / "saved")
    assert same(ZooModel.from_pretrained(folder), run.model.state_dict())
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert same(copied, model.state_dict())
        assert copied.frozen == model.frozen


def test_such_a_module_is_frozen_and_keeps_its_methods(tmp_path: Path) -> None:
    module = Mixed(num_classes=2)
    frozen = zoo.freeze_until(module, "fc", example=torch.rand(1, 3, 8, 8))
    assert frozen.frozen == ("conv.weight", "conv.bias")
    for model in (frozen, copy.deepcopy(frozen), pickle.loads(pickle.dumps(frozen))):
        model.save_pretrained(tmp_path)
        for kind in (Mixed, type(model)):
            assert same(kind.from_pretrained(tmp_path), module.state_dict())


class Clashing(Mixed):
    def summary(self) -> str:
        return "of its own"


def test_other_names_still_clash(offer: Offer) -> None:
    build = lambda *, num_classes, in_chans: Clashing(num_classes, in_chans)  # noqa: E731
    offer(MANIFEST, zoo.Architecture("mixed", build, lambda model: STAGES))
    with pytest.raises(zoo.PluginError, match="attributes that zoo needs: summary"):
        zoo.create("mixed")

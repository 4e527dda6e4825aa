"""The model of a run folder: what the folder holds, what create() makes of it, and its errors."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import TensorDataset

import zoo_core as zoo
from zoo_core.weights.published import written_input

SHA256 = zoo.info("lenet5").default_weights.sha256
DIGITS = "digits#test"
RECIPE, BEST = "recipe.toml", "best.safetensors"
LAYERS = ("conv1", "conv2", "fc1", "fc2", "head")
EVERYTHING = {f"{layer}.{part}" for layer in LAYERS for part in ("weight", "bias")}
Runs = Callable[[str], Any]


def of(*layers: str) -> set[str]:
    """The names of the tensors of some layers of LeNet-5."""
    return {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}


def tensors(classes: int, channels: int = 1, side: int = 32, count: int = 24) -> TensorDataset:
    """Noise that counts as preprocessed, in classes without names."""
    x = torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(classes))
    return TensorDataset(x, torch.arange(count) % classes)


def tuned(model: Any, data: Any, out: Path, **given: Any) -> Any:
    how = {"epochs": 1, "augment": False, "cache": False, "progress": False, **given}
    return zoo.finetune(model, data, out=out, **how)


def pretrained(**given: Any) -> Any:
    return zoo.create("lenet5", pretrained=True, **given)


def equal(one: Any, other: Any) -> bool:
    """Whether tensors by name are the same, bit for bit and in type."""
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and torch.equal(one[name], other[name]) for name in one
    )


def same(one: nn.Module, other: nn.Module) -> bool:
    return equal(one.state_dict(), other.state_dict())


def held_by(run: Any) -> dict[str, torch.Tensor]:
    return load_file(run.path / BEST)


def told_by(run: Any, table: str = "model") -> dict[str, Any]:
    return tomllib.loads((run.path / RECIPE).read_text())[table]


def refused(kind: type[zoo.ZooError], name: str | Path, **given: Any) -> tuple[str, str]:
    """What create() raises: just this kind of error, its message and its hint."""
    with pytest.raises(zoo.ZooError) as caught:
        zoo.create(name, **given)
    assert type(caught.value) is kind, repr(caught.value)
    return caught.value.message, caught.value.hint


@pytest.fixture(scope="module", autouse=True)
def own_places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache, a configuration and a current folder for these tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        patch.chdir(tmp_path_factory.mktemp("here"))
        yield


def _three_classes() -> Any:
    """A new head with names, and pictures that are seen otherwise."""
    torch.manual_seed(3)
    model = pretrained().reset_head(3, labels=["one", "two", "three"]).freeze_until("head")
    seen = {"mean": (0.5,), "std": (0.25,), "interpolation": "bicubic", "crop": 0.875, "flip": True}
    model.input = replace(model.input, **seen)
    return model


def _scratch() -> Any:
    torch.manual_seed(5)
    return zoo.create("lenet5").freeze_until("conv2")


MADE: dict[str, Callable[[Path], Any]] = {
    "head": lambda out: tuned(
        "lenet5", DIGITS, out, freeze_until="head", head="ridge", epochs=0, lr=0.1
    ),
    "fc2": lambda out: tuned("lenet5", DIGITS, out, freeze_until="fc2"),
    "all": lambda out: tuned("lenet5", DIGITS, out),
    "scratch": lambda out: tuned(_scratch(), DIGITS, out),
    "classes": lambda out: tuned(_three_classes(), tensors(3), out),
    "colours": lambda out: tuned(
        pretrained(in_chans=3).freeze_until("fc2"), tensors(10, channels=3), out
    ),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """A run of `MADE` by its name, trained when first asked for; nobody changes it."""

    @functools.cache
    def made(name: str) -> Any:
        return MADE[name](tmp_path_factory.mktemp("runs") / name)

    return made


@pytest.fixture
def changed(runs: Runs, tmp_path: Path) -> Callable[..., Path]:
    """A copy of what a run needs, with other values in its [model]; None takes one out."""

    def copied(name: str, **told: Any) -> Path:
        folder = tmp_path / "run"
        folder.mkdir()
        for file in (RECIPE, BEST):
            shutil.copy(runs(name).path / file, folder)
        recipe = tomllib.loads((folder / RECIPE).read_text())
        model = {**recipe["model"], **told}
        recipe["model"] = {key: value for key, value in model.items() if value is not None}
        (folder / RECIPE).write_text(tomli_w.dumps(recipe))
        return folder

    return copied


# --- what comes back -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", MADE)
def test_the_model_of_a_run_comes_back_bit_for_bit(name: str, runs: Runs) -> None:
    run = runs(name)
    again = zoo.create(run.path)
    assert same(again, run.model)
    assert list(again.state_dict()) == list(run.model.state_dict())
    assert type(again) is type(run.model)
    assert list(again.chain) == list(LAYERS)
    assert (again.info, again.labels, again.input) == (
        run.model.info,
        run.model.labels,
        run.model.input,
    )
    assert again.num_outputs == run.model.num_outputs
    assert again.frozen == () and again.training
    assert all(parameter.requires_grad for parameter in again.parameters())


@pytest.mark.parametrize("name", MADE)
def test_the_model_of_a_run_gives_the_same_scores(name: str, runs: Runs) -> None:
    run = runs(name)
    again, first = zoo.create(run.path).eval(), next(run.model.parameters())
    x, _ = next(iter(torch.utils.data.DataLoader(tensors(4, first.shape[1]), batch_size=24)))
    run.model.eval()
    with torch.no_grad():
        assert torch.equal(again(x), run.model(x)) and torch.equal(again(x[:1]), run.model(x[:1]))
    assert zoo.predict(run.path, x, progress=False) == zoo.predict(run, x, progress=False)


ORIGINS = {
    "head": {"weights": "mnist5k", "sha256": SHA256, "num_classes": 10, "in_chans": 1},
    "fc2": {"weights": "mnist5k", "sha256": SHA256, "num_classes": 10, "in_chans": 1},
    "all": {"weights": None, "sha256": None, "num_classes": 10, "in_chans": 1},
    "scratch": {"weights": None, "sha256": None, "num_classes": 10, "in_chans": 1},
    "classes": {"weights": "mnist5k", "sha256": SHA256, "num_classes": 3, "in_chans": 1},
    "colours": {"weights": "mnist5k", "sha256": SHA256, "num_classes": 10, "in_chans": 3},
}


@pytest.mark.parametrize("name", MADE)
def test_where_the_model_of_a_run_comes_from(name: str, runs: Runs) -> None:
    run = runs(name)
    origin = zoo.create(run.path).origin
    rest = {"reference": "lenet5", "config": {}, "new_head": False, "trained": True}
    rest |= {"kept": (), "replaced": ()}
    assert vars(origin) == {**rest, **ORIGINS[name]}
    if name == "all":  # the model in memory still knows what it was tuned from
        origin = replace(origin, weights="mnist5k", sha256=SHA256)
    assert origin == run.model.origin


def test_what_was_changed_about_labels_and_input_comes_back(runs: Runs) -> None:
    again = zoo.create(runs("classes").path)
    assert again.labels == ("one", "two", "three")
    spec = again.input
    assert (spec.size, spec.mean, spec.std) == ((1, 32, 32), (0.5,), (0.25,))
    assert (spec.interpolation, spec.crop, spec.flip) == ("bicubic", 0.875, True)
    told = told_by(runs("classes"))
    assert told["labels"] == ["one", "two", "three"] and told["input"]["flip"] is True


@pytest.mark.parametrize("classes", [10, 12])
def test_a_model_without_labels_comes_back_without(classes: int, tmp_path: Path) -> None:
    model = pretrained(num_classes=classes)
    model.labels = None
    run = tuned(model.freeze_until("head"), tensors(10), tmp_path / "run")
    assert "labels" not in told_by(run)
    again = zoo.create(run.path)
    assert again.labels is None and again.num_outputs == classes and same(again, run.model)


def test_other_channels_than_the_weights_have(runs: Runs) -> None:
    run = runs("colours")
    base = pretrained(in_chans=3)
    again = zoo.create(run.path)
    assert again.conv1.weight.shape == (6, 3, 5, 5)
    assert torch.equal(again.conv1.weight, base.conv1.weight)
    assert torch.equal(again.conv1.weight, run.model.conv1.weight)
    assert again.input == base.input and again.input.size == (3, 32, 32)
    assert told_by(run)["in_chans"] == 3
    assert set(held_by(run)) == of("fc2", "head")


def test_channels_that_were_trained(tmp_path: Path) -> None:
    run = tuned(pretrained(in_chans=2), tensors(10, channels=2), tmp_path / "run")
    again = zoo.create(run.path)
    assert not torch.equal(again.conv1.weight, pretrained(in_chans=2).conv1.weight)
    assert same(again, run.model) and again.input.size == (2, 32, 32)


def test_weights_that_are_not_the_default(tmp_path: Path) -> None:
    run = tuned("lenet5.fashion_mnist", tensors(3), tmp_path / "run", freeze_until="head")
    fashion = zoo.create("lenet5.fashion_mnist")
    told = told_by(run)
    assert (told["reference"], told["weights"]) == ("lenet5", "fashion_mnist")
    assert told["sha256"] == fashion.origin.sha256
    again = zoo.create(run.path)
    assert same(again, run.model) and again.labels is None
    assert torch.equal(again.fc1.weight, fashion.fc1.weight)
    assert again.input == fashion.input


def test_a_run_on_weights_of_ones_own_stands_on_their_file(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_file(_scratch().state_dict(), path)
    model = zoo.create("lenet5", pretrained=path).freeze_until("head")
    run = tuned(model, tensors(10), tmp_path / "run")
    told = told_by(run)
    assert "weights" not in told and "sha256" not in told
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert told["base"] == {"path": str(path), "beside": "../own.safetensors", "sha256": sha256}
    assert set(held_by(run)) == of("head")
    again = zoo.create(run.path)
    assert same(again, run.model)
    assert (again.origin.weights, again.origin.sha256) == (None, None)


def test_what_a_run_stands_on_here_is_verified_and_missed(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_file(_scratch().state_dict(), path)
    model = zoo.create("lenet5", pretrained=path).freeze_until("head")
    run = tuned(model, tensors(10), tmp_path / "run")
    other = {name: tensor + 1 for name, tensor in _scratch().state_dict().items()}
    path.unlink()
    with pytest.raises(zoo.WeightsError, match=f"{path}, which is not there any more"):
        zoo.create(run.path)
    save_file(other, path)
    with pytest.raises(zoo.WeightsError, match=f"{path}, which has other weights now"):
        zoo.create(run.path)


def test_a_run_and_what_it_stands_on_can_be_moved_together(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    base = _scratch().save_pretrained(old / "base")
    run = tuned(base, tensors(4), old / "runs" / "one", freeze_until="head")
    assert set(held_by(run)) == of("head")
    shutil.copytree(old, new)
    shutil.rmtree(old)
    assert same(zoo.create(new / "runs" / "one"), run.model)


def test_a_run_outlives_what_is_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "passing"))
    base = _scratch().save_pretrained(tmp_path / "passing" / "base")
    run = tuned(base, tensors(4), tmp_path / "run", freeze_until="head")
    shutil.rmtree(base)
    assert same(zoo.create(run.path), run.model)
    assert "base" not in told_by(run)


def test_a_chain_of_runs_and_exports_here(tmp_path: Path) -> None:
    base = _scratch().save_pretrained(tmp_path / "base")
    first = tuned(base, tensors(10), tmp_path / "first", freeze_until="fc2")
    second = tuned(first.path, tensors(5), tmp_path / "second", freeze_until="head")
    assert (set(held_by(first)), set(held_by(second))) == (of("fc2", "head"), of("head"))
    assert same(zoo.create(second.path), second.model)


def test_a_delta_in_a_folder_stands_on_a_folder_here(tmp_path: Path) -> None:
    base = _scratch().save_pretrained(tmp_path / "base")
    model = zoo.create(base).reset_head(3)
    folder = model.save_pretrained(tmp_path / "delta", delta=True)
    assert set(load_file(folder / "delta.safetensors")) == of("head")
    again = zoo.create(folder)
    assert same(again, model) and again.origin.weights is None
    run = tuned(folder, tensors(3), tmp_path / "run", freeze_until="head")
    assert same(zoo.create(run.path), run.model)
    with pytest.raises(zoo.PublishError, match="would take the place of what it stands on"):
        model.save_pretrained(base, delta=True)
    shutil.rmtree(base)
    with pytest.raises(zoo.WeightsError, match=f"{base}, which is not there any more"):
        zoo.create(folder)


def test_nothing_that_is_pushed_stands_on_this_machine(
    hub: Any, signed_in: str, tmp_path: Path
) -> None:
    base = _scratch().save_pretrained(tmp_path / "base")
    run = tuned(base, tensors(4), tmp_path / "run", freeze_until="head")
    for pushed in (run, run.path, run.model):
        done = zoo.push(pushed, "alice/four", dry_run=True)
        assert "model.safetensors" in done.sizes
    zoo.push(run.path, "alice/four")
    files = hub.repos["alice/four"]
    assert str(tmp_path) not in repr(files)
    assert same(zoo.create("hf://alice/four"), run.model)


@pytest.mark.parametrize("name", ["fc2", "all"])
def test_the_loaded_model_and_its_folder_do_not_depend_on_each_other(
    name: str, changed: Callable[..., Path], runs: Runs
) -> None:
    folder = changed(name)
    first, second = zoo.create(folder), zoo.create(folder)
    body = (folder / BEST).read_bytes()
    with torch.no_grad():
        for tensor in first.state_dict().values():
            tensor.add_(1)
    assert same(second, runs(name).model) and same(zoo.create(folder), second)
    assert (folder / BEST).read_bytes() == body
    shutil.rmtree(folder)
    assert same(second, runs(name).model)


# --- what is in the folder -----------------------------------------------------------------------

HELD = [
    ({"freeze_until": "head"}, of("head")),
    ({"freeze_until": "fc2"}, of("fc2", "head")),
    ({"train": "conv2:fc1"}, of("conv2", "fc1")),
    ({"train": "bias"}, {name for name in EVERYTHING if name.endswith("bias")} | of("head")),
    ({"schedule": [("head", 1), ("fc2", 1)]}, of("fc2", "head")),
    ({"schedule": [("conv1:conv1", 1), ("head", 1)]}, of("conv1", "head")),
    ({}, EVERYTHING),
]


@pytest.mark.parametrize(("what", "names"), HELD)
def test_a_run_holds_what_trains(what: dict[str, Any], names: set[str], tmp_path: Path) -> None:
    run = tuned(pretrained(), tensors(10), tmp_path / "run", **what)
    held, state = held_by(run), run.model.state_dict()
    assert equal(held, {name: state[name] for name in names})
    told = told_by(run)
    base = (None, None) if names == EVERYTHING else ("mnist5k", SHA256)
    assert (told.get("weights"), told.get("sha256")) == base
    assert same(zoo.create(run.path), run.model)


def test_a_run_holds_what_was_changed_before_it(tmp_path: Path) -> None:
    model = pretrained().freeze_until("head")
    with torch.no_grad():
        model.conv1.bias.add_(1)
    run = tuned(model, tensors(10), tmp_path / "run")
    assert set(held_by(run)) == {"conv1.bias"} | of("head")
    assert same(zoo.create(run.path), run.model)


def test_a_frozen_new_head_is_held(tmp_path: Path) -> None:
    model = pretrained().reset_head(10)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("fc2."))
    weight = model.head.weight.clone()
    run = tuned(model, tensors(10), tmp_path / "run")
    held = held_by(run)
    assert set(held) == of("fc2", "head") and torch.equal(held["head.weight"], weight)
    assert same(zoo.create(run.path), run.model)


def test_what_a_run_says_of_its_model(runs: Runs) -> None:
    told = told_by(runs("fc2"))
    assert told == {
        "reference": "lenet5",
        "weights": "mnist5k",
        "sha256": SHA256,
        "num_classes": 10,
        "in_chans": 1,
        "labels": list("0123456789"),
        "config": {},
        "input": {
            "size": [1, 32, 32],
            "mean": [0.1307],
            "std": [0.3081],
            "interpolation": "bilinear",
            "crop": 1.0,
            "flip": False,
        },
    }
    assert runs("fc2").recipe["model"] | {"plugin": None} == {
        **told,
        "plugin": None,
        "multilabel": None,
        "input": written_input(runs("fc2").model.input),
    }


@pytest.mark.parametrize("name", ["all", "scratch"])
def test_a_run_that_holds_everything_names_no_weights(name: str, runs: Runs) -> None:
    run = runs(name)
    assert equal(held_by(run), run.model.state_dict())
    assert told_by(run).keys() == {
        "reference",
        "num_classes",
        "in_chans",
        "labels",
        "config",
        "input",
    }


@pytest.mark.parametrize(
    ("name", "sha256"), [("head", SHA256), ("fc2", SHA256), ("all", SHA256), ("scratch", "")]
)
def test_the_best_weights_name_what_they_were_tuned_from(
    name: str, sha256: str, runs: Runs
) -> None:
    with safe_open(runs(name).path / BEST, "pt") as file:
        assert file.metadata() == {"base_sha256": sha256}


class Spoils(zoo.Regularizer):
    """Makes every step but the first a bad one."""

    steps = 0

    def weights(self) -> None:
        self.steps += 1
        if self.steps > 1:
            with torch.no_grad():
                self.model.fc2.weight.fill_(100)


def test_a_run_holds_its_best_epoch(tmp_path: Path) -> None:
    model = pretrained().freeze_until("fc2")
    run = tuned(model, tensors(10), tmp_path / "run", epochs=2, regularizers=Spoils())
    assert run.best["epoch"] == 1 and len(run.history) == 2
    assert same(zoo.create(run.path), run.model)
    state = run.model.state_dict()
    assert equal(held_by(run), {name: state[name] for name in of("fc2", "head")})


# --- other networks ------------------------------------------------------------------------------


def test_batch_norm_and_its_buffers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = zoo.create("resnet18", num_classes=2, drop_rate=0.25)
    run = tuned(model, tensors(2, channels=3, count=8), tmp_path / "run", val=False)
    again = zoo.create(run.path)
    assert same(again, run.model)
    state = again.state_dict()
    assert state["bn1.num_batches_tracked"] == 1 and state["bn1.running_mean"].abs().sum() > 0
    assert equal(held_by(run), run.model.state_dict())
    assert again.drop_rate == 0.25 and again.origin.config == {"drop_rate": 0.25}
    assert told_by(run)["config"] == {"drop_rate": 0.25}
    assert again.info.name == "resnet18" and again.origin.weights is None


def test_frozen_batch_norm_on_a_published_model(hub: Any, signed_in: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    zoo.push(zoo.create("timm/test_resnet", num_classes=4), "alice/residual", license="mit")
    data = tensors(4, channels=3, count=8)
    run = tuned("hf://alice/residual", data, tmp_path / "run", freeze_until="layer4", val=False)
    held = held_by(run)
    assert set(held) == {n for n in run.model.state_dict() if n.startswith(("layer4.", "fc."))}
    assert any(name.endswith("running_var") for name in held)
    again = zoo.create(run.path)
    assert same(again, run.model)
    assert again.state_dict()["layer4.0.bn1.num_batches_tracked"] == 1
    assert again.state_dict()["bn1.num_batches_tracked"] == 0
    assert again.origin == run.model.origin
    assert again.origin.reference == "timm/test_resnet"


def test_arguments_of_the_architecture_on_a_published_model(
    hub: Any, signed_in: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    zoo.push(zoo.create("timm/test_vit", num_classes=4), "alice/patches")
    data = tensors(4, channels=3, side=64, count=8)
    given = {"config": {"img_size": 64}, "freeze_until": "block6", "val": False}
    run = tuned("hf://alice/patches", data, tmp_path / "run", **given)
    assert not any(name.startswith(("pos_embed", "patch_embed")) for name in held_by(run))
    again = zoo.create(run.path)
    assert same(again, run.model)
    assert again.origin == run.model.origin and again.origin.config == {"img_size": 64}
    assert again.input == run.model.input and again.input.size == (3, 64, 64)


def test_arguments_of_the_architecture_in_a_run_that_holds_everything(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = zoo.create("timm/test_vit", num_classes=4, in_chans=1, img_size=64)
    run = tuned(model, tensors(4, side=64, count=8), tmp_path / "run", val=False)
    again = zoo.create(run.path)
    assert same(again, run.model) and again.input == run.model.input
    assert again.origin.config == {"img_size": 64} and again.origin.in_chans == 1


@pytest.mark.parametrize("how", [{}, {"freeze_until": "block6"}])
def test_a_run_at_another_size(how: dict[str, Any], hub: Any, signed_in: str, tmp_path: Path):
    """As a published model at another size; and what is trained from it is found again."""
    torch.manual_seed(0)
    zoo.push(zoo.create("timm/test_vit", num_classes=4), "alice/patches")
    data = tensors(4, channels=3, side=160, count=8)
    run = tuned("hf://alice/patches", data, tmp_path / "run", val=False, **how)
    larger = zoo.create(run.path, img_size=192)
    assert larger.input.size == (3, 192, 192) and larger.origin.config == {"img_size": 192}
    assert larger.num_outputs == 4 and torch.equal(larger.head.weight, run.model.head.weight)
    zoo.save_pretrained(run, tmp_path / "saved")
    assert same(zoo.create(tmp_path / "saved", img_size=192), larger)
    other = tuned(larger, tensors(4, channels=3, side=192, count=8), tmp_path / "on", val=False)
    again = zoo.create(other.path)
    assert same(again, other.model) and again.input.size == (3, 192, 192)
    with pytest.raises(zoo.ZooError, match="cannot take pictures of 5x5"):
        zoo.create(run.path, img_size=5)


# --- arguments -----------------------------------------------------------------------------------


def test_every_way_to_write_a_path(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs("fc2")
    monkeypatch.chdir(run.path.parent)
    monkeypatch.setenv("HOME", str(run.path.parent))
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    names: list[str | Path] = [str(run.path), f"{run.path}/", "./fc2", "../" + run.path.parent.name]
    names[-1] = f"{names[-1]}/fc2"
    names += ["~/fc2", Path("fc2"), Path("~/fc2")]
    assert all(same(zoo.create(name), run.model) for name in names)
    assert refused(zoo.UnknownName, "fc2") == (
        'No model "fc2".',
        'For the folder here, write "./fc2".',
    )


def test_pretrained_says_nothing_new_of_a_path(runs: Runs) -> None:
    assert same(zoo.create(runs("fc2").path, pretrained=True), runs("fc2").model)


@pytest.mark.parametrize("name", ["fc2", "classes", "all"])
def test_another_number_of_classes_is_a_new_head(name: str, runs: Runs) -> None:
    run = runs(name)
    torch.manual_seed(11)
    expected = nn.Linear(84, 7)
    torch.manual_seed(11)
    model = zoo.create(run.path, num_classes=7)
    assert equal(model.head.state_dict(), expected.state_dict())
    rest = {n: t for n, t in run.model.state_dict().items() if not n.startswith("head.")}
    assert equal({n: t for n, t in model.state_dict().items() if n in rest}, rest)
    assert model.num_outputs == 7 and model.labels is None
    wanted = replace(zoo.create(run.path).origin, num_classes=7, new_head=True)
    assert model.origin == wanted
    assert model.input == run.model.input


def test_the_same_number_of_classes_is_the_same_head(runs: Runs) -> None:
    run = runs("classes")
    model = zoo.create(run.path, num_classes=3)
    assert same(model, run.model) and model.labels == run.model.labels
    assert not model.origin.new_head


@pytest.mark.parametrize("name", ["fc2", "classes", "all"])
def test_no_classes_are_features(name: str, runs: Runs) -> None:
    run = runs(name)
    model = zoo.create(run.path, num_classes=0)
    rest = {n: t for n, t in run.model.state_dict().items() if not n.startswith("head.")}
    assert equal(model.state_dict(), rest)
    assert model.num_outputs == 0 and model.labels is None and model.origin.new_head
    x = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        assert torch.equal(model.eval()(x), run.model.eval().forward_until(x, "head"))
    assert model.reset_head(4).num_outputs == 4


def test_a_path_and_where_to_freeze(runs: Runs) -> None:
    model = zoo.create(runs("fc2").path, freeze_until="fc1", num_classes=4)
    frozen = ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias")
    assert model.frozen == frozen
    trains = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert set(trains) == EVERYTHING - set(frozen)
    assert refused(zoo.UnknownName, runs("fc2").path, freeze_until="heed") == (
        'No layer "heed". Closest: "head".',
        "Stages in order: conv1 conv2 fc1 fc2 head.",
    )


@pytest.mark.parametrize("name", ["fc2", "all", "classes"])
@pytest.mark.parametrize("dtype", ["float16", torch.bfloat16, "torch.float64", torch.float32])
def test_a_path_and_a_type(name: str, dtype: Any, runs: Runs) -> None:
    kind = getattr(torch, str(dtype).removeprefix("torch."))
    model = zoo.create(runs(name).path, dtype=dtype)
    wanted = {n: t.to(kind) for n, t in runs(name).model.state_dict().items()}
    assert equal(model.state_dict(), wanted)
    torch.manual_seed(2)
    expected = nn.Linear(84, 5).to(kind)
    torch.manual_seed(2)
    model = zoo.create(runs(name).path, dtype=dtype, num_classes=5)
    assert equal(model.head.state_dict(), expected.state_dict())


def test_a_path_and_a_device(runs: Runs) -> None:
    for device in ("cpu", torch.device("cpu")):
        model = zoo.create(runs("fc2").path, device=device)
        assert same(model, runs("fc2").model)
        assert {tensor.device.type for tensor in model.state_dict().values()} == {"cpu"}
    assert refused(zoo.ZooError, runs("fc2").path, device="meta") == (
        "A model on the meta device has no values.",
        'Build it with device="cpu".',
    )


@pytest.mark.parametrize(
    ("kind", "stored"), [("float16", torch.float16), ("bfloat16", torch.bfloat16)]
)
def test_a_run_in_half_precision_comes_back_in_that_of_its_base(
    kind: str, stored: torch.dtype, tmp_path: Path
) -> None:
    model = pretrained(dtype=kind).freeze_until("fc2")
    run = tuned(model, tensors(10), tmp_path / "run")
    held = held_by(run)
    assert set(held) == of("fc2", "head") and {t.dtype for t in held.values()} == {stored}
    again, base = zoo.create(run.path).state_dict(), pretrained().state_dict()
    wide = {name: tensor.float() for name, tensor in held.items()}
    assert equal(again, {**base, **wide})
    assert equal(zoo.create(run.path, dtype=kind).state_dict(), run.model.state_dict())


@pytest.mark.parametrize("kind", ["bfloat16", "float64"])
def test_a_run_that_holds_everything_comes_back_in_single_precision(
    kind: str, tmp_path: Path
) -> None:
    run = tuned(pretrained(dtype=kind), tensors(10), tmp_path / "run")
    wanted = {name: tensor.float() for name, tensor in run.model.state_dict().items()}
    assert equal(zoo.create(run.path).state_dict(), wanted)


@pytest.mark.parametrize("name", ["fc2", "all", "classes", "scratch"])
@pytest.mark.parametrize("given", [{}, {"num_classes": 0}, {"dtype": "float16"}])
def test_a_path_draws_no_random_numbers(name: str, given: dict[str, Any], runs: Runs) -> None:
    path = runs(name).path
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    model = zoo.create(path, **given)
    assert torch.equal(torch.rand(3), expected)
    torch.manual_seed(8)
    assert same(zoo.create(path, **given), model)


def test_a_folder_here_whose_name_is_taken_for_a_tag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretrained().save_pretrained(tmp_path / "saved")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(zoo.UnknownName, match=r'no weights "saved".*"\./saved"'):
        zoo.create("lenet5", pretrained="saved")
    assert same(zoo.create("lenet5", pretrained="./saved"), pretrained())


# --- runs on runs, and on exported folders -------------------------------------------------------


def test_a_run_on_a_run_stands_on_the_same_weights(
    changed: Callable[..., Path], runs: Runs, tmp_path: Path
) -> None:
    first = changed("fc2")
    run = tuned(first, DIGITS, tmp_path / "second", train="conv2:conv2")
    shutil.rmtree(first)
    start = told_by(run, "start")
    assert (start["model"], start["weights"], start["sha256"]) == (str(first), "mnist5k", SHA256)
    assert "object" not in start
    told = told_by(run)
    assert (told["weights"], told["sha256"]) == ("mnist5k", SHA256)
    assert set(held_by(run)) == of("conv2", "fc2", "head")
    again = zoo.create(run.path)
    assert same(again, run.model)
    assert torch.equal(again.fc2.weight, runs("fc2").model.fc2.weight)
    assert again.origin == run.model.origin
    assert (again.origin.weights, again.origin.sha256) == ("mnist5k", SHA256)


def test_a_run_on_a_run_that_holds_everything(runs: Runs, tmp_path: Path) -> None:
    first = runs("all")
    run = tuned(str(first.path), DIGITS, tmp_path / "second", freeze_until="head")
    start = told_by(run, "start")
    assert start["model"] == str(first.path) and "weights" not in start
    assert start["sha256"] == hashlib.sha256((first.path / BEST).read_bytes()).hexdigest()
    assert "weights" not in told_by(run)
    assert told_by(run)["base"]["path"] == str(first.path)
    assert set(held_by(run)) == of("head")
    with safe_open(run.path / BEST, "pt") as file:
        assert file.metadata() == {"base_sha256": start["sha256"]}
    again = zoo.create(run.path)
    assert same(again, run.model)
    assert torch.equal(again.fc2.weight, first.model.fc2.weight)
    assert (again.origin.weights, again.origin.sha256) == (None, None)


def test_a_run_on_a_run_with_other_classes(runs: Runs, tmp_path: Path) -> None:
    run = tuned(runs("fc2").path, tensors(4), tmp_path / "second", freeze_until="head")
    assert set(held_by(run)) == of("fc2", "head")
    again = zoo.create(run.path)
    assert same(again, run.model) and again.labels == ("0", "1", "2", "3")  # those that stay
    assert (again.num_outputs, again.origin.num_classes) == (4, 4)
    assert torch.equal(again.fc2.weight, runs("fc2").model.fc2.weight)


@pytest.mark.parametrize("delta", [True, False])
def test_a_run_on_an_exported_folder_stands_on_what_that_was_tuned_from(
    delta: bool, runs: Runs, tmp_path: Path
) -> None:
    folder = runs("fc2").model.save_pretrained(tmp_path / "exported", delta=delta)
    run = tuned(folder, DIGITS, tmp_path / "run", freeze_until="head")
    shutil.rmtree(folder)
    start = told_by(run, "start")
    assert (start["model"], start["weights"], start["sha256"]) == (str(folder), "mnist5k", SHA256)
    told = told_by(run)
    assert (told["reference"], told["weights"], told["sha256"]) == ("lenet5", "mnist5k", SHA256)
    assert set(held_by(run)) == of("fc2", "head")
    again = zoo.create(run.path)
    assert same(again, run.model) and again.origin == run.model.origin
    assert (again.labels, again.input) == (run.model.labels, run.model.input)


def test_a_run_on_an_exported_folder_without_a_base_stands_on_the_folder(
    runs: Runs, tmp_path: Path
) -> None:
    folder = runs("scratch").model.save_pretrained(tmp_path / "exported")
    run = tuned(folder, DIGITS, tmp_path / "run", freeze_until="head")
    start = told_by(run, "start")
    assert start == {"model": str(folder)}
    assert told_by(run)["base"]["path"] == str(folder)
    assert set(held_by(run)) == of("head")
    again = zoo.create(run.path)
    assert same(again, run.model) and again.origin.weights is None


def test_a_run_on_a_published_model_stands_on_its_commit(
    hub: Any, signed_in: str, runs: Runs, tmp_path: Path
) -> None:
    first = runs("classes").model
    done = zoo.push(first, "alice/three")
    data = tensors(3)
    data.classes = list(first.labels)
    run = tuned("hf://alice/three", data, tmp_path / "run", freeze_until="fc2")
    pinned = f"hf://alice/three@{done.commit}"
    sha256 = done.sha256["delta.safetensors"]
    told = told_by(run)
    assert (told["reference"], told["weights"], told["sha256"]) == ("lenet5", pinned, sha256)
    assert set(held_by(run)) == of("fc2", "head")
    zoo.push(pretrained().reset_head(5), "alice/three")
    again = zoo.create(run.path)
    assert same(again, run.model) and again.origin == run.model.origin
    assert (again.origin.weights, again.origin.sha256) == (pinned, sha256)
    assert (again.input, again.labels) == (run.model.input, run.model.labels)
    assert (told_by(run, "start")["weights"], told_by(run, "start")["sha256"]) == (pinned, sha256)


# --- exporting and publishing --------------------------------------------------------------------


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "delta", "tensors_in"),
    [
        ("head", False, "model.safetensors"),
        ("head", True, "delta.safetensors"),
        ("fc2", "auto", "delta.safetensors"),
        ("classes", True, "delta.safetensors"),
        ("classes", False, "model.safetensors"),
        ("colours", True, "delta.safetensors"),
        ("scratch", "auto", "model.safetensors"),
    ],
)
def test_an_export_of_a_run_from_its_path_is_the_same(
    name: str, delta: Any, tensors_in: str, runs: Runs, tmp_path: Path
) -> None:
    run = runs(name)
    ours = run.model.save_pretrained(tmp_path / "memory" / "exported", delta=delta)
    again = zoo.create(run.path)
    theirs = again.save_pretrained(tmp_path / "path" / "exported", delta=delta)
    assert files_of(theirs) == files_of(ours)
    assert files_of(theirs).keys() == {tensors_in, "config.json", "README.md"}
    exported = zoo.create(theirs)
    assert same(exported, run.model)
    assert (exported.labels, exported.input) == (run.model.labels, run.model.input)


def test_an_export_of_a_run_that_holds_everything_knows_no_base(runs: Runs, tmp_path: Path) -> None:
    run = runs("all")
    ours = run.model.save_pretrained(tmp_path / "memory")
    again = zoo.create(run.path)
    theirs = again.save_pretrained(tmp_path / "path")
    assert (theirs / "model.safetensors").read_bytes() == (ours / "model.safetensors").read_bytes()
    bases = [json.loads((path / "config.json").read_text())["zoo"] for path in (ours, theirs)]
    assert bases[0]["base"]["name"] == "lenet5.mnist5k" and bases[0]["license"] == "apache-2.0"
    assert "base" not in bases[1] and "license" not in bases[1]
    rest = {key: value for key, value in bases[0].items() if key not in ("base", "license")}
    assert bases[1] == rest
    with pytest.raises(zoo.PublishError, match="nothing that a delta could stand on"):
        again.save_pretrained(tmp_path / "delta", delta=True)


@pytest.mark.parametrize("name", ["fc2", "classes", "scratch"])
def test_a_push_of_a_run_from_its_path_is_the_same(
    name: str, hub: Any, signed_in: str, runs: Runs
) -> None:
    run = runs(name)
    ours = zoo.push(run, f"alice/{name}", dry_run=True)
    theirs = zoo.push(run.path, f"alice/{name}", dry_run=True)
    assert theirs == ours
    tensors_in = "model.safetensors" if name == "scratch" else "delta.safetensors"
    assert ours.sizes.keys() == {tensors_in, "config.json", "README.md", RECIPE}
    assert zoo.push(zoo.create(run.path), f"alice/{name}", dry_run=True) == zoo.push(
        run.model, f"alice/{name}", dry_run=True
    )
    zoo.push(str(run.path), f"alice/{name}")
    assert same(zoo.create(f"hf://alice/{name}"), run.model)


def test_an_exported_model_in_a_run_folder_comes_first(
    changed: Callable[..., Path], runs: Runs
) -> None:
    folder = changed("fc2")
    runs("classes").model.save_pretrained(folder)
    assert (folder / RECIPE).exists() and (folder / BEST).exists()
    assert same(zoo.create(folder), runs("classes").model)


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        {"pretrained": False},
        {"pretrained": "mnist5k"},
        {"pretrained": Path("other.safetensors")},
        {"in_chans": 1},
        {"in_chans": 3},
        {"width": 2},
        {"num_classes": 3, "width": 2},
    ],
)
def test_arguments_that_do_not_go_with_a_path(given: dict[str, Any], runs: Runs) -> None:
    for path in (runs("fc2").path, runs("all").path, Path("/nowhere")):
        assert refused(zoo.ZooError, path, **given) == (
            f"{path} brings its weights, configuration and channels with it.",
            "Only num_classes, labels, keep_until, freeze_until, img_size, device and dtype "
            "go with a path.",
        )


def test_nothing_is_at_a_path(tmp_path: Path) -> None:
    assert refused(zoo.UnknownName, tmp_path / "no") == (
        f"Nothing is at {tmp_path / 'no'}.",
        "A name without ./ or / is a model's.",
    )


def test_a_folder_without_a_recipe(tmp_path: Path, runs: Runs) -> None:
    message = f"{tmp_path} is no run: it has no recipe.toml."
    assert refused(zoo.WeightsError, tmp_path) == (message, "zoo finetune leaves runs.")
    shutil.copy(runs("fc2").path / BEST, tmp_path)
    assert refused(zoo.WeightsError, tmp_path) == (message, "zoo finetune leaves runs.")
    (tmp_path / "model.safetensors").touch()
    assert refused(zoo.WeightsError, tmp_path) == (
        message,
        f'For a weights file, name the model: create("resnet50", pretrained="{tmp_path}").',
    )


def test_a_file_is_no_run(runs: Runs) -> None:
    best, recipe = runs("fc2").path / BEST, runs("fc2").path / RECIPE
    assert refused(zoo.WeightsError, best) == (
        f"{best} is no run: it has no recipe.toml.",
        f'For a weights file, name the model: create("resnet50", pretrained="{best}").',
    )
    assert refused(zoo.WeightsError, recipe) == (
        f"{recipe} is no run: it has no recipe.toml.",
        "zoo finetune leaves runs.",
    )


def test_a_run_is_no_weights(runs: Runs) -> None:
    path = runs("fc2").path
    assert refused(zoo.WeightsError, "lenet5", pretrained=path) == (
        f"{path} is a run, not weights alone.",
        f'Use create("{path}"): it has both.',
    )


@pytest.mark.parametrize(
    ("name", "given", "file"),
    [("file://{}", {}, "config.json"), ("lenet5", {"pretrained": "file:{}"}, "model.safetensors")],
)
def test_a_run_is_no_reference(name: str, given: dict[str, str], file: str, runs: Runs) -> None:
    path = runs("fc2").path
    given = {key: value.format(path) for key, value in given.items()}
    assert refused(zoo.SourceError, name.format(path), **given) == (
        f"No file at {path / file}.",
        "Check the path; a relative one starts here.",
    )


def test_a_recipe_that_is_no_toml(changed: Callable[..., Path]) -> None:
    folder = changed("fc2")
    for body in (b"schema = [", b"schema = 1\n\xff"):
        (folder / RECIPE).write_bytes(body)
        with pytest.raises(ValueError) as reason:
            tomllib.loads((folder / RECIPE).read_text(encoding="utf-8"))
        assert refused(zoo.RecipeError, folder) == (
            f"{folder / RECIPE} is not valid TOML: {reason.value}.",
            "",
        )


@pytest.mark.parametrize(
    "body", ["", "schema = 2\n[model]\n", '[model]\nreference = "lenet5"\n', "schema = 1\n"]
)
def test_a_recipe_of_another_schema(body: str, changed: Callable[..., Path]) -> None:
    folder = changed("fc2")
    (folder / RECIPE).write_text(body)
    assert refused(zoo.RecipeError, folder) == (
        f"{folder / RECIPE} is no recipe of schema 1.",
        "It may be of another version of zoo.",
    )


@pytest.mark.parametrize("name", ["fc2", "all"])
@pytest.mark.parametrize("key", ["reference", "in_chans", "input", "num_classes"])
def test_a_recipe_that_lacks_something(name: str, key: str, changed: Callable[..., Path]) -> None:
    folder = changed(name, **{key: None})
    assert refused(zoo.RecipeError, folder) == (
        f"{folder / RECIPE} lacks something in [model]: '{key}'.",
        "",
    )


@pytest.mark.parametrize("name", ["fc2", "all"])
def test_a_recipe_may_leave_out_what_is_not_needed(
    name: str, changed: Callable[..., Path], runs: Runs
) -> None:
    again = zoo.create(changed(name, config=None, labels=None))
    assert same(again, runs(name).model)
    assert again.labels is None and again.origin.config == {}


def test_a_recipe_with_an_input_that_is_not_known(changed: Callable[..., Path]) -> None:
    folder = changed("fc2", input={"size": [1, 32, 32], "colour": "red"})
    message, hint = refused(zoo.RecipeError, folder)
    assert message.startswith(f"{folder / RECIPE} lacks something in [model]: ")
    assert "'colour'" in message and hint == ""


@pytest.mark.parametrize("name", ["fc2", "all"])
def test_a_model_that_is_not_known(name: str, changed: Callable[..., Path]) -> None:
    folder = changed(name, reference="acmenet")
    wanted = refused(zoo.UnknownName, "acmenet", pretrained=False)
    assert wanted[0].startswith('No model "acmenet".')
    assert refused(zoo.UnknownName, folder) == wanted


@pytest.mark.parametrize("name", ["fc2", "all"])
@pytest.mark.parametrize(
    ("reference", "plugin", "hint"),
    [
        ("acmenet", "zoo-acme", "A plugin may do all that you may. If you trust it: pip install "),
        ("residual_attention56", "zoo-else", "The plugin zoo-residual-attention has it"),
        ("acmenet", "x;rm", ""),
    ],
)
def test_a_model_of_a_plugin_that_is_not_installed(
    name: str, reference: str, plugin: str, hint: str, changed: Callable[..., Path]
) -> None:
    folder = changed(name, reference=reference, plugin=f"{plugin} 1.2")
    message, told = refused(zoo.PluginError, folder)
    assert message == (
        f'{folder} is a run of "{reference}" of {plugin} 1.2, which is not installed here.'
    )
    assert told.startswith(hint) if hint else told == ""
    if plugin == "zoo-acme":
        assert told == f"{hint}zoo-acme"


def test_weights_that_are_not_known(changed: Callable[..., Path]) -> None:
    assert refused(zoo.UnknownName, changed("fc2", weights="mnist6k")) == (
        'lenet5 has no weights "mnist6k". Closest: "mnist5k", "fashion_mnist".',
        "It has: mnist5k, fashion_mnist.",
    )


def test_an_argument_that_is_not_known(changed: Callable[..., Path]) -> None:
    assert refused(zoo.UnknownName, changed("fc2", config={"width": 2})) == (
        'lenet5 has no option "width".',
        "It has: drop_rate.",
    )


def test_another_base_than_the_run_had(changed: Callable[..., Path]) -> None:
    folder = changed("fc2", sha256="0" * 64)
    assert refused(zoo.WeightsError, folder) == (
        f"{folder} stands on weights with sha256 {'0' * 64}, and lenet5.mnist5k now has {SHA256}.",
        "Install the version of zoo that the recipe names.",
    )


def test_a_run_without_best_weights(changed: Callable[..., Path]) -> None:
    folder = changed("fc2")
    (folder / BEST).unlink()
    assert refused(zoo.WeightsError, folder) == (
        f"{folder} has no best.safetensors: the run was stopped before its first epoch ended.",
        "",
    )


@pytest.mark.parametrize("name", ["head", "all"])
def test_best_weights_that_are_cut_short(name: str, changed: Callable[..., Path]) -> None:
    folder = changed(name)
    whole = (folder / BEST).read_bytes()
    for body in (whole[:-10], whole[:100], b""):
        (folder / BEST).write_bytes(body)
        message, hint = refused(zoo.WeightsError, folder)
        assert message.startswith(f"{folder / BEST} is not a whole safetensors file: ")
        assert hint == "It is damaged, cut short, or something else: fetch it again."


def test_best_weights_that_are_a_pickle(changed: Callable[..., Path]) -> None:
    folder = changed("fc2")
    torch.save({}, folder / BEST)
    message, hint = refused(zoo.WeightsError, folder)
    assert message == (
        f"{folder / BEST} is a pickle file (.pth, .pt, .bin), and loading one can run any code."
    )
    assert hint == "zoo reads safetensors only: save the state dict with safetensors' save_file."


@pytest.mark.parametrize(
    ("name", "change", "wrong"),
    [
        ("fc2", {"head.bias": torch.zeros(3)}, "head.bias"),
        ("all", {"conv1.weight": torch.zeros(6, 3, 5, 5)}, "conv1.weight"),
        ("fc2", {"tail.bias": torch.zeros(3)}, "tail.bias"),
        ("all", {"tail.bias": torch.zeros(3)}, "tail.bias"),
        ("all", {"fc1.bias": None}, "fc1.bias"),
        ("scratch", {"head.bias": None, "conv1.bias": None}, "conv1.bias, head.bias"),
        ("all", {"head.bias": torch.zeros(3), "fc1.bias": None}, "head.bias, fc1.bias"),
        ("all", dict.fromkeys(EVERYTHING), "conv1.weight, conv1.bias, conv2.weight"),
    ],
)
def test_best_weights_that_do_not_fit(
    name: str, change: dict[str, Any], wrong: str, changed: Callable[..., Path]
) -> None:
    folder = changed(name)
    held = {**load_file(folder / BEST), **change}
    save_file({n: tensor for n, tensor in held.items() if tensor is not None}, folder / BEST)
    assert refused(zoo.WeightsError, folder) == (
        f"{folder / BEST} does not fit its recipe: {wrong}.",
        "",
    )


@pytest.mark.parametrize("name", ["fc2", "all"])
@pytest.mark.parametrize("change", [{"num_classes": 7}, {"num_classes": 0}, {"in_chans": 3}])
def test_a_recipe_that_does_not_fit_its_best_weights(
    name: str, change: dict[str, Any], changed: Callable[..., Path], runs: Runs
) -> None:
    folder = changed(name, **change)
    if name == "fc2" and "in_chans" in change:  # which the base is adapted to, and nothing forbids
        assert zoo.create(folder).conv1.weight.shape == (6, 3, 5, 5)
        return
    message, hint = refused(zoo.WeightsError, folder)
    wrong = {"conv1.weight"} if "in_chans" in change else of("head")
    told = f"{folder / BEST} does not fit its recipe: "
    assert message.startswith(told) and hint == ""
    assert set(message.removeprefix(told).removesuffix(".").split(", ")) == wrong

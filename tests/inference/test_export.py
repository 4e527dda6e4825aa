"""export(): files of ONNX and torch.export, run by their own runtimes and compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from support.in_process import run

import zoo_core as zoo
from zoo_core.inference import export, export_formats

ZOO = [sys.executable, "-m", "zoo_core"]
KINDS = ("onnx", "pt2")


def runs(path: Path, x: torch.Tensor) -> torch.Tensor:
    """As somebody without zoo runs the file."""
    if path.suffix == ".pt2":
        return torch.export.load(path).module()(x).detach()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(["scores"], {"pictures": x.numpy()})[0])


def scores(model, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(x)


def pictures(model, count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)  # not those that export() itself compares on
    return torch.randn(count, *model.input.size, generator=generator)


@pytest.fixture
def lenet():
    return zoo.create("lenet5", pretrained=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", ["lenet5", "resnet18", pytest.param("googlenet", marks=pytest.mark.slow)]
)
def test_the_file_gives_the_models_scores_for_any_number(name, kind, tmp_path, weights_of):
    """With weights that let the signal through: fresh ones of googlenet do not, see below."""
    weights = True if name == "lenet5" else weights_of(name)
    torch.manual_seed(0)
    model = zoo.create(name, pretrained=weights, num_classes=7)
    if name != "lenet5":
        model.input = replace(model.input, size=(3, 64, 64))
    path = tmp_path / f"model.{kind}"
    done = zoo.export(model, path)
    assert done.path == path and done.format == kind and done.size == path.stat().st_size
    assert done.difference <= 1e-4 and done.pictures == 5
    for count in (1, 5):
        x = pictures(model, count)
        found, wanted = runs(path, x), scores(model, x)
        largest = wanted.abs().max()
        assert found.shape == (count, 7)
        assert (found - wanted).abs().max() <= 1e-4 * largest
    assert (wanted.amax(0) - wanted.amin(0)).max() > 1e-2 * largest  # they do depend on the picture
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


# --- the check can fail --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_network_is_refused(kind, lenet, tmp_path):
    """A real file of nearly the same network, through the comparison itself."""
    other = zoo.create("lenet5", pretrained=True)
    with torch.no_grad():
        other.conv1.weight.mul_(1.01)
    path, form = tmp_path / "other", export_formats.FORMATS[kind]
    form.write(
        export_formats.traced(other.eval(), torch.zeros(2, 1, 32, 32), dynamic=True), path, "{}"
    )
    x = pictures(lenet, 4)
    assert export._difference(form.open(path), [x], [scores(other, x)]) < 1e-4
    with pytest.raises(zoo.WeightsError, match=r"gives other scores than the model: 1\.0e-02"):
        export._difference(form.open(path), [x], [scores(lenet, x)])


def test_a_hook_that_changes_scores_is_found_and_leaves_no_file(lenet, tmp_path):
    lenet.conv1.register_forward_hook(lambda module, args, output: output * 2)
    with pytest.raises(zoo.WeightsError, match=r"other scores than the model.*[Hh]ooks"):
        zoo.export(lenet, tmp_path / "model.pt2")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("batch_size", [None, 1])
def test_a_model_that_does_not_look_at_pictures_cannot_be_checked(batch_size, tmp_path):
    """In a fresh GoogLeNet the signal dies out: any wrong file would give its scores, too."""
    torch.manual_seed(0)
    model = zoo.create("googlenet", num_classes=7)
    x = pictures(model, 3)
    assert torch.equal(*scores(model, x)[:2])
    path = tmp_path / "model.pt2"
    with pytest.raises(zoo.WeightsError, match=r"same scores for all pictures.*--no-check"):
        zoo.export(model, path, batch_size=batch_size)
    assert not path.exists()


def test_a_head_of_zeros_and_scores_that_are_no_numbers_cannot_be_checked(lenet, tmp_path):
    with torch.no_grad():
        lenet.head.weight.zero_(), lenet.head.bias.zero_()
    with pytest.raises(zoo.WeightsError, match=r"same scores for all pictures"):
        zoo.export(lenet, tmp_path / "model.pt2")
    done = zoo.export(lenet, tmp_path / "model.pt2", check=False)
    assert done.difference is None and done.pictures == 0
    with torch.no_grad():
        lenet.head.bias[0] = float("nan")
    with pytest.raises(zoo.WeightsError, match=r"NaN or infinite"):
        zoo.export(lenet, tmp_path / "nan.pt2")
    assert not (tmp_path / "nan.pt2").exists()


# --- what is in the file -------------------------------------------------------------------------


def facts(path: Path) -> dict:
    if path.suffix == ".onnx":
        return json.loads({p.key: p.value for p in onnx.load(path).metadata_props}["zoo"])
    found = {"zoo": ""}
    torch.export.load(path, extra_files=found)
    return json.loads(found["zoo"])


@pytest.mark.parametrize("kind", KINDS)
def test_labels_and_input_are_in_the_file(kind, lenet, tmp_path):
    zoo.export(lenet, tmp_path / f"model.{kind}")
    found = facts(tmp_path / f"model.{kind}")
    assert found["version"] == zoo.__version__ and found["model"] == "lenet5"
    assert found["labels"] == list(lenet.labels)
    spec = lenet.input
    assert found["input"]["size"] == [1, 32, 32] and found["input"]["mean"] == list(spec.mean)
    assert found["input"]["std"] == list(spec.std) and found["input"]["crop"] == spec.crop
    assert found["input"]["interpolation"] == spec.interpolation


def test_onnx_names_its_axes_and_is_valid(lenet, tmp_path):
    zoo.export(lenet, tmp_path / "any.onnx")
    zoo.export(lenet, tmp_path / "three.onnx", batch_size=3)
    for name, size in (("any", "batch"), ("three", 3)):
        onnx.checker.check_model(tmp_path / f"{name}.onnx", full_check=True)
        session = onnxruntime.InferenceSession(tmp_path / f"{name}.onnx")
        assert session.get_inputs()[0].shape == [size, 1, 32, 32]
        assert session.get_outputs()[0].shape == [size, 10]


# --- the model stays as it was -------------------------------------------------------------------


def test_a_frozen_training_half_precision_model_stays_so(tmp_path):
    torch.manual_seed(0)
    model = zoo.create("lenet5", pretrained=True, dtype=torch.bfloat16).freeze_until("fc2")
    model.train()
    seen = []
    model.conv1.register_forward_hook(lambda module, args, output: seen.append(type(output)))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    kept = [(m.training, len(m._forward_hooks)) for m in model.modules()]
    flags = [(p.requires_grad, p.dtype, p.grad) for p in model.parameters()]
    state = torch.get_rng_state()
    zoo.export(model, tmp_path / "model.onnx", batch_size=2)
    assert [(m.training, len(m._forward_hooks)) for m in model.modules()] == kept
    assert [(p.requires_grad, p.dtype, p.grad) for p in model.parameters()] == flags
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert set(seen) == {torch.Tensor}  # no hook saw what the exporter traces with
    x = pictures(model, 2)
    wanted = scores(zoo.create("lenet5", pretrained=True).to(torch.bfloat16).float(), x)
    assert torch.allclose(runs(tmp_path / "model.onnx", x), wanted, atol=1e-4)


@pytest.mark.slow
def test_dropout_is_off_in_the_file_of_a_training_model(tmp_path, weights_of):
    model = zoo.create("googlenet", pretrained=weights_of("googlenet"))
    model.input = replace(model.input, size=(3, 64, 64))
    zoo.export(model.train(), tmp_path / "model.pt2")
    x = pictures(model, 2)
    assert torch.equal(runs(tmp_path / "model.pt2", x), runs(tmp_path / "model.pt2", x))


# --- real pictures, refusals ---------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [None, 4])
def test_it_is_compared_on_real_pictures_too(batch_size, lenet, tmp_path):
    generator = np.random.default_rng(0)
    for i in range(6):
        grey = generator.integers(0, 256, (28, 28), dtype=np.uint8)
        Image.fromarray(grey).save(tmp_path / f"{i}.png")
    done = zoo.export(lenet, tmp_path / "m.pt2", batch_size=batch_size, pictures=tmp_path)
    assert done.pictures == (5 + 6 if batch_size is None else 8 + 6)
    (tmp_path / "6.png").write_bytes(b"no picture")
    with pytest.raises(zoo.DataError, match=r"6\.png is no picture"):
        zoo.export(lenet, tmp_path / "n.pt2", pictures=tmp_path)
    assert not (tmp_path / "n.pt2").exists()


def test_what_is_there_is_replaced_only_by_force(lenet, tmp_path):
    path = tmp_path / "model.pt2"
    path.write_text("mine")
    with pytest.raises(zoo.WeightsError, match=r"is there already.*--force"):
        zoo.export(lenet, path)
    assert path.read_text() == "mine"
    zoo.export(lenet, path, force=True)
    assert runs(path, pictures(lenet, 2)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "given", "error", "message"),
    [
        ("model.onx", {}, zoo.UnknownName, r'does not say its format\. Closest: "onnx"'),
        ("model", {"format": "tflite"}, zoo.UnknownName, r'No format "tflite"'),
        ("none/model.pt2", {}, zoo.WeightsError, r"there is no folder"),
        ("", {"format": "pt2"}, zoo.WeightsError, r"it is a folder"),
        ("model.pt2", {"batch_size": 0}, zoo.ZooError, r"batch_size must be a whole number"),
    ],
)
def test_bad_arguments(name, given, error, message, lenet, tmp_path):
    with pytest.raises(error, match=message):
        zoo.export(lenet, tmp_path / name, **given)
    assert list(tmp_path.iterdir()) == []


def test_more_than_onnx_holds_is_refused_before_it_is_written(tmp_path):
    """3 GB that take no memory: a view of one number."""
    large = torch.nn.Linear(2, 2)
    program = export_formats.traced(large, torch.zeros(2, 2), dynamic=True)
    program.state_dict["weight"] = torch.nn.Parameter(torch.zeros(1).expand(30_000, 30_000))
    with pytest.raises(zoo.WeightsError, match=r"2 GB at most.*3,600,000,008 bytes.*\.pt2"):
        export_formats.FORMATS["onnx"].write(program, tmp_path / "model.onnx", "{}")
    assert list(tmp_path.iterdir()) == []


# --- zoo export ----------------------------------------------------------------------------------


def as_process(*words: str | Path, **given: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **given}
    return subprocess.run([*ZOO, *words], capture_output=True, text=True, check=False, env=env)


def test_the_command_exports_a_run(tmp_path):
    folder, path = tmp_path / "run", tmp_path / "digits.onnx"
    done = zoo.finetune(
        "lenet5", "digits#test", freeze_until="head", epochs=1, out=folder, progress=False
    )
    said = run("export", folder, path)
    assert said.returncode == 0 and said.stderr == "", said.stderr
    assert said.stdout.startswith(f"Written to {path}: ") and "5 pictures" in said.stdout
    x = pictures(done.model, 5)
    assert torch.allclose(runs(path, x), scores(done.model, x), atol=1e-3)
    again = run("export", folder, path)
    assert again.returncode == 1 and "is there already" in again.stderr
    record = json.loads(
        run("export", folder, path, "--force", "--json", "--batch-size", "2").stdout
    )
    assert record["format"] == "onnx" and record["difference"] <= 1e-4 and record["pictures"] == 4


def test_without_the_extra_the_error_says_what_to_install(tmp_path):
    (tmp_path / "onnxscript.py").write_text("raise ImportError('not here')")
    done = as_process("export", "lenet5", tmp_path / "model.onnx", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "needs onnxscript" in done.stderr and "zoo-core[export]" in done.stderr
    assert not (tmp_path / "model.onnx").exists()

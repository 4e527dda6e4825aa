"""LeNet-5 against the textbook, layer by layer, and the two sets of weights that come with zoo."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

import zoo_core as zoo
import zoo_lenet
from zoo_lenet.train import LESSONS

pytestmark = pytest.mark.usefixtures("one_thread")

WEIGHTS = Path(zoo_lenet.__file__).parent / "weights"
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # Debian's dataset-fashion-mnist

# layer, shape of its output for one picture, parameters
TEXTBOOK = [
    ("conv1", (6, 28, 28), 156),
    ("pool1", (6, 14, 14), 0),
    ("conv2", (16, 10, 10), 2_416),
    ("pool2", (16, 5, 5), 0),
    ("flatten", (400,), 0),
    ("fc1", (120,), 48_120),
    ("fc2", (84,), 10_164),
    ("head", (10,), 850),
]


def layers(model: torch.nn.Module, x: torch.Tensor) -> list[tuple[str, tuple[int, ...], int]]:
    """Each layer that a forward pass goes through, in order, activations left out."""
    rows = []

    def note(name: str, layer: torch.nn.Module, output: torch.Tensor) -> None:
        rows.append((name, tuple(output.shape[1:]), sum(p.numel() for p in layer.parameters())))

    for name, layer in model.named_children():
        if not isinstance(layer, torch.nn.ReLU):
            layer.register_forward_hook(lambda part, _, out, name=name: note(name, part, out))
    model(x)
    return rows


def recipe(name: str) -> dict:
    return tomllib.loads((WEIGHTS / f"lenet5.{name}.toml").read_text())


def test_every_number_of_the_textbook() -> None:
    model = zoo.create("lenet5")
    assert model.input.size == (1, 32, 32)
    assert layers(model, torch.zeros(1, 1, 32, 32)) == TEXTBOOK
    assert model.conv1.kernel_size == model.conv2.kernel_size == (5, 5)
    assert model.pool1.kernel_size == model.pool2.kernel_size == 2
    assert sum(parameter.numel() for parameter in model.parameters()) == 61_706
    assert list(model.chain) == ["conv1", "conv2", "fc1", "fc2", "head"]


def test_it_reads_digits_that_it_has_not_seen() -> None:
    found = zoo.evaluate("lenet5.mnist5k", "mnist5k#test", progress=False)
    assert found["count"] == 1_000
    assert found["accuracy"] >= 0.98
    assert found["accuracy"] == pytest.approx(recipe("mnist5k")["result"]["accuracy"], abs=0.002)


@pytest.mark.skipif(not FASHION_MNIST.is_dir(), reason="needs Debian's dataset-fashion-mnist")
def test_it_tells_clothes_apart() -> None:
    data = f"idx:{FASHION_MNIST}#test"
    found = zoo.evaluate("lenet5.fashion_mnist", data, progress=False)
    assert found["count"] == 10_000
    assert found["accuracy"] >= 0.90
    expected = recipe("fashion_mnist")["result"]["accuracy"]
    assert found["accuracy"] == pytest.approx(expected, abs=0.002)


def test_its_default_weights_are_the_digits() -> None:
    info = zoo.info("lenet5")
    assert info.default_weights is info.weights["mnist5k"]
    assert sorted(info.weights) == sorted(LESSONS)


@pytest.mark.parametrize("name", LESSONS)
def test_weights_are_a_quarter_of_a_megabyte(name: str) -> None:
    size = (WEIGHTS / f"lenet5.{name}.safetensors").stat().st_size
    assert 61_706 * 4 < size < 250_000


@pytest.mark.parametrize("name", LESSONS)
def test_the_recipe_says_what_the_registry_says(name: str) -> None:
    weights = zoo.info("lenet5").weights[name]
    assert weights.recipe == f"pkg://zoo_lenet/weights/lenet5.{name}.toml"
    (metric,) = weights.metrics.values()
    assert metric == pytest.approx(100 * recipe(name)["result"]["accuracy"])


@pytest.mark.parametrize("name", LESSONS)
def test_the_recipe_is_what_the_training_program_does(name: str) -> None:
    lesson, written, weights = LESSONS[name], recipe(name), zoo.info("lenet5").weights[name]
    assert written["data"]["train"] == lesson.train.format("DIR")
    assert written["data"]["test"] == lesson.test.format("DIR")
    assert written["data"]["train"] != written["data"]["test"]
    assert written["phases"][0]["epochs"] == lesson.epochs
    assert weights.labels == lesson.classes
    assert (weights.input.mean, weights.input.std) == ((lesson.mean,), (lesson.std,))


def test_the_recorded_commands_can_be_run() -> None:
    help_text = subprocess.run(
        [sys.executable, "-m", "zoo_lenet.train", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in LESSONS:
        python, option, module, *arguments = recipe(name)["command"].split()
        assert [python, option, module] == ["python", "-m", "zoo_lenet.train"]
        assert arguments == [name, "OUT"] and name in help_text

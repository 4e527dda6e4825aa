"""Batches in pieces: where memory is short, and where one asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import zoo_core as zoo
from zoo_core.model.zoo_model import ZooModel
from zoo_core.training.memory import Fitting

pytestmark = pytest.mark.usefixtures("one_thread", "own_cache")
QUIET = {"out": False, "val": False, "head": "random", "optimizer": "sgd", "epochs": 2}


def pictures(count: int, channels: int = 1) -> TensorDataset:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(count, channels, 32, 32, generator=draw)
    return TensorDataset(x, torch.arange(count) % 5 % 3)  # classes of unequal size


def lenet(stage: str | None = None) -> ZooModel:
    torch.manual_seed(0)
    model = zoo.create("lenet5", pretrained=True).reset_head(3)
    return model.freeze_until(stage) if stage else model


def trained(model: ZooModel, data: Any, **given: Any) -> tuple[dict[str, Tensor], list[float]]:
    run = zoo.finetune(model, data, progress=False, **QUIET, **given)
    return model.state_dict(), [row["loss"] for row in run.history]


def assert_close(first: Any, second: Any) -> None:
    torch.testing.assert_close(first[0], second[0], rtol=1e-4, atol=1e-5)
    assert first[1] == pytest.approx(second[1], rel=1e-5)


# --- asked for -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [2, 3, 4, 8])
@pytest.mark.parametrize("stage", [None, "fc1"])
def test_the_training_is_the_same_in_pieces(stage, pieces):
    """21 pictures in batches of 8: the last one has 5, and no piece divides it."""
    data = pictures(21)
    whole = trained(lenet(stage), data, batch_size=8)
    assert_close(trained(lenet(stage), data, batch_size=8, accumulate=pieces), whole)


@pytest.mark.parametrize("given", [{"balance": "weights"}, {"regularizers": ["label-smoothing"]}])
def test_weights_of_classes_count_for_the_whole_batch(given):
    data = pictures(21)
    whole = trained(lenet(), data, batch_size=8, **given)
    assert_close(trained(lenet(), data, batch_size=8, accumulate=4, **given), whole)
    assert whole[1] != trained(lenet(), data, batch_size=8)[1]


def test_frozen_activations_do_not_depend_on_pieces():
    model = lenet("fc1")
    seen: list[Tensor] = []
    model.fc1.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    trained(model, pictures(8), batch_size=8, cache=False, accumulate=1)
    whole = torch.cat(seen)
    seen.clear()
    trained(model, pictures(8), batch_size=8, cache=False, accumulate=3)
    assert torch.equal(torch.cat(seen), whole)


# --- out of memory -------------------------------------------------------------------------------


class StillTrying(Exception):
    """It goes on although a piece is one picture already."""


@contextmanager
def room_for(model: nn.Module, rows: int) -> Iterator[list[int]]:
    """The head of the model runs out of memory for more rows; lists how many it was asked for."""
    asked: list[int] = []

    def refuse(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if torch.is_grad_enabled():
            asked.append(len(inputs[0]))
            if rows == 0 and len(asked) > 20:
                raise StillTrying
            if len(inputs[0]) > rows:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    layer = model.get_submodule(model.chain["head"].owns[0])
    hook = layer.register_forward_pre_hook(refuse)
    try:
        yield asked
    finally:
        hook.remove()


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tensors stay on the CPU; only what asks whether memory can run out hears yes."""
    cuda = SimpleNamespace(is_available=lambda: True)
    monkeypatch.setattr("zoo_core.training.memory.torch", SimpleNamespace(cuda=cuda))


def test_pieces_double_until_they_fit_and_it_is_said_once(as_on_a_gpu, capsys):
    model = lenet()
    with room_for(model, 2) as asked:
        run = zoo.finetune(model, pictures(21), batch_size=8, **QUIET)
    said = [line for line in capsys.readouterr().err.splitlines() if "Out of memory" in line]
    assert said == [f"Out of memory: each batch is now computed in {n} pieces." for n in (2, 4)]
    assert asked[:3] == [8, 4, 2] and max(asked[3:]) == 2
    other = lenet()
    expected = trained(other, pictures(21), batch_size=8, accumulate=4)
    assert_close((model.state_dict(), [row["loss"] for row in run.history]), expected)


def test_statistics_of_a_try_that_failed_are_put_back(as_on_a_gpu):
    """Two pieces of four see what accumulate=2 sees, and count as many batches."""
    results = []
    for rows, pieces in ((4, 1), (8, 2)):
        torch.manual_seed(0)
        model = zoo.create("resnet18", num_classes=3).freeze_until("layer4")
        with room_for(model, rows):
            given = {"batch_size": 8, "accumulate": pieces, "cache": False}
            results.append(trained(model, pictures(16, 3), **given))
    assert_close(*results)
    assert int(results[0][0]["layer4.0.bn1.num_batches_tracked"]) == 2 * 2 * 2
    assert int(results[0][0]["layer3.0.bn1.num_batches_tracked"]) == 0


def test_to_time_a_step_needs_no_more_memory_than_to_train(as_on_a_gpu):
    model = lenet("fc2")
    with room_for(model, 4):
        trained(model, pictures(16), batch_size=8, cache="auto")


def test_other_errors_are_not_for_less_memory(as_on_a_gpu):
    def fails(pieces: int) -> Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    fitting = Fitting(1, pytest.fail)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        fitting.run(lenet(), fails, 8)
    assert fitting.pieces == 1


def test_the_frozen_part_takes_fewer_pictures_until_they_fit(as_on_a_gpu, capsys):
    model = lenet("fc2")

    def refuse(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if len(inputs[0]) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    model.conv2.register_forward_pre_hook(refuse)
    run = zoo.finetune(model, pictures(21), batch_size=16, cache=True, **QUIET)
    lines = [line for line in capsys.readouterr().err.splitlines() if "Out of memory" in line]
    assert lines == [
        f"Out of memory: the frozen part now takes {n} pictures at once." for n in (8, 4)
    ]
    expected = trained(other := lenet("fc2"), pictures(21), batch_size=16, cache=False)
    assert_close((model.state_dict(), [row["loss"] for row in run.history]), expected)
    assert other.state_dict().keys() == model.state_dict().keys()


def test_without_a_gpu_an_error_is_an_error():
    def fails(pieces: int) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(torch.OutOfMemoryError):
        Fitting(1, pytest.fail).run(lenet(), fails, 8)


def test_where_one_picture_is_too_much_it_ends(as_on_a_gpu):
    model = lenet()
    with room_for(model, 0), pytest.raises(torch.OutOfMemoryError):
        trained(model, pictures(8), batch_size=8)

"""One model, asked by many at once: every answer as if it were alone, and the model as it was."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

import zoo_core as zoo

QUIET = {"progress": False}


@pytest.fixture
def model() -> zoo.ZooModel:
    """In train mode, as create() gives it, with statistics that a wrong mode would miss."""
    torch.manual_seed(0)
    model = zoo.create("resnet18", num_classes=10)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.5)
            part.running_var.uniform_(0.5, 2)
    return model


def answer(model: zoo.ZooModel, x: Tensor) -> object:
    return zoo.predict(model, x, top=3, **QUIET)[0]["top"]


def copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def is_untouched(model: nn.Module, before: dict[str, Tensor]) -> bool:
    same = all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    return same and all(module.training for module in model.modules())


def test_two_that_meet_inside_of_the_model(model: zoo.ZooModel) -> None:
    """The second goes in while the first is there, and the first leaves before it."""
    x, before = torch.randn(3, 64, 64), copied(model)
    alone = answer(model, x)
    first_in, second_in, first_out = (threading.Event() for _ in range(3))
    said: dict[str, object] = {}

    def meet(module: nn.Module, inputs: object) -> None:
        if threading.current_thread().name == "first":
            first_in.set()
            assert second_in.wait(30)
        if threading.current_thread().name == "second":
            second_in.set()
            assert first_out.wait(30)

    def first() -> None:
        said["first"] = answer(model, x)
        first_out.set()

    def second() -> None:
        assert first_in.wait(30)
        said["second"] = answer(model, x)

    hook = model.layer1.register_forward_pre_hook(meet)
    threads = [threading.Thread(target=one, name=one.__name__) for one in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hook.remove()
    assert said == {"first": alone, "second": alone} and is_untouched(model, before)


def test_eight_threads_answer_as_one(model: zoo.ZooModel) -> None:
    pictures = [torch.randn(3, 48, 48) for _ in range(40)]
    before = copied(model)
    alone = [answer(model, x) for x in pictures]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda x: answer(model, x), pictures))
    assert together == alone and is_untouched(model, before)


def test_all_that_asks_leaves_the_model_to_the_others(model: zoo.ZooModel, tmp_path) -> None:
    """While others measure, save and describe it, it is in train mode at every moment."""
    before, seen = copied(model), set()
    data = torch.utils.data.TensorDataset(torch.randn(12, 3, 48, 48), torch.arange(12) % 3)

    def watch() -> None:
        while not over.is_set():
            seen.update(module.training for module in model.modules())

    over = threading.Event()
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        figures = zoo.evaluate(model, data, **QUIET)
        zoo.predict(model, torch.randn(3, 48, 48), **QUIET)
        model.summary()
        model.save_pretrained(tmp_path / "saved")
        with pytest.raises(zoo.DataError, match=r"do not go through"):
            zoo.predict(model, torch.randn(4, 48, 48), **QUIET)
    finally:
        over.set()
        watcher.join()
    assert seen == {True} and is_untouched(model, before)
    assert zoo.evaluate(model.eval(), data, **QUIET) == figures

"""What a user writes, for type checkers: nobody runs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import assert_type

import torch
from torch import Tensor, nn

import zoo_core as zoo
from zoo_core import Option, Pictures, Run, Stack, Verdict, ZooModel
from zoo_core.regularize import above_zero
from zoo_core.testing import check_architecture, check_regularizer


class Patience(zoo.Regularizer):
    def __init__(self, least: float = 0.1) -> None:
        super().__init__()
        above_zero(least=least)
        self.least = least

    def gradients(self) -> None:
        for weight in self.decayed.values():
            if weight.grad is not None:
                weight.grad.mul_(self.least)

    def validation(self, metrics: Mapping[str, float]) -> Verdict:
        return Verdict.STOP if metrics["loss"] < self.least else Verdict.CONTINUE


class Net(nn.Module):
    def hello(self) -> str:
        return "hello"


SPEC = zoo.RegularizerSpec("patience", Patience, (Option("least", 0.1, "where it stops"),))


def tune(folder: str) -> Run:
    model = zoo.create("lenet5", pretrained=True, num_classes=3)
    assert_type(model, ZooModel)
    assert_type(model.freeze_until("fc2"), ZooModel)
    assert_type(zoo.freeze_until(model, "head"), ZooModel)
    assert_type(model.frozen, tuple[str, ...])
    assert_type(model.reset_head(4, labels=["a", "b", "c", "d"]), ZooModel)
    print(model.summary(), model.info.params, model.input.size, model.labels, model.num_outputs)
    scores: Tensor = model(model.transform()(None))
    print(scores)
    run = zoo.finetune(model, folder, regularizers=["l2-sp=0.01", Patience()])
    print(run.best, run.history[0]["loss"], run.path, run.model.chain["head"].owns)
    print(zoo.evaluate(run, folder)["accuracy"])
    print(zoo.predict(run, "one.png"))
    print(zoo.push(run, "me/flowers", revision="dev").url)
    print(run.model.push_to_hub("me/flowers", commit_message="x", token="t", private=True).tag)
    print(run.model.save_pretrained("folder").name, zoo.export(run, Path("x.onnx")))
    again = ZooModel.from_pretrained("me/flowers", revision="v1", num_classes=3)
    assert_type(again, ZooModel)
    return run


def either(maps: bool) -> None:
    assert_type(zoo.create("lenet5", features_only=True), nn.Module)
    assert_type(zoo.create("lenet5", features_only=False, in_chans=1), ZooModel)
    network: nn.Module = zoo.create("lenet5", features_only=maps, pretrained=True, out_indices=(0,))
    print(network, zoo.save_pretrained(tune("x"), save_directory="folder"))


def loop(pictures: Pictures) -> Stack:
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tuned = zoo.freeze_until(net, "1", example=torch.zeros(1, 3))
    print(tuned.frozen[0], tuned.unfreeze().param_groups(1e-3), tuned[0])
    net = zoo.freeze_until(net, "1", example=torch.zeros(1, 3))
    print(net.frozen, net[0])
    plain: nn.Module = zoo.freeze_until(net, "1", example=torch.zeros(1, 3))
    own: Net = zoo.freeze_until(Net(), "last", example=torch.zeros(1, 3))
    print(plain, own.hello(), zoo.freeze_until(Net(), "last", example=None).hello())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    stack = zoo.regularizers(["l1=1e-5", "ema"]).attach(net, optimizer=optimizer)
    assert_type(stack, Stack)
    for x, y in torch.utils.data.DataLoader(pictures):
        x, y = stack.batch(x, y)
        loss = stack.loss(nn.functional.cross_entropy(net(x), y), net(x), y)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no types for it
        stack.gradients()
        optimizer.step()
        stack.weights()
    with stack.evaluating():
        pass
    stack.detach()
    return stack


try:
    print(zoo.list_models("resnet*"), zoo.info("resnet50").params)
    check_architecture("resnet18")
    check_regularizer("l2=0.1")
except zoo.ZooError as error:
    print(error.message, error.hint)

"""The optimizer of a phase: its learning rates by depth, and at each step."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.utils.data import TensorDataset

import zoo_core as zoo
from zoo_core.model.zoo_model import ZooModel
from zoo_core.training.optimizer import Rates, make_optimizer
from zoo_core.training.settings import Settings

pytestmark = pytest.mark.usefixtures("one_thread", "own_cache")


def settings(**given: Any) -> Settings:
    names = ("epochs", "batch_size", "lr", "optimizer", "freeze_until", "train", "schedule")
    plain: dict[str, Any] = dict(zip(names, (1, 4, 0.1, "sgd", None, None, None), strict=True))
    plain |= {"augment": False, "cache": False, "head": "random", "precision": "no"}
    plain |= {"compile": False, "seed": 0, "workers": 0}
    chosen = Settings(**plain | given)
    chosen.check()
    return chosen


def rates(epoch_steps: int, steps: int, **given: Any) -> list[float]:
    """The rates of all steps of a phase of one weight."""
    chosen = settings(**given)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=chosen.rate)
    over_time = Rates(optimizer, chosen, epoch_steps, steps)
    found = []
    for done in range(steps):
        over_time.set(done)
        found.append(over_time.highest)
    return found


def plain_rates(shape: str, warmup: float, steps: int) -> list[float]:
    """Straight up to the full rate over the first steps, then the shape over the others."""
    shapes = {
        "constant": lambda share: 1.0,
        "linear": lambda share: 1 - share,
        "cosine": lambda share: math.cos(math.pi * share / 2) ** 2,
    }
    return [
        0.1 * ((t + 1) / (warmup + 1) if t < warmup else shapes[shape]((t - warmup) / left))
        for t in range(steps)
        for left in [max(steps - warmup, 1)]
    ]


@pytest.mark.parametrize("shape", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("warmup", [0, 0.5, 1, 1.3, 3, 5])
def test_the_rate_of_each_step(shape, warmup):
    found = rates(5, 15, lr_schedule=shape, warmup=warmup)
    assert found == pytest.approx(plain_rates(shape, 5 * warmup, 15), rel=1e-12)
    assert max(found) <= 0.1 and min(found) >= 0
    if warmup == 1:
        assert found[:6] == pytest.approx([0.1 * n / 6 for n in range(1, 7)])  # 5 steps, then full


def test_some_rates_by_hand():
    assert rates(2, 4) == [0.1] * 4
    assert rates(2, 4, lr_schedule="linear") == pytest.approx([0.1, 0.075, 0.05, 0.025])
    half = 0.1 * 0.5
    assert rates(2, 4, lr_schedule="cosine")[2] == pytest.approx(half)


def test_rates_are_set_in_every_group_and_keep_their_shares():
    chosen = settings(lr_schedule="linear", layer_decay=0.5)
    optimizer = make_optimizer(zoo.create("lenet5"), chosen)
    over_time = Rates(optimizer, chosen, 10, 10)
    over_time.set(5)
    expected = [0.05 * 0.5**k for k in range(5)]
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx(expected)
    assert over_time.highest == pytest.approx(0.05)


# --- by depth ------------------------------------------------------------------------------------


def rate_of_each(model: ZooModel, **given: Any) -> dict[str, float]:
    """The learning rate of each parameter, by name."""
    optimizer = make_optimizer(model, settings(**given))
    known = {id(p): name for name, p in model.named_parameters()}
    listed = [(known[id(p)], g["lr"]) for g in optimizer.param_groups for p in g["params"]]
    assert len(dict(listed)) == len(listed)
    return dict(listed)


def test_one_rate_for_all_and_no_weight_decay():
    for name in ("sgd", "adamw"):
        optimizer = make_optimizer(zoo.create("lenet5"), settings(optimizer=name))
        assert len(optimizer.param_groups) == 1
        assert optimizer.param_groups[0]["lr"] == 0.1
        assert optimizer.param_groups[0]["weight_decay"] == 0


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 1e-2), ("adamw", 1e-3)])
def test_the_default_rate(optimizer, rate):
    model = zoo.create("lenet5")
    assert set(rate_of_each(model, optimizer=optimizer, lr=None).values()) == {rate}


def test_a_stage_learns_more_slowly_than_the_next():
    model = zoo.create("lenet5")
    found = rate_of_each(model, layer_decay=0.5)
    depth = {"head": 0, "fc2": 1, "fc1": 2, "conv2": 3, "conv1": 4}
    assert found == {
        name: 0.1 * 0.5 ** depth[name.split(".")[0]] for name, _ in model.named_parameters()
    }


def test_only_what_trains_is_counted():
    resnet = zoo.create("resnet18", num_classes=2).freeze_until("layer3")
    found = rate_of_each(resnet, layer_decay=0.1)
    assert set(found) == {name for name, p in resnet.named_parameters() if p.requires_grad}
    # between layer4 and the head there is a pooling, which has nothing to learn
    assert found["fc.weight"] == 0.1 and found["layer4.0.conv1.weight"] == pytest.approx(0.01)
    assert found["layer3.0.bn1.bias"] == pytest.approx(0.001)


def test_a_schedule_lets_earlier_stages_learn_more_slowly():
    model = zoo.create("lenet5").freeze_until("fc2")
    assert set(rate_of_each(model).values()) == {0.1}
    found = rate_of_each(model, schedule=[("head", 1), ("fc2", 1)])
    assert found["head.weight"] == 0.1 and found["fc2.weight"] == pytest.approx(0.075)
    even = rate_of_each(model, schedule=[("head", 1), ("fc2", 1)], layer_decay=1)
    assert set(even.values()) == {0.1}


# --- in a training -------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["constant", "linear", "cosine"])
def test_a_training_takes_the_steps_of_a_plain_loop(shape):
    """The same weights after 3 epochs as with the rates written down."""
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(8, 1, 32, 32, generator=draw), torch.arange(8) % 10
    torch.manual_seed(0)
    model, other = (zoo.create("lenet5", pretrained=True) for _ in range(2))
    given = {"optimizer": "sgd", "lr": 0.1, "lr_schedule": shape, "warmup": 1.0}
    quiet = {"val": False, "out": False, "progress": False, "batch_size": 8}
    run = zoo.finetune(model, TensorDataset(x, y), epochs=3, **given, **quiet)
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9)
    for rate in plain_rates(shape, 1, 3):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(other.train()(x), y).backward()
        optimizer.step()
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    assert [row["lr"] for row in run.history] == pytest.approx(plain_rates(shape, 1, 3))

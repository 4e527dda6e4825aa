"""The frozen part apart from the rest: where it ends, how it runs, and what takes its place."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from support.model_fixtures import Offer
from support.toys import MANIFEST, channels_last, toy
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional
from torch.utils.data import TensorDataset

import zoo_core as zoo
from zoo_core.model.zoo_model import ZooModel
from zoo_core.training.cache.prefix import Prefix, frozen_stages, rows_for
from zoo_core.training.tail import entered
from zoo_core.training.what_trains import train_only

pytestmark = pytest.mark.usefixtures("one_thread", "own_cache")

SIDES = {"lenet5": 32, "alexnet": 63, "resnet18": 40, "googlenet": 64, "inception_v3": 75}
CPU = torch.device("cpu")


def made(name: str) -> ZooModel:
    torch.manual_seed(0)
    return zoo.create(name, num_classes=3)


def pictures(name: str, count: int) -> Tensor:
    channels = 1 if name == "lenet5" else 3
    draw = torch.Generator().manual_seed(1)
    return torch.randn(count, channels, SIDES[name], SIDES[name], generator=draw)


def before(model: ZooModel) -> list[str]:
    return [stage.name for stage in frozen_stages(model)]


# --- where it ends -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SIDES)
def test_it_is_all_stages_before_the_first_that_trains(name):
    model = made(name)
    names = list(model.chain)
    assert before(model) == []
    for number, stage in enumerate(names[1:], 1):
        model.freeze_until(stage)
        learns = [n for n, p in model.named_parameters() if p.requires_grad]
        found = before(model)
        assert found[:number] == names[:number]
        # what has nothing to learn, such as a pooling, may be frozen or not
        assert not any(model.chain[s].has(n) for s in found for n in learns)
    assert before(model.unfreeze()) == []


@pytest.mark.parametrize(
    ("name", "layer", "last"),
    [
        ("resnet18", "layer4.1", "layer3"),
        ("resnet18", "layer3.0.conv2", "layer2"),
        ("resnet18", "conv1", None),
        ("inception_v3", "Mixed_6b", "inception_a"),
        ("googlenet", "inception4a", "inception3"),
        ("alexnet", "classifier.4", "fc6"),
    ],
)
def test_a_layer_inside_a_stage_keeps_the_whole_stage(name, layer, last):
    if last is None:
        with pytest.raises(zoo.FreezeError):
            made(name).freeze_until(layer)
        return
    assert before(made(name).freeze_until(layer))[-1] == last


def test_norms_that_learn_are_no_frozen_part():
    assert before(made("resnet18").freeze_until("layer3", train_norm=True)) == []
    assert before(made("lenet5").freeze_until("fc1", train_norm=True)) == ["conv1", "conv2"]


def test_flags_alone_hold_no_statistics():
    """Without freeze_until batch norm moves on, so the stage gives something else each time."""
    for name in ("resnet18", "lenet5"):
        model = made(name)
        first = next(iter(model.chain.values()))
        for parameter_name, parameter in model.named_parameters():
            parameter.requires_grad_(not first.has(parameter_name))
        assert before(model) == []


def test_one_weight_that_learns_ends_it():
    model = made("resnet18").freeze_until("layer4")
    model.layer2[0].conv1.weight.requires_grad_(True)
    assert before(model) == ["stem", "layer1"]


@pytest.mark.parametrize(
    ("name", "what", "stages"),
    [
        ("resnet18", "layer2:layer3", ["stem", "layer1"]),
        ("resnet18", ":layer2", []),
        ("resnet18", "norm", []),
        ("resnet18", "bias", []),
        ("lenet5", "fc1:fc1", ["conv1", "conv2"]),
        ("alexnet", "fc6:fc7", ["conv1", "conv2", "conv3", "conv4", "conv5", "pool"]),
    ],
)
def test_of_a_subset_it_is_what_comes_before(name, what, stages):
    assert before(train_only(made(name), what)) == stages


# --- how it runs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "rows"), [(1, 1), (2, 4), (3, 4), (4, 4), (24, 24), (30, 32)])
def test_rows_are_a_multiple_of_four(size, rows):
    assert rows_for(size, CPU) == rows
    assert rows_for(size, torch.device("cuda")) == size


def test_threads_share_the_rows_evenly():
    for threads in (2, 3):
        torch.set_num_threads(threads)
        found = [rows_for(size, CPU) for size in range(2, 70)]
        torch.set_num_threads(1)
        assert all(rows % math.lcm(4, threads) == 0 for rows in found)
        assert all(0 <= rows - size < 12 for size, rows in enumerate(found, 2))
    assert rows_for(1, CPU) == 1


LAST = {
    "lenet5": ("conv2", "fc1", "fc2", "head"),
    "alexnet": ("conv3", "fc7"),
    "resnet18": ("head",),
    "googlenet": ("inception4", "head"),
    "inception_v3": ("inception_c",),
}


@pytest.mark.parametrize(
    ("name", "stage", "size", "threads"),
    [
        *[(name, stage, 8, 1) for name, stages in LAST.items() for stage in stages],
        *[("lenet5", stage, size, 1) for stage in ("fc1", "head") for size in (1, 3, 24, 32)],
        *[("lenet5", "head", size, 2) for size in (3, 24, 32)],
        *[("alexnet", "head", 3, 2), ("resnet18", "layer3", 6, 2)],
    ],
)
def test_a_row_is_the_same_in_batches_of_every_size(name, stage, size, threads):
    """Last batches are filled up, so that the row of a picture depends on nothing but itself."""
    torch.set_num_threads(threads)
    try:
        model = made(name).freeze_until(stage)
        prefix = Prefix(model, frozen_stages(model), rows_for(size, CPU), torch.no_grad)
        x = pictures(name, size)
        whole = prefix(x)
        assert len(whole) == size and not whole.requires_grad and whole.is_contiguous()
        for count in range(1, size):
            assert torch.equal(prefix(x[:count]), whole[:count])
            assert torch.equal(prefix(x[count:]), whole[count:])
        order = torch.randperm(size, generator=torch.Generator().manual_seed(size))
        assert torch.equal(prefix(x[order]), whole[order])
    finally:
        torch.set_num_threads(1)
    expected = model.eval().forward_until(x, stage)
    torch.testing.assert_close(whole, expected.detach(), rtol=1e-4, atol=1e-5)


def test_more_pictures_than_rows_come_in_turn():
    model = made("lenet5").freeze_until("fc1")
    prefix = Prefix(model, frozen_stages(model), 4, torch.no_grad)
    x = pictures("lenet5", 11)
    assert torch.equal(prefix(x), torch.cat([prefix(x[:4]), prefix(x[4:8]), prefix(x[8:])]))
    assert prefix.boundary == "fc1"


def test_activations_lie_in_memory_as_they_are_stored(offer: Offer):
    offer(MANIFEST, toy(channels_last))
    model = zoo.create("toy", num_classes=3).freeze_until("norm")
    x = torch.randn(8, 3, 8, 8)
    assert not model.forward_until(x, "norm").is_contiguous()
    prefix = Prefix(model, frozen_stages(model), 8, torch.no_grad)
    assert prefix(x).is_contiguous() and prefix(x[:3]).is_contiguous()


# --- in its place --------------------------------------------------------------------------------


def test_inside_the_model_takes_activations_and_outside_pictures():
    model = made("resnet18").freeze_until("layer4").eval()
    x = pictures("resnet18", 4)
    whole, h = model(x), model.forward_until(x, "layer4")
    stages = list(model.chain.values())[4:]
    with entered(model, stages):
        assert torch.equal(model(h), whole)
        copied = copy.deepcopy(model)
    assert torch.equal(model(x), whole) and "forward" not in vars(model)
    nn.init.zeros_(model.fc.weight)
    assert torch.equal(copied(h), whole)  # with weights of its own


def test_an_error_inside_leaves_no_trace():
    model = made("lenet5").eval()
    x = pictures("lenet5", 2)
    whole = model(x)
    with pytest.raises(RuntimeError), entered(model, list(model.chain.values())[3:]):
        model(x)
    assert torch.equal(model(x), whole) and "forward" not in vars(model)


# --- checkpointing -------------------------------------------------------------------------------


@contextmanager
def counted() -> Iterator[Callable[[], int]]:
    """How many numbers autograd holds for the backward pass, each piece of memory once."""
    held: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        yield lambda: sum(tensor.numel() for tensor in held.values() if tensor.ndim)


def gradients(model: ZooModel, x: Tensor, *, checkpointing: bool) -> tuple[list[Tensor], int]:
    model.zero_grad()
    torch.manual_seed(3)
    with entered(model, list(model.chain.values()), checkpointing=checkpointing):
        with counted() as held:
            loss = functional.cross_entropy(model(x), torch.arange(len(x)) % 3)
            numbers = held()
        loss.backward()
    return [p.grad.clone() for p in model.parameters()], numbers


@pytest.mark.parametrize("name", ["lenet5", "alexnet", "resnet18", "googlenet"])
def test_checkpointing_gives_the_same_gradients_and_holds_less(name):
    """Dropout drops the same in the second pass, and batch statistics move in the first only."""
    model, twin = made(name).train(), made(name).train()
    twin.load_state_dict(model.state_dict())
    x = pictures(name, 8)
    expected, plain = gradients(model, x, checkpointing=False)
    found, held = gradients(twin, x, checkpointing=True)
    assert all(map(torch.equal, found, expected)) and sum(g.abs().sum() for g in found) > 0
    assert held < plain / 2
    ours, theirs = twin.state_dict(), model.state_dict()
    assert all(torch.equal(ours[n], theirs[n]) for n in ours)


@pytest.mark.parametrize(
    "names",
    [
        *(["manifold-mixup"], ["dropblock:block=1"], ["stochastic-depth"], ["r-drop", "dropout"]),
        *(["sam"], ["bss"], ["feature-delta"]),
    ],
)
def test_checkpointing_is_the_same_training(names):
    data = TensorDataset(pictures("resnet18", 20), torch.arange(20) % 3)
    losses = []
    for checkpointing in (False, True):
        model = made("resnet18").freeze_until("layer3")
        for stage in (model.layer3, model.layer4):
            nn.init.ones_(stage[1].bn2.weight)  # zeros would hide what is behind them
        given = {"epochs": 2, "batch_size": 8, "out": False, "progress": False}
        how = {"checkpointing": checkpointing, "regularizers": names}
        run = zoo.finetune(model, data, **given, **how)
        losses.append([(row["loss"], row["val_loss"]) for row in run.history])
    assert losses[0] == losses[1]


def test_checkpointing_leaves_evaluation_alone():
    model = made("resnet18").eval()
    x = pictures("resnet18", 2)
    with torch.no_grad(), entered(model, list(model.chain.values()), checkpointing=True):
        found = model(x)
    assert torch.equal(found, model(x))

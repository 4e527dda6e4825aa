"""The activation cache: a training with it is the one without, bit for bit, or there is none."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from support.full_disk import files_of_at_most
from support.model_fixtures import Offer
from support.toys import (
    MANIFEST,
    by_mode,
    centred,
    channels_last,
    scaled,
    toy,
    with_dropout,
    with_noise,
)
from torch import Tensor, nn
from torch.utils.data import Dataset, IterableDataset, TensorDataset
from torchvision.transforms import ColorJitter

import zoo_core as zoo
from zoo_core.data.opening import open_data
from zoo_core.data.pictures import Pictures
from zoo_core.model.zoo_model import ZooModel
from zoo_core.training.cache import disk

pytestmark = pytest.mark.usefixtures("one_thread")

SIDES = {"lenet5": 32, "alexnet": 63, "resnet18": 32, "googlenet": 64, "inception_v3": 75}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "zoo"))
    monkeypatch.delenv("ZOO_CACHE_LIMIT", raising=False)
    return tmp_path / "zoo" / "activations"


def made(name: str, stage: str, classes: int = 3) -> ZooModel:
    torch.manual_seed(0)
    model = zoo.create(name, pretrained=name == "lenet5").reset_head(classes)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # zeros would hide what is behind them
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return model.freeze_until(stage)


def tensors(name: str, count: int) -> TensorDataset:
    draw = torch.Generator().manual_seed(0)
    channels = 1 if name == "lenet5" else 3
    x = torch.randn(count, channels, SIDES[name], SIDES[name], generator=draw)
    return TensorDataset(x, torch.arange(count) % 5 % 3)


def trained(model: ZooModel, data: Any, **given: Any) -> tuple[list[Any], dict[str, Tensor]]:
    """The curves of a training, and all that is then in the model."""
    plain = {"epochs": 2, "batch_size": 8, "head": "random", "lr": 0.01, "out": False}
    run = zoo.finetune(model, data, progress=False, **plain | given)
    names = ("epoch", "loss", "val_loss", "val_accuracy")
    curves = [[row.get(name) for name in names] for row in [run.best, *run.history]]
    return curves, {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_same_training(
    make: Callable[[], ZooModel], data: Any, *, again: bool = True, **given: Any
) -> None:
    """Bit for bit, without a cache, with a new one, and `again` with that of the earlier one."""
    curves, state = trained(make(), data, cache=False, **given)
    for _ in range(2 if again else 1):
        others, found = trained(make(), data, cache=True, **given)
        assert others == curves
        assert [name for name in state if not torch.equal(found[name], state[name])] == []
    start = make().state_dict()
    assert any(not torch.equal(state[name], start[name]) for name in state)


# --- cached is uncached --------------------------------------------------------------------------

# name, stage, pictures to train with, batch size, epochs
NETWORKS = [
    *[("lenet5", stage, 21, 8, 3) for stage in ("conv2", "fc1", "fc2", "head")],
    ("alexnet", "conv5", 5, 3, 1),
    ("alexnet", "fc7", 26, 24, 1),
    ("resnet18", "layer1", 11, 3, 1),
    ("resnet18", "layer3", 21, 8, 2),
    ("resnet18", "head", 33, 32, 2),
    ("googlenet", "inception5", 27, 24, 1),
    ("inception_v3", "inception_c", 10, 4, 1),
    ("inception_v3", "head", 7, 3, 1),
]


@pytest.mark.parametrize(("name", "stage", "count", "batch_size", "epochs"), NETWORKS)
def test_networks(name, stage, count, batch_size, epochs):
    given = {"val": tensors(name, 5), "batch_size": batch_size, "epochs": epochs}
    given |= {"optimizer": "sgd", "again": name == "lenet5"}
    assert_same_training(lambda: made(name, stage), tensors(name, count), **given)


@pytest.mark.parametrize("batch_size", [1, 3, 24, 32])
@pytest.mark.parametrize("last", [1, 2, 3, 7, 23])
def test_last_batches_of_every_size(batch_size, last):
    """Of batches, or of what is left after batches of 1 and 3."""
    data = tensors("lenet5", 2 * max(batch_size, 3) + last)
    given = {"batch_size": batch_size, "val": tensors("lenet5", 6), "epochs": 1}
    assert_same_training(lambda: made("lenet5", "fc1"), data, **given)


@pytest.mark.parametrize(("stage", "size"), [("fc1", 24), ("head", 3)])
def test_two_threads(stage, size):
    torch.set_num_threads(2)
    try:
        data = tensors("lenet5", 26)
        assert_same_training(lambda: made("lenet5", stage), data, batch_size=size, epochs=1)
    finally:
        torch.set_num_threads(1)


REGULARIZERS = [
    *("l2-sp", "l1", "max-norm", "gradient-clip", "gradient-noise", "dropout=0.3", "ema=0.5"),
    *("manifold-mixup", "feature-delta", "swa:start=1", "sam", "label-smoothing", "bss"),
    *(
        "early-stopping=1",
        "r-drop dropout",
        "manifold-mixup r-drop dropout ema",
        "manifold-mixup sam ema",
    ),
]


@pytest.mark.parametrize("names", REGULARIZERS)
def test_regularizers(names):
    given = {"regularizers": names.split(), "epochs": 3, "batch_size": 6}
    assert_same_training(lambda: made("lenet5", "fc1"), tensors("lenet5", 26), **given)


@pytest.mark.parametrize(
    "names", ["feature-delta", "stochastic-depth dropblock:block=1", "sam swa:start=1"]
)
def test_regularizers_of_convolutions(names):
    given = {"regularizers": names.split(), "epochs": 2, "batch_size": 8}
    assert_same_training(lambda: made("resnet18", "layer4"), tensors("resnet18", 20), **given)


@pytest.mark.parametrize(
    "given",
    [
        {"head": "ridge"},
        {"head": "ridge", "freeze": "conv2"},
        {"head": "ridge", "freeze": "head", "regularizers": ["dropout"]},
        {"head": "auto", "freeze": "head"},
        {"balance": "weights"},
        {"balance": "sampler"},
        {"optimizer": "sgd", "lr_schedule": "cosine", "warmup": 0.5},
        {"accumulate": 3},
        {"layer_decay": 0.5},
        {"precision": "bf16"},
        {"channels_last": True},
        {"checkpointing": True, "regularizers": ["dropout"]},
        {"val": False},
        {"schedule": [("head", 1), ("fc1", 2), ("conv2:conv2", 1)], "head": "ridge"},
        {"seed": 3, "epochs": 3},
    ],
    ids=lambda given: " ".join(f"{name}={value}" for name, value in given.items()),
)
def test_ways_to_train(given):
    stage = given.get("freeze", "fc1")
    given = {name: value for name, value in given.items() if name != "freeze"}
    assert_same_training(lambda: made("lenet5", stage), tensors("lenet5", 26), **given)


def test_several_labels():
    x, y = tensors("lenet5", 26).tensors
    several = TensorDataset(x, torch.stack([y == 0, y > 0, y == 2], 1).float())
    assert_same_training(lambda: made("lenet5", "fc1"), several)


def small(name: str, stage: str) -> ZooModel:
    """It wants pictures of 32x32."""
    model = made(name, stage, classes=10)
    model.input = replace(model.input, size=(model.input.size[0], 32, 32))
    return model


@pytest.mark.parametrize(
    ("name", "stage", "views"),
    [("lenet5", "fc1", 1), ("lenet5", "fc1", 2), ("lenet5", "head", 3), ("resnet18", "layer4", 3)],
)
@pytest.mark.parametrize("head", ["random", "ridge"])
def test_fixed_views(name, stage, views, head):
    digits = open_data("digits").subset(range(30))
    given = {"augment": views, "epochs": views + 1, "head": head, "again": name == "lenet5"}
    assert_same_training(lambda: small(name, stage), digits, **given)


def test_fixed_views_are_pictures_of_their_own():
    """Three epochs show three of them, and the fourth shows the first again."""
    digits = open_data("digits").subset(range(30))
    model = small("lenet5", "head")
    seen: list[Tensor] = []
    model.head.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0].clone()) if torch.is_grad_enabled() else None
    )
    trained(model, digits, augment=3, epochs=4, cache=True, val=False, batch_size=32)
    first, second, third, fourth = (part.sort(0).values for part in seen[-4:])
    assert not torch.equal(first, second) and not torch.equal(second, third)
    assert torch.equal(first, fourth) and not torch.equal(first, third)


def colours(count: int) -> TensorDataset:
    draw = torch.Generator().manual_seed(0)
    return TensorDataset(torch.randn(count, 3, 8, 8, generator=draw), torch.arange(count) % 3)


def toy_frozen() -> ZooModel:
    torch.manual_seed(0)
    return zoo.create("toy", num_classes=3).freeze_until("norm")


def test_activations_in_another_order_of_memory(offer: Offer):
    offer(MANIFEST, toy(channels_last))
    assert_same_training(toy_frozen, colours(26))
    assert_same_training(toy_frozen, colours(26), channels_last=True)


def test_activations_of_half_precision(offer: Offer):
    """Batch norm comes first in what trains, and rounds as its input is rounded."""
    offer(MANIFEST, toy(channels_last))
    assert_same_training(toy_frozen, colours(26), precision="bf16")


def test_mapped_activations(monkeypatch):
    monkeypatch.setattr(disk, "memory_budget", lambda: 0)
    assert_same_training(lambda: made("lenet5", "fc1"), tensors("lenet5", 26))
    assert disk.entries()[0].count() == 26


# --- what is computed ----------------------------------------------------------------------------


def computed(model: ZooModel, data: Any, **given: Any) -> int:
    """How many rows a training computes; without validation, by itself."""
    plain = {"epochs": 1, "batch_size": 8, "head": "random", "val": False, "cache": True}
    run = zoo.finetune(model, data, progress=False, out=False, **plain | given)
    return run.recipe["cost"]["cache"]["computed"]


def changed(model: ZooModel, name: str) -> ZooModel:
    """The least change of a weight or statistic."""
    with torch.no_grad():
        tensor = {**model.state_dict(), **dict(model.named_buffers())}[name].view(-1)
        tensor[-1] = torch.nextafter(tensor[-1], torch.tensor(9.0))
    return model


def with_input(model: ZooModel, **given: Any) -> ZooModel:
    model.input = replace(model.input, **given)
    return model


def lenet(stage: str = "fc1") -> ZooModel:
    return made("lenet5", stage)


def test_what_activations_depend_on_computes_them_anew():
    data, found = tensors("lenet5", 12), {}
    assert computed(lenet(), data) == 12 and computed(lenet(), data) == 0
    found = {
        "weight": computed(changed(lenet(), "conv1.weight"), data),
        "bias": computed(changed(lenet(), "conv2.bias"), data),
        "boundary": computed(lenet("fc2"), data),
        "mean": computed(with_input(lenet(), mean=(0.3,)), data),
        "interpolation": computed(with_input(lenet(), interpolation="nearest"), data),
        "rows": computed(lenet(), data, batch_size=12),
        "type": computed(lenet().double(), data),
        "precision": computed(lenet(), data, precision="bf16"),
        "memory": computed(lenet(), data, channels_last=True),
    }
    torch.set_num_threads(2)
    found["threads"] = computed(lenet(), data)
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("medium")
    found["products"] = computed(lenet(), data)
    torch.set_float32_matmul_precision("highest")
    assert set(found.values()) == {12}, found
    assert len(disk.entries()) == len(found) + 1


def test_of_other_pictures_only_the_new_ones_are_computed():
    x, y = tensors("lenet5", 40).tensors
    few = torch.arange(20)
    assert computed(lenet(), TensorDataset(x[few], y[few])) == 20
    pixel = x.clone()
    pixel[5, 0, 3, 3] += 1e-6
    assert computed(lenet(), TensorDataset(pixel[few], y[few])) == 1
    turned = few.flip(0)
    assert computed(lenet(), TensorDataset(x[turned], y[turned])) == 0
    assert computed(lenet(), TensorDataset(x[:9], y[:9])) == 0
    assert computed(lenet(), TensorDataset(x[:21], y[:21])) == 1
    assert computed(lenet(), TensorDataset(x[few], y[few].roll(1))) == 0
    assert computed(lenet(), TensorDataset(x, y)) == 19


@pytest.mark.parametrize("memory", [True, False])
def test_another_split_computes_nothing_and_is_the_training_without(memory, monkeypatch):
    """Rows that were computed in other batches, and in another set, are the same numbers."""
    if not memory:
        monkeypatch.setattr(disk, "memory_budget", lambda: 0)
    data = tensors("lenet5", 45)
    assert computed(lenet(), data, val=None) == 45
    for seed in (1, 2):
        curves, state = trained(lenet(), data, cache=False, seed=seed)
        found, others = trained(lenet(), data, cache=True, seed=seed)
        assert found == curves and all(torch.equal(others[n], t) for n, t in state.items())
        assert computed(lenet(), data, val=None, seed=seed) == 0


@pytest.mark.parametrize("name", ["resnet18", "alexnet"])
def test_rows_of_other_batches_are_those_of_the_training_without(name):
    """One picture of a batch was there, or most; the others fill it up in another order."""
    data, stage = tensors(name, 14), "head" if name == "resnet18" else "fc7"
    x, y = data.tensors
    for chosen in ([3, 4], [13, 1, 7, 8, 0], [2, 5]):
        computed(made(name, stage), TensorDataset(x[chosen], y[chosen]), batch_size=4)
    expected = trained(made(name, stage), data, cache=False, batch_size=4, epochs=1)
    found = trained(made(name, stage), data, cache=True, batch_size=4, epochs=1)
    assert found[0] == expected[0]
    assert all(torch.equal(found[1][n], t) for n, t in expected[1].items())


def test_statistics_and_other_buffers_count(offer: Offer):
    offer(MANIFEST, toy(scaled))
    assert computed(toy_frozen(), colours(12)) == 12
    assert computed(changed(toy_frozen(), "scale"), colours(12)) == 12  # not in the state dict
    toy_head = zoo.create("toy", num_classes=3)
    assert computed(toy_head.freeze_until("head"), colours(12)) == 12
    assert computed(changed(toy_head, "norm.running_mean"), colours(12)) == 12
    assert computed(changed(toy_head, "norm.running_var"), colours(12)) == 12


def test_code_counts(offer: Offer):
    """The weights are the same, and what runs is not."""
    offer(MANIFEST, toy(scaled))
    assert computed(toy_frozen(), colours(12)) == 12 and computed(toy_frozen(), colours(12)) == 0
    offer(MANIFEST, toy(channels_last))
    assert computed(toy_frozen(), colours(12)) == 12
    hooked = toy_frozen()
    hooked.conv.register_forward_hook(lambda module, inputs, output: 2 * output)
    assert computed(hooked, colours(12)) == 12
    assert computed(toy_frozen(), colours(12)) == 0


def test_views_are_kept_one_by_one():
    """What evaluation sees is in each of them; crops follow the seed."""
    digits = open_data("digits").subset(range(20))
    given = [{"augment": False}, *[{"augment": n} for n in (1, 2, 3)], {"augment": 3, "seed": 1}]
    found = [computed(small("lenet5", "fc1"), digits, **one) for one in given]
    assert found == [20, 0, 20, 20, 40]
    assert computed(small("lenet5", "fc1"), digits.subset(range(19, 0, -1)), augment=3) == 0
    more = open_data("digits").subset([25, *range(20)])
    assert computed(small("lenet5", "fc1"), more, augment=3) == 3


def test_what_they_do_not_depend_on_computes_nothing():
    data = tensors("lenet5", 12)
    assert computed(lenet(), data) == 12
    for given in (
        *[{"epochs": 3}, {"lr": 0.1}, {"optimizer": "sgd"}, {"seed": 5}, {"head": "ridge"}],
        *[{"regularizers": ["ema"]}, {"balance": "sampler"}, {"accumulate": 2}, {"batch_size": 7}],
    ):
        assert computed(lenet(), data, **given) == 0, given
    assert computed(changed(lenet(), "fc1.weight"), data) == 0
    assert computed(made("lenet5", "fc1", classes=7), data) == 0


def test_a_second_training_computes_nothing():
    data, seen = tensors("lenet5", 100), []

    def watched() -> ZooModel:
        model = changed(made("lenet5", "fc1"), "fc1.weight")
        model.conv1.register_forward_pre_hook(lambda module, x: seen.append(len(x[0])))
        return model

    curves, _ = trained(watched(), data, cache=True, epochs=3)
    assert 100 <= sum(seen) <= 112  # half a batch twice, to see that rows depend on nothing else
    seen.clear()
    again, _ = trained(watched(), data, cache=True, epochs=3)
    assert seen == [1] and again == curves  # the one picture shows that it gives scores
    trained(watched(), data, cache=True, epochs=3, lr=1.0, regularizers=["ema"], head="ridge")
    assert seen == [1, 1]
    trained(watched(), data, cache=False, epochs=3)
    assert sum(seen) >= 300


def test_a_picture_is_read_once(tmp_path):
    """Whatever is found out by the way: the first pictures show what caching would save."""
    read: list[int] = []

    def picture(index: int) -> Image.Image:
        read.append(index)
        return Image.new("L", (32, 32), 6 * index)

    data = Pictures("own", picture, [index % 3 for index in range(40)], None)
    data.read = Counted(data.read)  # its digests are known without decoding
    read.clear()
    trained(lenet(), data, cache=True, epochs=3, augment=False)
    counts = Counter(read)
    assert [counts[index] for index in range(2, 40)] == 38 * [1]  # the first of a set, to see it


class Counted:
    """A reader that knows digests, as those of files do."""

    def __init__(self, read: Callable[[int], Any]) -> None:
        self.read = read

    def __call__(self, index: int) -> Any:
        return self.read(index)

    def digest(self, index: int) -> bytes:
        return index.to_bytes(16)

    def read_with_digest(self, index: int) -> tuple[Any, bytes]:
        return self.read(index), self.digest(index)


# --- storage -------------------------------------------------------------------------------------


def said(capsys: pytest.CaptureFixture[str], model: ZooModel, data: Any, **given: Any) -> str:
    """The lines of a training."""
    capsys.readouterr()
    plain = {"epochs": 2, "batch_size": 8, "head": "random", "out": False}
    zoo.finetune(model, data, **plain | given)
    return capsys.readouterr().err


def test_on_a_full_disk_it_is_in_memory_and_says_so(place, capsys):
    data, make = tensors("lenet5", 60), lambda: made("lenet5", "fc1")
    expected = trained(make(), data, cache=False, lr=1e-3)
    with files_of_at_most(10_000):
        model = make()
        lines = said(capsys, model, data, cache=True)
    assert "The cache lasts for this run only: File too large." in lines
    assert all(torch.equal(model.state_dict()[n], t) for n, t in expected[1].items())
    assert [entry.count() for entry in disk.entries()] == [0]  # that it is right is remembered


def test_without_memory_and_disk_there_is_none(place, capsys, monkeypatch):
    monkeypatch.setattr(disk, "memory_budget", lambda: 0)
    slow = made("lenet5", "fc1")
    slow.conv1.register_forward_pre_hook(lambda module, inputs: time.sleep(0.01))
    data = tensors("lenet5", 60)
    with files_of_at_most(10_000):
        assert "Not cached: the activations cannot be kept: File too large." in said(
            capsys, slow, data, epochs=10
        )
        with pytest.raises(zoo.RecipeError, match=r"cache=True cannot be: .*File too large"):
            trained(made("lenet5", "fc1"), data, cache=True)
    assert sum(entry.bytes for entry in disk.entries()) == 0


def test_more_than_the_limit_is_not_kept(place, capsys, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "10kB")
    slow = made("lenet5", "fc1")
    slow.conv1.register_forward_pre_hook(lambda module, inputs: time.sleep(0.01))
    data = tensors("lenet5", 60)
    lines = said(capsys, made("lenet5", "fc1"), data, cache=True)
    assert "lasts for this run only: 77 kB are more than the 10 kB of ZOO_CACHE_LIMIT" in lines
    monkeypatch.setattr(disk, "memory_budget", lambda: 0)
    reason = "the activations cannot be kept: 77 kB are more than the 10 kB of ZOO_CACHE_LIMIT"
    assert f"Not cached: {reason}." in said(capsys, slow, data, epochs=10)
    with pytest.raises(zoo.RecipeError, match=f"cache=True cannot be: {reason}"):
        trained(made("lenet5", "fc1"), data, cache=True)
    assert sum(entry.bytes for entry in disk.entries()) == 0


def test_a_cache_that_cannot_be_written_is_in_memory(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file" / "zoo"))
    lines = said(capsys, made("lenet5", "fc1"), tensors("lenet5", 26), cache=True)
    assert "lasts for this run only: " in lines and "cannot be written" in lines


def test_damaged_activations_are_computed_again(place):
    data, make = tensors("lenet5", 26), lambda: made("lenet5", "fc1")
    expected = trained(make(), data, cache=True)
    for kind in ("*.safetensors", disk.FACTS):
        for path in place.glob(f"*/{kind}"):
            content = bytearray(path.read_bytes())
            content[-9] ^= 0x10
            path.write_bytes(content)
        found = trained(make(), data, cache=True)
        assert found[0] == expected[0]
        assert all(torch.equal(found[1][n], t) for n, t in expected[1].items())
        assert sum(entry.count() for entry in disk.entries()) == 26
        assert computed(make(), data, val=None) == 0


# --- where it would be wrong ---------------------------------------------------------------------


class Jittered(Dataset[Any]):
    """Somebody's own augmentation, of PIL pictures."""

    def __init__(self, jitter: Callable[[Any], Any]) -> None:
        self.jitter = jitter

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.jitter(Image.new("L", (32, 32), 12 * index)), index % 3


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        while True:
            yield torch.zeros(1, 32, 32), 0


def assert_refused(
    capsys: pytest.CaptureFixture[str],
    make: Callable[[], ZooModel],
    data: Any,
    reason: str,
    **given: Any,
) -> None:
    """True is an error with the reason; auto goes on without, and gives it."""
    with pytest.raises(zoo.RecipeError, match=f"cache=True cannot be: {reason}"):
        trained(make(), data, cache=True, **given)
    lines = said(capsys, make(), data, cache="auto", **given)
    assert re.search(f"Not cached: {reason}", lines), lines
    assert disk.entries() == []


def test_pictures_that_are_new_each_time(capsys):
    digits = open_data("digits").subset(range(30))
    reason = "pictures are augmented anew in each epoch"
    assert_refused(capsys, lambda: small("lenet5", "fc1"), digits, reason, augment=True)
    assert_refused(capsys, lambda: small("lenet5", "fc1"), digits, reason, augment="auto")


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["mixup"], "mixup makes other pictures in each step"),
        (["cutmix=1"], "cutmix makes other pictures"),
        (["l2", "mixup", "cutmix"], "mixup and cutmix make other pictures"),
    ],
)
def test_regularizers_that_change_pictures(capsys, names, reason):
    data, given = tensors("lenet5", 26), {"regularizers": names}
    assert_refused(capsys, lambda: made("lenet5", "fc1"), data, reason, **given)


def test_a_dataset_with_an_augmentation_of_its_own(capsys):
    jittered = Jittered(ColorJitter(0.5))
    given = {"augment": False}
    for plain in ({**given}, {"augment": 3}):
        reason = "Jittered gives other pictures each time"
        assert_refused(capsys, lambda: made("lenet5", "fc1"), jittered, reason, **plain)
    still = Jittered(lambda picture: picture)
    assert_same_training(lambda: made("lenet5", "fc1"), still, **given)


def test_data_without_an_order():
    with pytest.raises(zoo.DataError, match=r"A Endless has no length and no order"):
        trained(made("lenet5", "fc1"), Endless(), cache=True)


def test_nothing_is_frozen():
    with pytest.raises(zoo.RecipeError, match=r"nothing before conv1 is frozen as a whole stage"):
        trained(zoo.create("lenet5"), tensors("lenet5", 26), cache=True)
    norms = zoo.create("resnet18", num_classes=3).freeze_until("layer3", train_norm=True)
    with pytest.raises(zoo.RecipeError, match=r"nothing before stem is frozen as a whole stage"):
        trained(norms, tensors("resnet18", 26), cache=True)


@pytest.mark.parametrize("limit", ["20GB", "much"])
def test_a_refusal_leaves_no_run_folder(tmp_path, monkeypatch, limit):
    """Neither where there is nothing to cache, nor where its limit is no size."""
    monkeypatch.setenv("ZOO_CACHE_LIMIT", limit)
    model = zoo.create("lenet5") if limit == "20GB" else made("lenet5", "fc1")
    with pytest.raises(zoo.RecipeError, match=r"nothing before conv1|is no size"):
        trained(model, tensors("lenet5", 26), cache=True, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("step", [with_dropout, with_noise, centred, by_mode])
@pytest.mark.parametrize("mode", [True, False])
def test_a_frozen_part_that_is_random_or_looks_at_its_batch(offer: Offer, capsys, step, mode):
    """Whatever mode the model came in, since it trains in one and is validated in the other."""
    offer(MANIFEST, toy(step))
    reason = "the frozen part gives other activations each time, or in each batch"
    assert_refused(capsys, lambda: toy_frozen().train(mode), colours(26), reason)


# --- what it saves -------------------------------------------------------------------------------


def slow_lenet(seconds: float = 0.02) -> ZooModel:
    model = made("lenet5", "fc1")
    model.conv1.register_forward_pre_hook(lambda module, inputs: time.sleep(seconds))
    return model


def test_auto_caches_where_it_saves_time_and_says_how_much(capsys):
    data = tensors("lenet5", 80)
    lines = said(capsys, slow_lenet(), data, epochs=10)
    told = re.search(
        r"Caching what enters fc1: 80 rows, 128 kB\.\nThat takes about (.+) in all instead of (.+) "
        r"without\.",
        lines,
    )
    assert told, lines
    took = re.search(
        r"With the cache it took (.+); the forecast was (.+), and (.+) without it\.", lines
    )
    assert took, lines
    assert took[2] == told[1] and took[3] == told[2]
    assert disk.entries()[0].count() == 80
    again = said(capsys, slow_lenet(), data, epochs=10)
    assert "Cached: what enters fc1, from earlier trainings." in again
    assert "forecast" not in again


def test_the_prediction_is_near_what_it_takes():
    """The frozen part sleeps, so that the numbers are what they are on a busy machine, too."""
    data, given = tensors("lenet5", 80), {"epochs": 6, "batch_size": 8, "out": False}
    run = zoo.finetune(slow_lenet(0.05), data, progress=False, **given)
    facts = run.recipe["cost"]["cache"]
    # 8 batches for training and 2 for validation: once with it, and in each epoch without
    assert facts["boundary"] == "fc1" and facts["bytes"] == 80 * 16 * 5 * 5 * 4
    assert 0.4 <= facts["predicted"] < 1.5 and 0.4 <= facts["building"] < 1.5
    assert 3.0 <= facts["without"] < 6.0


def slow_to_read(index: int) -> Tensor:
    time.sleep(0.01)
    return torch.full((1, 32, 32), index / 24)


def test_reading_counts_once_where_pictures_stay_in_memory(monkeypatch):
    """24 pictures take a quarter of a second to read: once, or else in each of 20 epochs."""
    data = Pictures("slow", slow_to_read, [index % 3 for index in range(24)], None)
    without = []
    for memory in (2**28, 0):
        monkeypatch.setattr("zoo_core.data.samples.MEMORY", memory)
        model = made("lenet5", "head")
        given = {"epochs": 20, "cache": True, "out": False, "progress": False, "batch_size": 12}
        disk.clear()
        run = zoo.finetune(model, data, val=False, head="random", **given)
        without.append(run.recipe["cost"]["cache"]["without"])
    assert without[0] >= 0.24 and without[1] - without[0] > 2.5  # of 4.6, on a busy machine too


def test_each_phase_tells_of_its_cache():
    model = made("lenet5", "head")
    schedule = [("head", 1), ("fc1", 1), ("all", 1)]
    given = {"cache": True, "out": False, "progress": False}
    with pytest.raises(zoo.RecipeError, match=r"nothing before conv1 is frozen"):
        zoo.finetune(model, tensors("lenet5", 26), schedule=schedule, **given)
    run = zoo.finetune(model, tensors("lenet5", 26), schedule=schedule[:2], **given)
    cost = run.recipe["cost"]
    assert "cache" not in cost
    assert cost["cache_of_phase_1"]["boundary"] == "head"
    assert cost["cache_of_phase_2"]["boundary"] == "fc1"


def test_auto_does_not_cache_for_one_epoch(capsys):
    data = tensors("lenet5", 80)
    lines = said(capsys, slow_lenet(), data, epochs=1)
    assert re.search(
        r"Not cached: it would save no time \(about .+ in all instead of .+ without", lines
    ), lines
    assert disk.entries() == []
    solved = said(capsys, slow_lenet(), data, epochs=1, head="ridge")  # a pass more
    assert "Caching what enters fc1" in solved


def test_auto_counts_views(capsys):
    """Three views in three epochs are all new."""
    digits = open_data("digits").subset(range(30))
    for epochs, cached in ((3, False), (9, True)):
        model = slow_lenet().reset_head(10)
        lines = said(capsys, model, digits, augment=3, epochs=epochs, val=False)
        assert ("Caching what enters" in lines) == cached, lines


def test_what_became_of_it_is_in_the_recipe():
    data = tensors("lenet5", 26)

    def cache_of(model: ZooModel, **given: Any) -> Any:
        run = zoo.finetune(model, data, epochs=1, out=False, progress=False, **given)
        return run.recipe["cost"]["cache"]

    assert cache_of(made("lenet5", "fc1"), cache=False) == "not wanted"
    assert "nothing before conv1" in cache_of(zoo.create("lenet5"))
    facts = cache_of(made("lenet5", "fc1"), cache=True)
    assert facts["boundary"] == "fc1" and "reused" not in facts
    assert facts["computed"] == 26
    again = cache_of(made("lenet5", "fc1"), cache=True)
    assert (again["reused"], again["computed"]) == (26, 0)

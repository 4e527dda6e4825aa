"""The training loop: equal to a plain one, through all phases, and told to trackers and reports."""

import csv

import pytest
import torch
from PIL import Image
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset

import zoo_core as zoo
from zoo_core.data.loader import Order
from zoo_core.data.opening import open_data

DIGITS = open_data("digits").subset(range(0, 1797, 6))  # 300
QUIET = {"out": False, "progress": False}


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def changed(before, model):
    return {
        name for name, tensor in model.state_dict().items() if not torch.equal(before[name], tensor)
    }


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_it_is_a_plain_loop_bit_for_bit(optimizer):
    train, val = DIGITS.subset(range(200)), DIGITS.subset(range(200, 300))
    given = {"optimizer": optimizer, "epochs": 2, "batch_size": 32, "augment": False, "seed": 4}
    run = zoo.finetune(zoo.create("lenet5", pretrained=True), train, val=val, **given, **QUIET)
    model = zoo.create("lenet5", pretrained=True).train()
    transform = model.transform()
    x = torch.stack([transform(train.read(i)) for i in range(len(train))])
    y = train.target_tensor()
    kinds = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    own = {"adamw": {"lr": 1e-3, "weight_decay": 0.0}, "sgd": {"lr": 1e-2, "momentum": 0.9}}
    plain = kinds[optimizer](model.parameters(), fused=True, **own[optimizer])
    order = Order(len(train), 32, seed=4)
    for epoch, row in enumerate(run.history, 1):
        order.epoch = epoch
        losses = []
        for part in order.parts():
            plain.zero_grad()
            loss = cross_entropy(model(x[part.indices]), y[part.indices])
            loss.backward()
            plain.step()
            losses.append(loss.item() * len(part.indices))
        assert row["loss"] == pytest.approx(sum(losses) / len(train), rel=1e-12)
    assert run.best["epoch"] == 2  # else the best weights would be others
    assert not changed(state(model), run.model)


def test_a_schedule_goes_deeper_step_by_step(monkeypatch):
    model = zoo.create("lenet5", pretrained=True)
    rates = []
    from zoo_core.training import phase

    make = phase.make_optimizer
    monkeypatch.setattr(
        phase, "make_optimizer", lambda *given: rates.append(make(*given)) or rates[-1]
    )
    given = {"schedule": [("head", 1), ("fc1", 2), ("conv1", 1)], "lr": 0.01}
    run = zoo.finetune(model, DIGITS, **given, **QUIET)
    assert [row["phase"] for row in run.history] == [1, 2, 2, 3]
    trains = [row["trains"] for row in run.history]
    assert trains == ["head", "fc1 to head", "fc1 to head", "all"]
    for optimizer, stages in zip(rates, (1, 3, 5), strict=True):
        found = [group["lr"] for group in optimizer.param_groups]
        assert found == pytest.approx([0.01 * 0.75**depth for depth in range(stages)])
    text = zoo.finetune("lenet5", DIGITS, schedule="head=1,fc1=2,conv1=1", lr=0.01, **QUIET)
    assert [row["loss"] for row in text.history] == [row["loss"] for row in run.history]


@pytest.mark.parametrize(
    ("train", "moves"),
    [
        ("conv2:fc1", {"conv2", "fc1"}),
        ("fc2:", {"fc2", "head"}),
        (":conv2", {"conv1", "conv2"}),
        ("all", {"conv1", "conv2", "fc1", "fc2", "head"}),
    ],
)
def test_only_what_should_train_moves(train, moves):
    model = zoo.create("lenet5", pretrained=True)
    before = state(model)
    run = zoo.finetune(model, DIGITS, train=train, epochs=1, **QUIET)
    assert {name.partition(".")[0] for name in changed(before, model)} == moves
    assert run.recipe["train"]["train"] == train


def test_biases_alone_move_with_the_new_head():
    model = zoo.create("resnet18", num_classes=10, in_chans=1)
    before = state(model)
    small = TensorDataset(torch.randn(24, 1, 32, 32), torch.arange(24) % 10)
    zoo.finetune(model, small, val=False, train="bias", epochs=1, batch_size=12, **QUIET)
    moved = changed(before, model)
    assert {"fc.weight", "fc.bias", "layer1.0.bn2.bias"} <= moved
    assert all(name.endswith("bias") or name.startswith("fc.") for name in moved)
    before = state(model)
    zoo.finetune(model, small, val=False, train="norm", epochs=1, batch_size=12, **QUIET)
    moved = changed(before, model)
    assert {"layer4.1.bn2.weight", "layer4.1.bn2.running_mean", "fc.weight"} <= moved
    assert not any("conv" in name or "downsample.0" in name for name in moved)


def test_the_best_of_all_phases_comes_back():
    model = zoo.create("lenet5", pretrained=True)
    given = {"schedule": [("head", 2), ("conv2", 1)], "lr": 0.5, "optimizer": "sgd"}
    run = zoo.finetune(model, DIGITS, regularizers="gradient-clip=5", **given, **QUIET)
    losses = [row["val_loss"] for row in run.history]
    assert run.best["val_loss"] == min(losses) and run.best["phase"] == 1
    base = zoo.create("lenet5", pretrained=True)
    assert changed(state(base), run.model) == {"head.weight", "head.bias"}


@pytest.mark.parametrize(
    "given",
    [
        {"channels_last": True},
        {"checkpointing": True},
        {"precision": "bf16"},
        {"precision": "fp16"},
    ],
)
def test_quicker_ways_come_to_nearly_the_same(given):
    common = {"freeze_until": "conv2", "augment": False, "epochs": 2, "cache": False, **QUIET}
    plain = zoo.finetune("lenet5", DIGITS, **common)
    other = zoo.finetune("lenet5", DIGITS, **{**common, **given})
    loose = 0.05 if "precision" in given else 1e-4
    assert other.history[0]["loss"] == pytest.approx(plain.history[0]["loss"], rel=loose)
    assert all(p.dtype == torch.float32 for p in other.model.parameters())


def test_small_classes_count_more_where_they_should():
    many = [i for i, target in enumerate(DIGITS.targets) if target == 0]
    few = [i for i, target in enumerate(DIGITS.targets) if target == 8][:4]
    uneven = DIGITS.subset(many + few)
    given = {"val": False, "epochs": 1, "lr": 1e-12, "augment": False, **QUIET}
    model = zoo.create("lenet5", pretrained=True)
    losses = {}
    for balance in (None, "weights", "sampler"):
        run = zoo.finetune(model, uneven, balance=balance, **given)
        losses[balance] = run.history[0]["loss"]
    transform = model.transform()
    x = torch.stack([transform(uneven.read(i)) for i in range(len(uneven))])
    with torch.no_grad():
        each = cross_entropy(model.eval()(x), uneven.target_tensor(), reduction="none")
    large, small = each[: len(many)].mean().item(), each[len(many) :].mean().item()
    assert losses["weights"] == pytest.approx((large + small) / 2, rel=1e-4)
    assert losses[None] == pytest.approx(each.mean().item(), rel=1e-4)
    assert losses["sampler"] != losses[None]


def test_tensorboard_gets_the_rows(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    given = {"epochs": 2, "freeze_until": "head", "progress": False}
    run = zoo.finetune("lenet5", DIGITS, tracker="tensorboard", out=tmp_path / "run", **given)
    written = [EventAccumulator(str(path)) for path in (tmp_path / "run").rglob("events.out.*")]
    [found] = [one for one in written if "val_loss" in one.Reload().Tags()["scalars"]]
    told = [event.value for event in found.Scalars("val_loss")]
    assert told == pytest.approx([row["val_loss"] for row in run.history], rel=1e-6)
    assert [event.step for event in found.Scalars("loss")] == [1, 2]


def test_a_run_has_a_report(tmp_path):
    run = zoo.finetune(
        "lenet5", DIGITS, schedule="head=1,fc2=1", out=tmp_path / "run", progress=False
    )
    page = (tmp_path / "run" / "report.html").read_text()
    assert (
        "<svg" in page
        and "data:image" in page
        and "http://" not in page.replace("http://www.w3.org", "")
    )
    cost = run.recipe["cost"]
    assert cost["peak_memory"] > 10**7 and cost["trained_params"] == 10_164 + 850
    assert cost["checkpoint_bytes"] == (tmp_path / "run" / "best.safetensors").stat().st_size


def test_a_report_has_no_figures_that_nobody_measured(tmp_path):
    given = {"epochs": 0, "head": "ridge", "val": False, "out": tmp_path / "run"}
    run = zoo.finetune("lenet5", DIGITS, freeze_until="head", progress=False, **given)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "memory at most" not in page and "pictures per second" not in page
    assert "for validation" not in page and "peak_memory" not in run.recipe["cost"]
    assert "head; 850 of 61,706 parameters" in page


def test_several_labels_a_picture_from_a_table(tmp_path):
    colours = {"red": (220, 0, 0), "green": (0, 220, 0), "blue": (0, 0, 220)}
    rows = []
    for i in range(48):
        names = [name for j, name in enumerate(colours) if (i >> j) & 1]
        shade = tuple(sum(colours[name][c] for name in names) + i // 2 for c in range(3))
        Image.new("RGB", (28, 28), shade).save(tmp_path / f"{i}.png")
        rows.append({"path": f"{i}.png", "labels": "|".join(names)})
    (tmp_path / "broken.png").write_bytes(b"no picture")
    rows.append({"path": "broken.png", "labels": "red"})
    with (tmp_path / "table.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["path", "labels"])
        table.writeheader()
        table.writerows(rows)
    torch.manual_seed(0)
    model = zoo.create("lenet5", in_chans=3, num_classes=3)
    given = {"epochs": 25, "lr": 3e-3, "batch_size": 16, "progress": False}
    spec = f"csv:{tmp_path / 'table.csv'}"
    with pytest.raises(zoo.DataError, match=r"broken\.png"):
        zoo.finetune(model, spec, out=False, **given)
    run = zoo.finetune(model, spec, unreadable="skip", out=tmp_path / "run", **given)
    assert run.recipe["data"]["count"] + run.recipe["data"]["val_count"] == 48
    assert run.accuracy > 0.9 and run.model.labels == ("blue", "green", "red")

"""Figures against plain twins of scikit-learn and numpy, and evaluate() on real data."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from support.in_process import run
from support.pictures import colours
from torch.utils.data import TensorDataset

import zoo_core as zoo
from zoo_core.data.opening import open_data
from zoo_core.inference.metrics import average_precision, calibration_error, confusion, measured


def case(count: int, classes: int, present: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random scores, a little right, and targets of the first `present` classes."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(present, (count,), generator=generator)
    scores = torch.randn(count, classes, generator=generator)
    scores[torch.arange(count), targets] += 1.0
    return scores, targets


CASES = {
    "many": (500, 12, 12, 0),
    "absent classes": (200, 12, 4, 1),
    "two classes": (60, 2, 2, 2),
    "five classes": (60, 5, 5, 3),
    "fewer pictures than bins": (4, 8, 8, 4),
    "one picture": (1, 6, 6, 5),
}


@pytest.fixture(params=CASES.values(), ids=CASES)
def given(request: pytest.FixtureRequest) -> tuple[torch.Tensor, torch.Tensor, int]:
    return (*case(*request.param), request.param[1])


def names(classes: int) -> list[str]:
    return [f"c{i}" for i in range(classes)]


def test_accuracy_top5_and_loss(given):
    scores, targets, classes = given
    found = measured(scores, targets, names(classes))
    numbers = list(range(classes))
    assert found["count"] == len(targets)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(targets, scores.argmax(1)))
    probabilities = scores.double().softmax(1).numpy()
    loss = sk.log_loss(targets, probabilities, labels=numbers)
    assert found["loss"] == pytest.approx(loss, rel=1e-5)
    if classes > 5:
        top5 = sk.top_k_accuracy_score(targets, scores.numpy(), k=5, labels=numbers)
        assert found["top5"] == pytest.approx(top5)
    else:
        assert "top5" not in found


def test_the_table(given):
    scores, targets, classes = given
    found = measured(scores, targets, names(classes))
    precision, recall, f1, counts = sk.precision_recall_fscore_support(
        targets, scores.argmax(1), labels=range(classes), zero_division=0.0
    )
    present = [i for i in range(classes) if counts[i]]
    assert list(found["table"]) == list(found["per_class"]) == [f"c{i}" for i in present]
    for i in present:
        row = found["table"][f"c{i}"]
        assert list(row.values()) == pytest.approx([counts[i], recall[i], precision[i], f1[i]])
        assert found["per_class"][f"c{i}"] == row["accuracy"]


def test_confusion(given):
    scores, targets, classes = given
    twin = sk.confusion_matrix(targets, scores.argmax(1), labels=range(classes))
    assert confusion(scores, targets, classes).tolist() == twin.tolist()


def plain_ece(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """As the paper writes it: bin m holds confidences in ((m-1)/15, m/15]."""
    confidence, said = probabilities.max(1), probabilities.argmax(1)
    total = 0.0
    for m in range(1, 16):
        inside = ((m - 1) / 15 < confidence) & (confidence <= m / 15)
        if inside.any():
            gap = (said == targets)[inside].mean() - confidence[inside].mean()
            total += inside.sum() / len(targets) * abs(gap)
    return total


def test_calibration(given):
    scores, targets, classes = given
    probabilities = scores.double().softmax(1)
    twin = plain_ece(probabilities.numpy(), targets.numpy())
    assert calibration_error(probabilities, targets) == pytest.approx(twin, abs=1e-12)
    found = measured(scores, targets, names(classes))
    assert found["ece"] == pytest.approx(twin, abs=1e-5)


def test_calibration_of_what_is_sure_and_right_half_of_the_time():
    scores = torch.tensor([[50.0, 0.0]] * 10)
    assert measured(scores, torch.arange(10) % 2, ["a", "b"])["ece"] == pytest.approx(0.5)


def test_one_class():
    found = measured(torch.randn(5, 1), torch.zeros(5, dtype=torch.int64), ["only"])
    assert (found["accuracy"], found["loss"], found["ece"]) == (1.0, 0.0, 0.0)
    assert found["table"] == {"only": {"count": 5, "accuracy": 1.0, "precision": 1.0, "f1": 1.0}}


def test_among_equal_scores_the_first_class_counts():
    found = measured(torch.zeros(8, 8), torch.arange(8), names(8))
    assert (found["accuracy"], found["top5"]) == (1 / 8, 5 / 8)
    assert found["per_class"] == {f"c{i}": float(i == 0) for i in range(8)}


def test_a_score_that_is_no_number_is_never_right():
    for place in (0, 3):
        scores = torch.zeros(1, 8)
        scores[0, place] = float("nan")
        found = measured(scores, torch.tensor([place]), names(8))
        assert (found["accuracy"], found["top5"]) == (0.0, 0.0)


def test_two_classes_of_one_name_stay_apart():
    found = measured(torch.eye(3), torch.arange(3), ["crane", "dog", "crane"])
    assert list(found["per_class"]) == ["crane (0)", "dog", "crane (2)"]


def test_what_does_not_fit_is_an_error():
    with pytest.raises(zoo.DataError, match=r"no pictures"):
        measured(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), names(3))
    with pytest.raises(zoo.DataError, match=r"do not fit together: .*, 4 class names"):
        measured(torch.zeros(2, 3), torch.tensor([0, 1]), names(4))
    for number in (-1, 3):
        with pytest.raises(zoo.DataError, match=r"not in 0 to 2"):
            measured(torch.zeros(1, 3), torch.tensor([number]), names(3))


# --- multi-label ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_several_classes_for_a_picture(seed):
    generator = torch.Generator().manual_seed(seed)
    targets = (torch.rand(50, 6, generator=generator) < 0.3).float()
    targets[:, 4] = 0.0  # a class that is nowhere
    scores = torch.randn(50, 6, generator=generator).mul(4).round() / 2 + targets  # with ties
    found = measured(scores, targets, names(6))
    y, p = targets.numpy(), scores.double().sigmoid().numpy()
    assert "ece" not in found and "top5" not in found
    assert found["accuracy"] == pytest.approx(((p > 0.5) == (y > 0.5)).mean())
    losses = [sk.log_loss(y[:, i], p[:, i], labels=[0, 1]) for i in range(6)]
    assert found["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    present = [0, 1, 2, 3, 5]
    each = [sk.average_precision_score(y[:, i], scores[:, i].numpy()) for i in present]
    assert found["map"] == pytest.approx(np.mean(each))
    twin = sk.precision_recall_fscore_support(y, p > 0.5, zero_division=0.0)
    for i in present:
        row = list(found["table"][f"c{i}"].values())
        assert row == pytest.approx([twin[3][i], twin[1][i], twin[0][i], twin[2][i]])
    assert "c4" not in found["table"]


def test_average_precision_of_equal_scores_is_the_share():
    relevant = torch.tensor([1, 0, 0, 1, 0])
    assert average_precision(torch.zeros(5), relevant) == pytest.approx(0.4)
    assert average_precision(torch.arange(5.0), relevant) == pytest.approx(
        sk.average_precision_score(relevant, torch.arange(5.0))
    )


def test_no_class_anywhere_has_no_average_precision():
    found = measured(torch.randn(4, 3), torch.zeros(4, 3), names(3))
    assert "map" not in found and found["table"] == {}


# --- evaluate() ----------------------------------------------------------------------------------


def test_evaluate_is_measured_on_the_scores_of_a_plain_loop():
    model = zoo.create("lenet5", pretrained=True)
    digits = open_data("digits#test").subset(range(100))
    found = zoo.evaluate(model, digits, progress=False, batch_size=33)
    transform = model.transform()
    with torch.no_grad():
        scores = model.eval()(torch.stack([transform(digits.read(i)) for i in range(100)]))
    twin = measured(scores, torch.tensor(digits.targets), [str(i) for i in range(10)])
    assert found["table"] == twin["table"]
    for figure in ("accuracy", "top5", "loss", "ece"):
        assert found[figure] == pytest.approx(twin[figure], rel=1e-4)


def test_evaluate_with_several_classes_for_a_picture():
    torch.manual_seed(0)
    x, y = torch.randn(12, 1, 32, 32), (torch.rand(12, 4) < 0.5).float()
    y[0] = 1.0
    model = zoo.create("lenet5", num_classes=6)  # two more than the data has
    found = zoo.evaluate(model, TensorDataset(x, y), progress=False)
    with torch.no_grad():
        scores = model.eval()(x)
    wide = torch.cat([y, torch.zeros(12, 2)], 1)
    twin = measured(scores, wide, [str(i) for i in range(6)])
    assert found["map"] == pytest.approx(twin["map"]) and found["table"] == twin["table"]
    with pytest.raises(zoo.DataError, match=r"has class number 3; the model has 3 classes"):
        zoo.evaluate(zoo.create("lenet5", num_classes=3), TensorDataset(x, y), progress=False)


# --- zoo evaluate --------------------------------------------------------------------------------


def test_the_command(tmp_path: Path):
    table = tmp_path / "table.csv"
    done = run("evaluate", "lenet5", "--data", "digits#test", "--csv", str(table))
    assert done.returncode == 0, done.stderr
    header, *lines, last = done.stdout.splitlines()
    assert header.split() == ["count", "accuracy", "precision", "f1", "class"]
    assert [line.split()[-1] for line in lines] == list("0123456789")
    assert last.startswith("91.") and "of 797 right, log-loss 0." in last
    assert "top-5 " in last and "ECE " in last
    assert "pictures/s" in done.stderr
    rows = list(csv.DictReader(table.read_text().splitlines()))
    found = zoo.evaluate("lenet5", "digits#test", progress=False)
    assert {row["class"]: float(row["f1"]) for row in rows} == {
        name: row["f1"] for name, row in found["table"].items()
    }
    assert int(rows[3]["count"]) == found["table"]["3"]["count"]


def test_the_command_in_json():
    done = run("evaluate", "lenet5", "--data", "digits#test", "--json")
    found = json.loads(done.stdout)
    assert {"accuracy", "top5", "loss", "ece", "count", "per_class", "table"} == set(found)


def test_the_command_leaves_out_what_cannot_be_read(tmp_path: Path):
    folder = colours(tmp_path / "data", {"0": (0, 0, 0), "1": (90, 9, 9)}, count=4)
    (folder / "1" / "2.png").write_bytes(b"text")
    done = run("evaluate", "lenet5", "--data", f"folder:{folder}")
    assert done.returncode == 1 and "1/2.png is no picture" in done.stderr
    done = run("evaluate", "lenet5", "--data", f"folder:{folder}", "--skip-unreadable", "--json")
    assert json.loads(done.stdout)["count"] == 7
    assert "Skipped 1 of 8 pictures" in done.stderr


def test_a_table_that_cannot_be_written_is_said_before_the_work(tmp_path: Path):
    for place in (tmp_path, tmp_path / "none" / "table.csv"):
        done = run("evaluate", "lenet5", "--data", "digits#test", "--csv", str(place))
        assert done.returncode == 2 and "'--csv'" in done.stderr and "pictures/s" not in done.stderr

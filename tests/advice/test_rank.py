"""rank(): which model comes first, what is never fetched, and where little is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

import zoo_core as zoo
from zoo_core.advice.budget import seconds_of
from zoo_core.advice.probe import probe
from zoo_core.advice.rank import _ranked
from zoo_core.cli import main
from zoo_core.data.opening import open_data
from zoo_core.training.solving.solve import solve
from zoo_core.weights.here import names_here

BOTH = ["lenet5.fashion_mnist", "lenet5"]


@pytest.fixture(scope="module")
def digits() -> zoo.Pictures:
    return open_data("digits#test").subset(range(120))


@pytest.fixture(scope="module")
def ranking(digits: zoo.Pictures) -> zoo.Ranking:
    return zoo.rank(digits, BOTH, progress=False)


def test_weights_for_digits_suit_digits(ranking: zoo.Ranking) -> None:
    assert [(row["model"], row["rank"]) for row in ranking.rows] == [(BOTH[1], 1), (BOTH[0], 2)]
    for row in ranking.rows:
        assert row["low"] < row["accuracy"] <= row["high"]
        assert row["ms"] > 0 and row["params"] == 61_706 and row["bytes"] == 4 * 61_706


def test_a_row_is_what_a_solved_head_says(ranking: zoo.Ranking, digits: zoo.Pictures) -> None:
    x = probe(zoo.create("lenet5", pretrained=True), digits, progress=False).features["head"]
    judged = solve(x, digits.target_tensor(), classes=10).left_out
    assert ranking.rows[0]["accuracy"] == judged.accuracy
    assert ranking.rows[0]["loss"] == judged.loss


def test_log_loss_ranks_and_not_who_is_right(digits: zoo.Pictures) -> None:
    losses = {"sure": torch.full((60,), 0.9), "close": torch.full((60,), 0.5)}
    right = {"sure": 0.8, "close": 0.7, "as close": 0.6}
    losses["as close"] = losses["close"] + torch.tensor([0.2, -0.1] * 30)
    row = {"low": 0.0, "high": 1.0, "knn": 0.5, "logme": 0.0, "params": 1, "bytes": 4}
    found = [
        ({"model": name, "accuracy": right[name], "loss": float(own.mean()), **row}, own)
        for name, own in losses.items()
    ]
    rows = _ranked(found, dict.fromkeys(losses, 1.0), digits, 0)
    assert [(one["model"], one["rank"]) for one in rows] == [
        ("close", 1),
        ("as close", 1),
        ("sure", 3),
    ]


def test_it_is_the_same_again(ranking: zoo.Ranking, digits: zoo.Pictures) -> None:
    again = zoo.rank(digits, BOTH, progress=False)
    measured = ("ms", "pareto")
    for row, other in zip(ranking.rows, again.rows, strict=True):
        assert {k: v for k, v in row.items() if k not in measured} == {
            k: v for k, v in other.items() if k not in measured
        }


def test_it_is_shown_as_text_and_as_a_page(ranking: zoo.Ranking, tmp_path: Path) -> None:
    assert "lenet5 comes first" in str(ranking) and "<table>" in ranking._repr_html_()
    html = ranking.save(tmp_path / "page.html").read_text()
    assert "lenet5.fashion_mnist" in html and "<script" not in html and "://" not in html


def test_a_sample_of_many_and_its_number(digits: zoo.Pictures) -> None:
    ranking = zoo.rank(digits, "lenet5", budget=0.004, progress=False)
    assert ranking.count < 120 and any("of 120" in line for line in ranking.sentences())


def test_only_what_is_here_and_nothing_is_fetched(digits: zoo.Pictures) -> None:
    assert {"lenet5", "lenet5.fashion_mnist"} <= set(names_here())
    assert "resnet50" not in names_here()
    with pytest.raises(zoo.NotCached, match="resnet18 are not on this machine") as caught:
        zoo.rank(digits, ["resnet18"], progress=False)
    assert "--fetch" in caught.value.hint


def test_no_model_here(monkeypatch: pytest.MonkeyPatch, digits: zoo.Pictures) -> None:
    monkeypatch.setattr("zoo_core.advice.rank.names_here", list)
    with pytest.raises(zoo.ZooError, match="no model are on this machine"):
        zoo.rank(digits, progress=False)
    with pytest.raises(zoo.ZooError, match="No model was named"):
        zoo.rank(digits, [], progress=False)


def test_bad_pictures(digits: zoo.Pictures, tmp_path: Path) -> None:
    ones = [i for i, target in enumerate(digits.targets) if target == 1]
    with pytest.raises(zoo.DataError, match="one class"):
        zoo.rank(digits.subset(ones), "lenet5", progress=False)
    with pytest.raises(zoo.DataError, match="too few"):
        zoo.rank(digits.subset([0]), "lenet5", progress=False)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "broken.png").write_bytes(b"\x89PNG no picture")
    with pytest.raises(zoo.DataError, match=r"broken\.png"):
        zoo.rank(f"folder:{tmp_path}", "lenet5", progress=False)


def test_three_pictures_and_equal_ones_say_little(digits: zoo.Pictures) -> None:
    few = zoo.rank(digits.subset(range(3)), BOTH, progress=False)
    assert {row["rank"] for row in few.rows} == {1}
    assert any("not enough to say" in line for line in few.sentences())
    assert any("one picture only" in line for line in few.sentences())
    grey = Image.new("L", (28, 28), 99)
    same = zoo.Pictures("same", lambda i: grey, [0, 1] * 10, ["a", "b"])
    rows = zoo.rank(same, BOTH, progress=False).rows
    assert {row["rank"] for row in rows} == {1} and all(row["low"] < 0.5 for row in rows)


def test_several_labels(digits: zoo.Pictures) -> None:
    odd = [(t,) if t % 2 else (t, 9) if t else () for t in digits.targets]
    several = zoo.Pictures("several", digits.read, odd, None, multilabel=True, num_classes=10)
    rows = zoo.rank(several, BOTH, progress=False).rows
    assert rows[0]["accuracy"] > 0.9


def test_models_of_one_name_are_told_apart(digits: zoo.Pictures) -> None:
    """By their weights and arguments, or else by number: none takes the place of another."""
    mnist, fashion = zoo.create("lenet5.mnist5k"), zoo.create("lenet5.fashion_mnist")
    changed = zoo.create("lenet5.mnist5k")
    changed.conv1.weight.data.zero_()
    few = digits.subset(range(60))
    found = zoo.rank(few, [mnist, fashion, changed, fashion], progress=False)
    rows = {row["model"]: row["accuracy"] for row in found.rows}
    assert set(rows) == {"lenet5", "lenet5.fashion_mnist", "lenet5 #2"}
    assert rows["lenet5 #2"] < rows["lenet5"]


def test_without_weights_there_is_nothing_to_rank(digits: zoo.Pictures) -> None:
    with torch.random.fork_rng(), pytest.raises(zoo.WeightsError, match="no weights"):
        zoo.rank(digits, [zoo.create("lenet5")], progress=False)


@pytest.mark.parametrize("text", ["soon", "", "-3", "0", "5 weeks", "nan", "9" * 400])
def test_a_budget_is_a_time(text: str) -> None:
    with pytest.raises(zoo.RecipeError, match="budget is a time"):
        seconds_of(text)


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    words = ["rank", "digits#test", "lenet5", "--budget", "2s", "--html", str(page)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert out.startswith("lenet5 comes first") and "Next: zoo advise lenet5 'digits#test'" in out
    assert page.exists()
    assert main([*words[:5], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["model"] == "lenet5"
    assert main(["rank", "digits", "lenet99"]) == 1
    assert "lenet5" in capsys.readouterr().err
    assert main(["rank", "digits", "--fetch"]) == 2

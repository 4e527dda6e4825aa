"""What a notebook shows of each value: escaped, bounded, and nothing is another afterwards."""

from __future__ import annotations

import pickle
import random
import re
import warnings
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.hostile import OBEYED
from torch import nn

import zoo_core as zoo
from zoo_core.data.opening import open_data
from zoo_core.data.streamed import Streamed
from zoo_core.inference.measured import Measured
from zoo_core.inference.predictions import Predictions

HOSTILES = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "a\u202egpj.\x1b[31m",
    "x" * 10_000,
]
VOID = {"img", "path", "circle"}


class Tags(HTMLParser):
    """The tags of some HTML, and whether each is closed where it ought to be."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.all: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.all.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "img":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.all.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def shown(value: Any, most: int = 200_000) -> str:
    """The HTML of a value, which is sound, bounded and has no script; its repr is a line."""
    line = repr(value)
    assert len(line) < 400 and "\n" not in line and not OBEYED.search(line), ascii(line)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        html = value._repr_html_()
    assert isinstance(html, str) and len(html) < most
    found = Tags(html)
    assert "script" not in found.all and not any(name.startswith("on") for name in found.attributes)
    assert not OBEYED.search(html.replace("\n", "")), ascii(html[:2000])
    return html


# --- models --------------------------------------------------------------------------------------


def test_a_model_is_a_table_of_stages() -> None:
    model = zoo.create("lenet5", pretrained=True, num_classes=3, labels=["a", "b", "c"])
    html = shown(model.freeze_until("fc2"))
    assert all(f">{stage}</td>" in html for stage in model.chain)
    assert html.count("frozen</span>") == 3 and html.count("trains</span>") == 2
    assert "61,111 parameters, of which 10,419 train (17.0%); frozen until fc2." in html
    assert "mnist5k (apache-2.0); the head is new" in html and "3 classes (a, b, c)" in html
    assert repr(model) == "<LeNet5 lenet5: 61,111 parameters, of which 10,419 train (17.0%)>"


def test_print_still_shows_the_modules() -> None:
    model = zoo.create("lenet5")
    assert str(model).count("\n") > 10 and "Conv2d(1, 6" in f"{model}"


def test_looking_at_a_model_changes_nothing() -> None:
    model = zoo.create("resnet18", num_classes=4).freeze_until("layer4").train()
    modes = [module.training for module in model.modules()]
    flags = {name: p.requires_grad for name, p in model.named_parameters()}
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.random.fork_rng():
        state = torch.get_rng_state()
        assert "zoo knows of no training" in shown(model)
        assert torch.equal(state, torch.get_rng_state())
    assert modes == [module.training for module in model.modules()]
    assert flags == {name: p.requires_grad for name, p in model.named_parameters()}
    assert all(torch.equal(weights[name], t) for name, t in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("label", HOSTILES)
def test_labels_of_a_model_are_text(label: str) -> None:
    assert "<img src=x" not in shown(zoo.create("lenet5", num_classes=2, labels=[label, "b"]))


def test_models_of_all_kinds() -> None:
    assert "No classes: features come out" in shown(zoo.create("lenet5", num_classes=0))
    assert "pool" in shown(zoo.create("resnet18", keep_until="layer3"))
    norms = zoo.create("resnet18").freeze_until("layer4", train_norm=True)
    assert re.search(r"\d+ train</span>", shown(norms))
    on_meta = zoo.create("lenet5").to("meta")
    assert "lenet5" in shown(on_meta)


def test_a_module_of_somebody_else_after_freeze_until() -> None:
    own = nn.Sequential(*[nn.Linear(4, 4) for _ in range(99)])
    text = repr(own)
    model = zoo.freeze_until(own, "98", example=torch.zeros(1, 4))
    html = model._repr_html_()
    Tags(html)
    assert "<b>Sequential</b>" in html and "… and 39 more" in html and "Linear 4→4" in html
    assert repr(model) == text  # as its maker has it


def test_a_module_keeps_its_own_way_to_be_shown() -> None:
    class Own(nn.Sequential):
        def _repr_html_(self) -> str:
            return "own"

    zoo.freeze_until(Own(nn.Linear(2, 2), nn.Linear(2, 2)), "1", example=torch.zeros(1, 2))


# --- runs ----------------------------------------------------------------------------------------


def history(epochs: int) -> list[dict[str, Any]]:
    return [
        {"epoch": n, "loss": 1 / n, "val_loss": 2 / n, "val_accuracy": 1 - 1 / n, "seconds": 1.0}
        for n in range(1, epochs + 1)
    ]


def a_run(epochs: int = 3, path: Path | None = None, name: str = "lenet5") -> zoo.Run:
    rows = history(epochs)
    recipe = {"model": {"reference": name}, "data": {"spec": "digits"}}
    return zoo.Run(zoo.create("lenet5"), recipe, rows, rows[-1] if rows else {}, path)


def test_a_run_has_curves_and_where_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("runs", "a b#1")
    folder.mkdir(parents=True)
    html = shown(a_run(path=folder))
    assert "66.7% on validation, log-loss 0.6667, best epoch 3 of 3, 3.0 s." in html
    assert html.count("<figure>") == 2 and "<a " not in html and "Kept in runs/a b#1." in html
    (folder / "report.html").touch()
    assert 'href="runs/a%20b%231/report.html"' in shown(a_run(path=folder))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    address = (tmp_path / folder / "report.html").as_uri()
    assert f'href="{address}"' in shown(a_run(path=tmp_path / folder))


def test_a_run_tells_what_is_so(tmp_path: Path) -> None:
    run = a_run(path=tmp_path / "gone")
    run.recipe["cost"] = {"seconds": 75.0}
    assert "1 min 15 s." in shown(run) and "Kept in" not in shown(run)
    assert "gone is gone." in shown(run)
    run.history.clear()
    assert "best epoch 3, 1 min" in shown(run)
    assert repr(zoo.Run(run.model, {})) == "Run(a model, epoch 0, None)"


def test_runs_of_all_kinds() -> None:
    assert "<figure>" not in shown(a_run(1)) and "In memory only" in shown(a_run(0))
    assert shown(a_run(20_000)).count('class="spot"') < 330
    strange = a_run(4)
    strange.history[1] |= {"loss": float("nan"), "val_loss": float("inf")}
    assert "<figure>" in shown(strange)
    for name in HOSTILES:
        shown(a_run(name=name, path=Path(name[:200])))


# --- pictures ------------------------------------------------------------------------------------


def noise(index: int, side: int = 500) -> Image.Image:
    pixels = np.random.default_rng(index).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_a_contact_sheet_reads_a_few_pictures_only() -> None:
    read: list[int] = []

    def one(index: int) -> Image.Image:
        read.append(index)
        return Image.new("L", (8, 8), index % 256)

    pictures = zoo.Pictures("many", one, [i % 30 for i in range(3000)], None)
    html = shown(pictures)
    assert len(read) == html.count("<img") == 40 and max(read) > 2000
    assert "3,000 pictures of 30 classes." in html
    assert "Further classes: 10 100, " in html and "29 100." in html
    assert repr(pictures) == "<Pictures many: 3,000 pictures of 30 classes>"


def test_a_sheet_of_noise_is_bounded() -> None:
    many = zoo.Pictures("noise", noise, [i % 10 for i in range(100)], None)
    html = shown(many)
    assert html.count("<img") == 40 and len(html) < 120_000


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        noise(1, 40).save(tmp_path / label / "a.png")
    (tmp_path / "dog" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    html = shown(open_data(f"folder:{tmp_path}", progress=False))
    assert html.count("<img") == 2 and "Not readable: Item 2: " in html and "broken.png" in html

    skipped = open_data(f"folder:{tmp_path}", unreadable="skip", progress=False)
    html = shown(skipped)
    assert "2 pictures of 2 classes, 1 left out." in html and "Left out: " in html

    def never(index: int) -> Any:
        raise MemoryError

    html = shown(zoo.Pictures("none", never, range(10), None))
    assert "Not readable: Item 0: MemoryError" in html and "… and 5 more." in html


@pytest.mark.parametrize("name", HOSTILES)
def test_names_of_pictures_are_text(name: str) -> None:
    def read(index: int) -> Any:
        raise ValueError(name)

    data = zoo.Pictures(name, read, [0, 1, 2], [name, f"{name}2", f"3{name}"], notes=[name])
    assert "<img" not in shown(data)


def test_pictures_of_all_kinds() -> None:
    floats = [torch.rand(3, 300, 200), torch.full((1, 9, 9), float("nan")), torch.rand(12, 8, 8)]
    assert shown(zoo.Pictures("floats", floats.__getitem__, [0, 1, 2], None)).count("<img") == 3
    several = zoo.Pictures("several", noise, [(0, 1), (), (1,)], ["a", "b"], multilabel=True)
    assert "several for a picture" in shown(several)
    assert "0 pictures of 0 classes." in shown(zoo.Pictures("empty", noise, [], None))
    empty = shown(zoo.Pictures("empty", noise, [], ["cat", "dog"]))
    assert "Classes: cat, dog." in empty and "Further" not in empty
    assert "deep" in shown(zoo.Pictures("deep", lambda i: Image.new("I;16", (9, 9)), [0], None))


def test_pictures_that_are_slow_or_streamed_are_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("zoo_core.data.contact_sheet.SECONDS", 0.0)
    html = shown(zoo.Pictures("far away", noise, [0, 1], None))
    assert "<img" not in html and "Some are not shown: to read them takes long." in html
    streamed = Streamed("stream", range(5), noise, ["<b>", "c"])  # type: ignore[arg-type]
    assert "5 pictures, read as a stream" in shown(streamed) and "&lt;b&gt;, c." in shown(streamed)


def test_a_random_dataset_goes_on_as_if_nobody_had_looked() -> None:
    own = np.random.default_rng(1)

    def read(index: int) -> Image.Image:
        warnings.warn("a word", stacklevel=1)
        own.random()
        torch.rand(1)
        np.random.rand()
        return Image.new("L", (8, 8), random.randrange(256))

    data = zoo.Pictures("random", read, [0, 1], None, fixed=False)
    before = own.bit_generator.state, torch.get_rng_state(), np.random.get_state()[1].tolist()
    python = random.getstate()
    assert shown(data).count("<img") == 2
    after = own.bit_generator.state, torch.get_rng_state(), np.random.get_state()[1].tolist()
    assert before[0] == after[0] and torch.equal(before[1], after[1]) and before[2] == after[2]
    assert python == random.getstate()


# --- figures and predictions ---------------------------------------------------------------------


def test_figures_are_a_dict_that_is_shown() -> None:
    figures = zoo.evaluate("lenet5", "digits#test", progress=False)
    assert isinstance(figures, dict) and figures == dict(figures)
    html = shown(figures)
    assert html.count("<tr>") == 11 and f"{figures['accuracy']:.1%} right of 797" in html
    assert str(figures) == str(dict(figures)) and pickle.loads(pickle.dumps(figures)) == figures
    del figures["table"]  # type: ignore[misc]
    assert figures._repr_html_() is None  # type: ignore[attr-defined]
    assert repr(Measured(a=1)) == "{'a': 1}"


def test_of_many_classes_the_worst_are_shown() -> None:
    row = {"count": 1, "precision": 0.5, "f1": 0.5}
    table = {f"{n}{HOSTILES[n % 4]}": row | {"accuracy": 1 - n / 1000} for n in range(1000)}
    html = shown(Measured(accuracy=0.5, loss=1.0, count=1000, per_class={}, table=table))
    assert html.count("<tr>") == 21 and "The 20 of 1,000 classes" in html and ">999x" in html


def test_predictions_are_a_list_that_is_shown(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}'<b>.png" for n in range(15)]
    for path in paths:
        Image.new("L", (28, 28)).save(path)
    answers = zoo.predict("lenet5", paths, progress=False)
    assert isinstance(answers, list) and answers == list(answers) and len(answers) == 15
    html = shown(answers)
    assert html.count("<img") == 12 and "The first 12 of 15 predictions:" in html
    assert "<b>" not in html.replace("<b>The", "")
    paths[0].unlink()
    assert shown(answers).count("<img") == 11
    assert str(answers) == str(list(answers)) and pickle.loads(pickle.dumps(answers)) == answers
    few = answers[1:6]
    assert isinstance(few, Predictions) and shown(few).count("<img") == 5
    none = zoo.predict("lenet5", [], progress=False)
    assert repr(none) == "<0 predictions>" and "No predictions." in shown(none)
    [one] = zoo.predict("lenet5", iter([Image.new("L", (28, 28))]), progress=False)
    assert shown(Predictions([one])).count("<img") == 0
    assert "none" in shown(Predictions([{**one, "labels": []}]))


# --- answers -------------------------------------------------------------------------------------


def row(name: str) -> dict[str, Any]:
    return {
        "model": name, "arm": name, "rank": 1, "accuracy": 0.9, "low": 0.8, "high": 1, "loss": 0.1,
        "knn": 0.8, "logme": 0.1, "ms": 1.0, "params": 10, "bytes": 10, "pareto": True,
        "epochs": 1, "seconds": 1.0,
    }  # fmt: skip


def doubt(name: str) -> dict[str, Any]:
    return {
        "part": "", "index": 0, "picture": name, "issue": "label", "label": name, "likely": name,
        "margin": -1.0, "why": name,
    }  # fmt: skip


ANSWERS: dict[str, Callable[[str], Any]] = {
    "ranking": lambda name: zoo.Ranking([row(name)] * 3, name, 3, 3, [name]),
    "advice": lambda name: zoo.Advice(
        [row(name)], {}, name, name, [name], "near", [], [name], [name], name, 1, 1, 1.0
    ),
    "inspection": lambda name: zoo.Inspection([doubt(name)] * 30, name, name, 30, {name: 30}),
}


@pytest.mark.parametrize("name", HOSTILES)
@pytest.mark.parametrize("answer", ANSWERS)
def test_answers_are_text(answer: str, name: str) -> None:
    assert "<table>" in shown(ANSWERS[answer](name))


def test_an_answer_that_is_not_whole_shows_nothing() -> None:
    assert zoo.Ranking([], "digits", 0, 0)._repr_html_() is None

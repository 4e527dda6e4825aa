"""report.html: what is on the page of a real run, and that it holds up with odd ones."""

from __future__ import annotations

import math
import re
import time
from base64 import b64decode
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import binomtest
from support.reports import made, noise, rows, run_of
from torch import Tensor

import zoo_core as zoo
from zoo_core.data.opening import open_data
from zoo_core.data.pictures import Pictures
from zoo_core.inference.mistakes import most_confused, worst_mistakes
from zoo_core.model.run import Run
from zoo_core.model.summary import stage_rows
from zoo_core.pages.charts import Marks, chart
from zoo_core.pages.thumbnails import data_uri
from zoo_core.training.report.findings import Findings
from zoo_core.training.report.page import render, write_report
from zoo_core.training.report.tiles import wilson

VOID = {"br", "img", "meta", "circle", "path"}  # elements of the page that have no end tag
LOADING = {"src", "href", "xlink:href", "srcset", "data", "action", "poster"}


class Page(HTMLParser):
    """The elements and the text of a page. Fails where a tag is not closed in its place."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)


def pictures_of(html: str) -> list[Image.Image]:
    """The pictures of the worst mistakes, without those of the pairs."""
    part = html.partition("The worst mistakes")[2].partition("<h2>")[0]
    sources = re.findall(r'src="data:[^,]+,([^"]+)"', part)
    return [Image.open(BytesIO(b64decode(source))) for source in sources]


def page(run: Run, findings: Findings) -> Page:
    """The page, which loads nothing from anywhere and runs nothing."""
    html = render(run, findings)
    assert len(html) < 2_000_000
    found = Page(html)
    assert found.tags["script"] == found.tags["link"] == found.tags["iframe"] == 0
    loads = [value for _, name, value in found.attributes if name in LOADING]
    places = {f"#{value}" for _, name, value in found.attributes if name == "id"}
    assert all(value.startswith("data:image/") or value in places for value in loads)
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style and "@import" not in style
    return found


# --- a real run ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Findings]:
    """LeNet's later layers on digits, and what a report wants to know about it."""
    folder = tmp_path_factory.mktemp("runs") / "lenet5 digits"
    given = {"epochs": 3, "augment": False, "out": folder, "progress": False}
    run = zoo.finetune("lenet5", "digits#test", freeze_until="fc2", **given)
    pictures = open_data("digits#test")
    transform = run.model.transform()
    batch = torch.stack([transform(pictures.read(i)) for i in range(len(pictures))])
    with torch.inference_mode():
        scores = run.model.eval()(batch)
    findings = Findings(
        scores,
        torch.tensor(pictures.targets),
        pictures,
        pictures.classes or (),
        stage_rows(run.model),
        {"conv1": 0.0, "conv2": 0.0, "fc1": 0.0, "fc2": 0.0421},
        {
            "seconds": 75.0,
            "device": "cpu",
            "peak_memory": 432_000_000,
            "cache": {"boundary": "fc2", "bytes": 1_500_000},
            "trained_params": 11_014,
        },
    )
    return run, findings


def test_the_page_of_a_real_run(digits: tuple[Run, Findings], tmp_path: Path) -> None:
    run, findings = digits
    assert findings.scores is not None and findings.targets is not None
    right = int((findings.scores.argmax(1) == findings.targets).sum())
    text = page(run, findings).text
    assert text.startswith(f"lenet5 on digits#test lenet5 on digits#test {run.path}")
    low, high = wilson(right / 797, 797)
    assert f"{right / 797:.1%} {right:,} of 797; 95% interval {low:.1%} to {high:.1%}" in text
    assert (
        f"best epoch {run.best['epoch']} of 3; validation loss {run.best['val_loss']:.4f}" in text
    )
    assert "17.8% fc2 to head; 11,014 of 61,706 parameters" in text
    assert "fc1 120 48,120 frozen 0%" in text and "fc2 84 10,164 trained 4.21%" in text
    assert "head 10 850 trained new" in text
    assert "memory at most 432 MB" in text and "time 1 min 15 s" in text
    assert "boundary fc2, bytes 1.5 MB" in text
    assert f"zoo predict '{run.path}' PICTURE..." in text
    assert 'freeze_until = "fc2"' in text


def test_the_confusion_matrix_counts_every_picture(digits: tuple[Run, Findings]) -> None:
    run, findings = digits
    html = render(run, findings)
    matrix = html[html.index('<table class="matrix') : html.index("Wrong pictures, pair by pair")]
    counts = [int(cell) for cell in re.findall(r">(\d+)(?:</a>)?</td>", matrix)]
    assert sum(counts) == 797


def test_mistakes_are_shown_worst_first(digits: tuple[Run, Findings]) -> None:
    run, findings = digits
    scores, targets = findings.scores, findings.targets
    assert scores is not None and targets is not None and findings.pictures is not None
    losses = torch.nn.functional.cross_entropy(scores, targets, reduction="none")
    wrong = (scores.argmax(1) != targets).nonzero().flatten().tolist()
    expected = sorted(wrong, key=lambda i: -losses[i].item())[:12]
    shown = pictures_of(render(run, findings))
    assert len(shown) == len(expected) > 0
    for picture, index in zip(shown, expected, strict=True):  # small ones lose nothing
        assert picture.tobytes() == findings.pictures.read(index).tobytes()


def test_the_file_is_written_whole(digits: tuple[Run, Findings], tmp_path: Path) -> None:
    run, findings = digits
    path = tmp_path / "report.html"
    write_report(run, findings, path)
    assert path.read_text(encoding="utf-8") == render(run, findings)
    with pytest.raises(zoo.DataError):
        write_report(run, replace(findings, targets=torch.zeros(3).long()), path)
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    Page(path.read_text(encoding="utf-8"))


# --- odd runs ------------------------------------------------------------------------------------


def test_what_people_name_is_text_and_no_markup() -> None:
    evil = '"><script>alert(1)</script>'
    findings = made(60, 3, names=[evil, "b", "c"], stages=[_stage(evil)], cost={evil: evil})
    history = [
        {"epoch": e, "phase": e, "trains": evil, "loss": 1.0, f"penalty_{evil}": 1.0}
        for e in (1, 2)
    ]
    recipe = {"model": {"reference": evil}, "data": {"spec": evil}, "train": {"train": evil}}
    run = replace(run_of(history, **recipe), path=Path(evil))
    found = page(run, findings)  # which finds no script
    assert found.text.count("alert(1)") > 10


def _stage(name: str) -> dict[str, Any]:
    return {"stage": name, "output": [3], "params": 5, "trainable": 2, "frozen": False}


def test_without_validation() -> None:
    found = page(run_of([{"epoch": 1, "loss": 0.5, "seconds": 2.0}]), Findings())
    assert "There was no validation" in found.text
    assert "confus" not in found.text and "By class" not in found.text
    assert not found.tags["table"] and found.tags["figure"] == 1


def test_a_head_that_was_solved_without_an_epoch() -> None:
    row = {"epoch": 0, "phase": 1, "trains": "head", "loss": 0.4, "val_loss": 0.5}
    assert "best epoch 0 of 0" in page(run_of([row]), Findings()).text
    assert page(run_of([]), Findings()).tags["svg"] == 0


def test_several_classes_a_picture() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = (torch.rand(60, 4, generator=generator) > 0.5).float()
    scores = targets * 2 - 1
    scores[7, 0] *= -30  # the one mistake
    pictures = Pictures("tags", noise, targets[:, 0].long().tolist(), None)
    found = page(run_of(rows(2)), Findings(scores, targets, pictures, list("abcd")))
    assert "mean average precision" in found.text and "taken for what" not in found.text
    assert found.tags["img"] == 1 and "interval" not in found.text
    assert "confidence" not in found.text
    said = [name for name, yes in zip("abcd", targets[7] > 0, strict=True) if yes]
    assert all(f"{name} (" in found.text for name in said)


def test_a_thousand_classes_with_long_names() -> None:
    names = [f"a rather long name of a class, as ImageNet's are, {i}" for i in range(1000)]
    found = page(run_of(rows(200)), made(3000, 1000, names=names))
    assert "is called times" in found.text and "200 of" in found.text
    assert found.tags["tr"] < 300 and found.tags["a"] == 30


def test_thirty_classes_have_a_matrix_and_thirty_one_a_list() -> None:
    assert '<table class="matrix' in render(run_of(rows(1)), made(200, 30))
    assert '<table class="matrix' not in render(run_of(rows(1)), made(200, 31))


def test_pictures_that_cannot_be_read_are_passed_over() -> None:
    findings = made(200, 4)
    assert findings.pictures is not None
    wrong = worst_mistakes(findings.scores, findings.targets, 99)  # type: ignore[arg-type]

    def read(index: int) -> Image.Image:
        if index == wrong[0].index:
            raise OSError("gone")
        return noise(index)

    findings.pictures.read = read
    shown = pictures_of(render(run_of(rows(1)), findings))
    assert len(shown) == min(12, len(wrong) - 1)
    assert max(max(picture.size) for picture in shown) <= 160


def test_quick_and_small() -> None:
    findings, history = made(2000, 10), rows(50)
    render(run_of(rows(1)), made(10, 2))  # imports are paid for once
    start = time.perf_counter()
    html = render(run_of(history), findings)
    assert time.perf_counter() - start < 2
    assert html.count("<img") <= 12 + 120 and len(html) < 1_500_000


# --- its parts -----------------------------------------------------------------------------------


def drawn(values: list[float], **more: Any) -> str:
    found = chart("Loss", {"loss": values}, list(range(1, len(values) + 1)), **more)
    assert found is not None
    numbers = re.findall(r'(?:[ML]|c[xy]="| y=")(-?[\d.]+|nan|inf)', found.svg)
    assert all(-1 <= float(number) <= 500 for number in numbers)
    return found.svg


@pytest.mark.parametrize(
    "values",
    [[0.5], [0.3, 0.3, 0.3], [0.0, 0.0], [1e-9, 1e9], [1.0, math.nan, math.inf, 2.0], [-5.0, 5.0]],
    ids=str,
)
def test_charts_hold_up(values: list[float]) -> None:
    svg = drawn(values)
    assert svg.count('class="spot"') == sum(map(math.isfinite, values))
    assert "nan" not in svg.replace("nan<", "").lower()


def test_a_gap_where_there_is_no_value() -> None:
    path = re.search(r'class="curve c0" d="([^"]+)"', drawn([1.0, 2.0, math.nan, 3.0, 2.0]))
    assert path is not None and path[1].count("M") == 2


def test_a_curve_looks_the_same_where_another_is_missing() -> None:
    found = chart("Loss", {"one": [math.nan], "two": [1.0], "three": [2.0]}, [1])
    assert found is not None
    assert (found.names, found.styles) == (["two", "three"], ["c1", "c2"])
    assert re.findall(r'class="curve (c\d)"', found.svg) == found.styles


def test_no_chart_of_nothing() -> None:
    assert chart("Loss", {"loss": [math.nan]}, [1]) is None
    assert chart("Loss", {}, [1]) is None


def test_the_scale_is_logarithmic_where_values_differ_much() -> None:
    ys = [
        float(y) for y in re.findall(r'class="spot" cx="[^"]+" cy="([^"]+)"', drawn([1, 10, 100]))
    ]
    assert ys[0] - ys[1] == pytest.approx(ys[1] - ys[2], abs=0.2)
    ys = [float(y) for y in re.findall(r'class="spot" cx="[^"]+" cy="([^"]+)"', drawn([1, 2, 3]))]
    assert ys[0] - ys[1] == pytest.approx(ys[1] - ys[2], abs=0.2)


def test_the_best_epoch_and_the_steps_are_marked() -> None:
    steps = {0.5: "head", 2.5: "layer4:", 2.6: "layer3:", 2.7: "layer2:"}
    svg = drawn([3.0, 2.0, 1.0, 2.0], marks=Marks(3, steps))
    assert svg.count('class="best"') == 1 and svg.count('path class="step"') == 4
    spot = re.search(r'class="dot c0" cx="([\d.]+)"', svg)
    assert spot is not None and f'class="best" d="M{spot[1]} ' in svg
    named = re.findall(r'class="step" x="[^>]+>([^<]+)</text>', svg)
    assert named == ["head", "layer4:", "layer3:"]  # for the last there is no room


def test_the_page_marks_what_unfroze_when() -> None:
    history = rows(4)
    for row in history:
        row |= {"phase": 1 + row["epoch"] // 3, "trains": ["head", "fc2:"][row["epoch"] // 3]}
    found = page(run_of(history), Findings())
    assert "head in epochs 1 to 2, fc2: in epochs 3 to 4." in found.text
    assert page(run_of(rows(4)), Findings()).text.count("What trained") == 0


def test_the_worst_and_the_most_confused_by_hand() -> None:
    scores = torch.tensor([[5.0, 0, 0], [0, 1, 0], [0, 3, 0], [0, 0, 2.5], [0, 2, 0]])
    targets = torch.tensor([0, 0, 0, 1, 2])
    worst = worst_mistakes(scores, targets, 2)
    assert [mistake.index for mistake in worst] == [2, 3]
    share = scores[2].softmax(0)
    assert worst[0].true == [(0, pytest.approx(share[0].item()))]
    assert worst[0].said == [(1, pytest.approx(share[1].item()))]
    pairs = [(p.true, p.said, p.count, p.total) for p in most_confused(scores, targets, 2)]
    assert pairs == [(0, 1, 2, 3), (1, 2, 1, 1)]


@pytest.mark.parametrize(("right", "count"), [(20, 20), (0, 20), (5, 10), (357, 359)])
def test_wilson_as_scipy_has_it(right: int, count: int) -> None:
    expected = binomtest(right, count).proportion_ci(0.95, method="wilson")
    assert wilson(right / count, count) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(
    "item",
    [
        Image.new("1", (20, 20)),
        Image.new("P", (20, 20)),
        Image.new("RGBA", (900, 30)),
        Image.new("CMYK", (300, 300)),
        Image.new("I;16", (28, 28)),
        Image.new("F", (28, 28)),
        torch.zeros(1, 8, 8),
        torch.rand(8, 8),
        torch.rand(3, 300, 200) * 7 - 3,
        torch.rand(2, 8, 8),
        torch.rand(9, 8, 8).half(),
        torch.full((3, 8, 8), math.nan),
    ],
    ids=lambda item: getattr(item, "mode", None) or str(tuple(item.shape)),
)
def test_any_picture_becomes_a_small_one(item: Image.Image | Tensor) -> None:
    head, _, body = data_uri(item).partition(",")
    picture = Image.open(BytesIO(b64decode(body)))
    picture.load()
    assert head == f"data:image/{str(picture.format).lower()};base64"
    assert max(picture.size) <= 160 and picture.mode in ("L", "RGB")


def test_a_tensor_is_stretched_from_black_to_white() -> None:
    body = data_uri(torch.tensor([[[-2.0, 0.0], [0.0, 2.0]]])).partition(",")[2]
    assert list(Image.open(BytesIO(b64decode(body))).tobytes()) == [0, 128, 128, 255]


def test_deep_grey_is_not_all_white() -> None:
    deep = Image.fromarray(np.array([[0, 1000], [30000, 65535]], np.uint16))
    body = data_uri(deep).partition(",")[2]
    assert list(Image.open(BytesIO(b64decode(body))).tobytes()) == [0, 4, 117, 255]

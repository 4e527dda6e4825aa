"""`zoo predict --html`: pictures with their answers, in a browser; and what is no page."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.browser import Looking
from support.in_process import run

import zoo_core as zoo
from zoo_core.training.report.findings import Findings
from zoo_core.training.report.page import render

EVIL = "<script>document.title = 'evil'<"  # a file's name has no slash


def shade(number: int) -> Image.Image:
    pixels = np.random.default_rng(number).integers(0, 256, (6, 8), dtype=np.uint8)
    return Image.fromarray(pixels).resize((320, 240))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three pictures, one of them with a name that is markup, and two files that are none."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, name in enumerate(("a", EVIL, "שלום")):
        shade(number).save(folder / f"{name}.png")
    (folder / "broken <b>.png").write_bytes(b"no picture")
    (folder / "empty.jpg").touch()
    return folder


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_picture_has_its_answer(
    pictures: Path, tmp_path: Path, look: Looking, findings: Any, scheme: str
) -> None:
    out = tmp_path / "page.html"
    done = run("predict", "lenet5", str(pictures), "--skip-unreadable", "--html", str(out))
    assert done.returncode == 0 and f"The page is in {out}." in done.stderr
    told = zoo.predict("lenet5", str(pictures), unreadable="skip", progress=False)
    page = look(out, color_scheme=scheme)
    assert findings(page) == []
    assert page.title() == "What lenet5 sees" and page.locator("script").count() == 0
    cards = page.locator(".pictures figure").all_inner_texts()
    assert len(cards) == 3
    for card, one in zip(cards, told, strict=True):
        assert card.startswith(f"{one['label']} ({one['probability']:.1%})")
        assert card.endswith(one["picture"])
    assert page.evaluate("[...document.images].every(one => one.naturalWidth == 128)")
    text = page.inner_text("main")
    assert "2 more could not be read" in text
    assert "broken <b>.png is no picture" in text and "empty.jpg is empty" in text
    sizes = page.locator("table").first.locator("td:nth-child(2)").all_inner_texts()
    assert sum(map(int, sizes)) == 3


def test_a_phone_shows_all_of_it(pictures: Path, tmp_path: Path, look: Looking) -> None:
    out = tmp_path / "page.html"
    run("predict", "lenet5", str(pictures), "--skip-unreadable", "--html", str(out))
    page = look(out, viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_of_thousands_of_pictures_some_are_shown(tmp_path: Path, look: Looking) -> None:
    np.save(tmp_path / "many.npy", np.random.default_rng(0).integers(0, 256, (2500, 28, 28, 1)))
    array = np.load(tmp_path / "many.npy").astype(np.uint8)
    np.save(tmp_path / "many.npy", array)
    out = tmp_path / "page.html"
    start = time.perf_counter()
    assert run("predict", "lenet5", str(tmp_path / "many.npy"), "--html", str(out)).returncode == 0
    assert out.stat().st_size < 1_000_000 and time.perf_counter() - start < 30
    page = look(out)
    text = page.inner_text("main")
    assert "2,500 pictures." in text and "The first 200 of 2,500 pictures are shown." in text
    assert page.locator(".pictures img").count() == 200


def test_several_classes_a_picture(tmp_path: Path, pictures: Path) -> None:
    from zoo_core.inference.predict import answers
    from zoo_core.inference.prediction_page import html

    model = zoo.create("lenet5", num_classes=3)
    model.labels, model.multilabel = ("cat", "dog", "bird"), True
    with torch.no_grad():
        model.get_parameter("fc3.bias" if hasattr(model, "fc3") else "head.bias").fill_(-9.0)
    text = html("net", answers(model, [shade(0), shade(1)], top=3, progress=False))
    assert "<b><bdi>none</bdi></b>" in text and "Classes above one half" in text


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["pictures"], 1, "is no picture that can be read"),
        (["nothing"], 1, "holds no pictures"),
        (["nowhere.png"], 1, "No picture at nowhere.png"),
        (["none.npy"], 2, "There are no pictures."),
    ],
)
def test_without_an_answer_there_is_no_page(
    pictures: Path, monkeypatch: Any, words: list[str], code: int, says: str
) -> None:
    monkeypatch.chdir(pictures.parent)
    Path("nothing").mkdir()
    np.save("none.npy", np.zeros((0, 28, 28, 1), np.uint8))
    done = run("predict", "lenet5", *words, "--html", "page.html")
    assert done.returncode == code and says in done.stderr
    assert "Traceback" not in done.stderr and not Path("page.html").exists()


def test_where_no_file_can_be_it_says_so_first(pictures: Path) -> None:
    for place in (str(pictures), str(pictures / "no" / "page.html"), "https://host/page.html"):
        done = run("predict", "lenet5", str(pictures / "a.png"), "--html", place)
        assert done.returncode == 2 and "--html" in done.stderr and not done.stdout
    assert sorted(path.suffix for path in pictures.iterdir()) == [".jpg"] + [".png"] * 4


def test_only_a_page_is_replaced(pictures: Path, tmp_path: Path) -> None:
    picture, recipe = pictures / "a.png", tmp_path / "recipe.toml"
    recipe.write_text("[model]")
    report = tmp_path / "report.html"
    report.write_text(render(zoo.Run(zoo.create("lenet5"), {}), Findings()))
    for place in (picture, recipe, report):
        before = place.read_bytes()
        done = run("predict", "lenet5", str(picture), "--html", str(place))
        assert (done.returncode, done.stdout, place.read_bytes()) == (2, "", before)
        assert "is there, and is no page of zoo." in done.stderr
    page = tmp_path / "page.html"
    for _ in range(2):
        assert run("predict", "lenet5", str(picture), "--html", str(page)).returncode == 0

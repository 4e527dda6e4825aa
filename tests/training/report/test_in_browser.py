"""report.html in a browser: what a person reads, clicks and tabs through, with any names."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.browser import Looking
from support.reports import made, noise, rows, run_of

import zoo_core as zoo
from zoo_core.data.pictures import Pictures
from zoo_core.training.report.findings import Findings
from zoo_core.training.report.page import render, write_report

PHONE = {"viewport": {"width": 390, "height": 844}}
ODD = [
    '"><script>document.title = "evil"</script>',
    "</style><img src=x onerror=alert(1)>",
    "long " * 2000,
    "שלום עולם",
    "\u202eright to left\u202c and \u200eleft",
    "一个很长的类别名称",
    "x" * 10_000,
    "{{ 7 * 7 }} {% raw %}",
    "two\nlines\tand a tab",
    "🦩 flamingo",
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a network that is often wrong, since it began at random."""
    out = tmp_path_factory.mktemp("runs") / "lenet5"
    given = {"epochs": 2, "augment": False, "out": out, "progress": False, "pretrained": False}
    zoo.finetune("lenet5", "digits", seed=1, **given)
    return out / "report.html"


def odd_page(folder: Path) -> Path:
    """A page on which everything that somebody names is as bad as it can be."""
    findings = made(400, len(ODD), names=ODD, cost={ODD[0]: ODD[1], "device": ODD[6]})
    stage = {"stage": ODD[0], "output": [3], "params": 5, "trainable": 2, "frozen": False}
    recipe = {
        "model": {"reference": ODD[0], "labels": ODD},
        "data": {"spec": ODD[6]},
        "train": {"train": ODD[4]},
    }
    run = run_of(rows(3, penalty_x=1.0, trains=ODD[1]), **recipe)
    write_report(run, replace(findings, stages=[stage]), folder / "report.html")
    return folder / "report.html"


def open_all(page: Any) -> None:
    for summary in page.query_selector_all("details:not([open]) > summary"):
        summary.click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["real", "odd", "many classes"])
def test_anybody_can_read_it(
    report: Path, tmp_path: Path, look: Looking, findings: Any, kind: str, scheme: str
) -> None:
    if kind == "odd":
        report = odd_page(tmp_path)
    elif kind == "many classes":
        report = tmp_path / "report.html"
        write_report(run_of(rows(3)), made(500, 60), report)
    page = look(report, color_scheme=scheme)
    open_all(page)
    assert findings(page) == []
    assert page.evaluate("[...document.images].every(one => one.naturalWidth)")


def test_a_cell_leads_to_its_pictures(report: Path, look: Looking) -> None:
    page = look(report)
    link = page.locator(".matrix a").first
    count = int(link.inner_text())
    place = link.get_attribute("href")
    section = page.locator(place.replace("#", "[id='") + "']")
    assert not section.is_visible()
    link.click()
    assert section.is_visible() and page.locator("details.pairs").get_attribute("open") is not None
    top = section.bounding_box()["y"]
    assert 0 <= top < page.viewport_size["height"]
    shown = section.locator("img").count()
    assert 1 <= shown <= min(count, 24) and f": {shown}" in section.locator("h3").inner_text()


def test_the_keyboard_goes_down_the_page(report: Path, look: Looking) -> None:
    """In the order in which things stand there, through every link and every part that opens."""
    page = look(report)
    script = """() => {
        const one = document.activeElement, box = one.getBoundingClientRect();
        return [one.tagName, box.top + scrollY, box.left]
    }"""
    stops = []
    for _ in range(200):
        page.keyboard.press("Tab")
        tag, top, left = page.evaluate(script)
        if tag == "BODY":
            break
        stops.append((tag, round(top), left))
    places = [(top, left) for _, top, left in stops]
    assert places == sorted(places)
    assert {tag for tag, *_ in stops} == {"A", "SUMMARY", "DIV"}


@pytest.mark.parametrize("kind", ["real", "odd"])
def test_a_phone_shows_all_of_it(report: Path, tmp_path: Path, look: Looking, kind: str) -> None:
    page = look(report if kind == "real" else odd_page(tmp_path), **PHONE)
    open_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("h1").is_visible() and page.title() != "evil"


def test_names_are_text(tmp_path: Path, look: Looking) -> None:
    path = odd_page(tmp_path)
    assert path.stat().st_size < 2_000_000
    page = look(path)
    assert page.locator("script, img[onerror]").count() == 0
    heads = page.locator(".matrix thead th").all_inner_texts()
    assert len(heads) == len(ODD)
    assert "一个很长的类别名称" in heads and "{{ 7 * 7 }} {% raw %}" in heads
    assert "\\u202eright to left" in heads[4] and max(map(len, heads)) <= 130


def test_paper_is_white_in_the_dark(report: Path, look: Looking) -> None:
    page = look(report, color_scheme="dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(colour) == "rgb(20, 24, 29)"
    page.emulate_media(media="print")
    assert page.evaluate(colour) == "rgb(255, 255, 255)"
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_paper_has_what_is_folded_and_the_matrix_whole(report: Path, look: Looking) -> None:
    page = look(report)
    folded = "document.querySelector('details:not([open]) > pre').checkVisibility()"
    assert not page.evaluate(folded)
    page.emulate_media(media="print")
    assert page.evaluate(folded)
    broken = "getComputedStyle(document.querySelector('.matrix')).breakInside"
    assert page.evaluate(broken) == "avoid"


def test_a_thousand_classes_are_small_and_open_at_once(
    tmp_path: Path, look: Looking, capsys: pytest.CaptureFixture[str]
) -> None:
    """10,000 pictures of 1,000 classes: below 5 MB, and there within two seconds."""
    names = [f"class {i} of a thousand, called as ImageNet does" for i in range(1000)]
    recipe = {"model": {"reference": "net", "labels": names}}
    path = tmp_path / "report.html"
    start = time.perf_counter()
    write_report(run_of(rows(300), **recipe), made(10_000, 1000, names=names), path)
    written = time.perf_counter() - start
    look(path).close()  # the first page of a context pays for the browser's own start
    start = time.perf_counter()
    page = look(path)
    opened = time.perf_counter() - start
    size = path.stat().st_size
    with capsys.disabled():
        print(f"\n{size / 1e6:.2f} MB, written in {written:.1f} s, opened in {opened:.2f} s")
    assert size < 5_000_000 and opened < 2
    assert page.locator("table").first.locator("tbody tr").count() == 30
    assert page.locator("table.matrix").count() == 0


# --- what is on it -------------------------------------------------------------------------------


def test_the_worst_mistakes_have_names_and_maps(report: Path, look: Looking) -> None:
    page = look(report)
    figures = page.locator(".pictures figure.pair")
    assert figures.count() == 12
    first = figures.first
    assert first.locator("img").count() == 2 and "digits " in first.inner_text()
    assert first.locator("img").nth(1).get_attribute("alt").startswith("where it looked for ")
    assert "Grad-CAM at what enters fc1" in page.inner_text("main")


def test_a_network_without_a_map_says_so(tmp_path: Path, look: Looking) -> None:
    """One line, and the report is there all the same."""
    model = zoo.create("lenet5", num_classes=4)
    chain = dict(model.chain)
    model.chain.clear()
    model.chain["all"] = chain["conv1"]
    write_report(run_of(rows(1)), made(60, 4, model=model), tmp_path / "report.html")
    page = look(tmp_path / "report.html")
    assert page.locator("figure.pair").count() == 0 and page.locator(".pictures figure").count()
    assert page.inner_text("main").count("Where it looked is not shown: ") == 1


def test_looking_leaves_the_model_as_it_was() -> None:
    model = zoo.create("lenet5", num_classes=4).freeze_until("fc2").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    grads = [parameter.requires_grad for parameter in model.parameters()]
    state = torch.get_rng_state()
    html = render(run_of(rows(1)), made(200, 4, model=model))
    assert html.count('class="pair"') == 12
    assert model.training and [p.requires_grad for p in model.parameters()] == grads
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_head_that_was_best_as_solved_is_marked(look: Looking, tmp_path: Path) -> None:
    run = run_of(rows(3))
    run.best = {"epoch": 0, "loss": 0.2, "val_loss": 0.1, "val_accuracy": 0.97}
    write_report(run, Findings(), tmp_path / "report.html")
    page = look(tmp_path / "report.html")
    text = page.inner_text("main")
    assert "The best epoch, 0, is marked: the head as it was solved" in text
    assert page.locator("path.best").count() == 2
    titles = page.locator("circle.spot title").all_text_contents()
    assert "validation, epoch 0: 0.1" in titles


def test_unequal_classes_have_figures_of_their_own() -> None:
    from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

    findings = made(300, 2)
    few = torch.arange(300) % 5 == 0
    targets = few.long()
    found = replace(findings, targets=targets, pictures=None)
    assert findings.scores is not None
    said, share = findings.scores.argmax(1), findings.scores.softmax(1)[:, 1]
    html = render(run_of(rows(1)), found)
    assert f"{balanced_accuracy_score(targets, said):.1%}" in html
    assert f"macro F1 {f1_score(targets, said, average='macro'):.3f}" in html
    assert f"AUROC {roc_auc_score(targets, share):.3f}" in html
    assert "balanced accuracy" not in render(run_of(rows(1)), made(3000, 3))


def test_the_calibration_error_is_named_and_every_picture_is_in_a_bin(
    report: Path, look: Looking
) -> None:
    page = look(report)
    open_all(page)
    assert "Expected calibration error" in page.inner_text("main")
    table = page.locator("table", has_text="mean confidence")
    counts = [
        int(text.replace(",", "")) for text in table.locator("td:nth-child(2)").all_inner_texts()
    ]
    assert sum(counts) == 359
    assert page.locator("rect.column").count() == len(counts)


def test_data_that_is_an_object_carries_its_own_name(tmp_path: Path) -> None:
    flowers = Pictures("flowers of 2026", noise, [0, 1] * 20, ["rose", "tulip"])
    given = {"epochs": 1, "progress": False, "out": tmp_path / "run", "val": flowers}
    run = zoo.finetune("lenet5", flowers, **given)
    assert run.recipe["data"]["spec"] == "a Pictures"
    assert "<title>lenet5 on flowers of 2026</title>" in (tmp_path / "run/report.html").read_text()


def test_the_time_includes_the_cache(tmp_path: Path) -> None:
    out = tmp_path / "run"
    given = {"epochs": 1, "cache": True, "out": out, "progress": False, "augment": False}
    run = zoo.finetune("lenet5", "digits#test", freeze_until="fc2", **given)
    cost = run.recipe["cost"]
    epochs = sum(row["seconds"] for row in run.history)
    assert cost["seconds_caching"] > 0
    assert cost["seconds_caching"] + 0.001 > cost["cache"]["building"]  # it is rounded
    assert cost["seconds"] == pytest.approx(epochs + cost["seconds_caching"], abs=0.002)
    assert "of it for caching" in (out / "report.html").read_text()

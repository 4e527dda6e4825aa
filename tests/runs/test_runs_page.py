"""`zoo runs --html`: several runs on one page, in a browser; and what is no page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from support.browser import Looking
from support.in_process import run

EVIL = "\"><script>document.title='evil'<"


def write(folder: Path, epochs: int, report: bool = True, **train: Any) -> Path:
    """A run folder as zoo writes it, without weights."""
    folder.mkdir(parents=True)
    rows = [
        {"epoch": e, "loss": 2 / e, "val_loss": 1 / e, "val_accuracy": 1 - 0.5 / e, "seconds": 2.0}
        for e in range(1, epochs + 1)
    ]
    recipe = {
        "schema": 1, "model": {"reference": "net"}, "data": {"spec": "digits"},
        "train": {"epochs": epochs, **train}, "result": rows[-1],
    }  # fmt: skip
    (folder / "recipe.toml").write_text(tomli_w.dumps(recipe))
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    if report:
        (folder / "report.html").write_text("<!doctype html><title>the report</title>")
    return folder


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three runs, one with a name that is markup; one that is broken and one that is not done."""
    monkeypatch.chdir(tmp_path)
    write(Path("runs/one"), 5, lr=0.1)
    write(Path(f"runs/{EVIL}"), 3, lr=0.2, freeze_until=EVIL)
    write(Path("runs/javascript:alert(1)"), 4, report=False, lr=0.1, sha="ab" * 32)
    Path("runs/broken").mkdir()
    Path("runs/broken/metrics.jsonl").write_text('{"epoch"')
    recipe = Path("runs/one/recipe.toml").read_text()
    half = write(Path("runs/half"), 2)
    (half / "recipe.toml").write_text(recipe[: recipe.index("[result]")])
    return Path("runs")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_runs_are_over_one_another(runs: Path, look: Looking, findings: Any, scheme: str) -> None:
    done = run("runs", "--html", "page.html")
    assert done.returncode == 0 and "The page is in page.html." in done.stderr
    page = look(Path("page.html"), color_scheme=scheme)
    assert findings(page) == [] and page.title() == "4 runs"
    charts = page.locator(".charts figure")
    assert charts.count() == 3
    for number in range(3):
        assert charts.nth(number).locator("svg[role=img] path.curve").count() == 4
        assert charts.nth(number).locator("circle.dot").count() == 4  # the epoch that counts
    first = charts.first.locator("circle.spot title").all_text_contents()
    assert "one, epoch 5: 0.2" in first and len(first) == 5 + 3 + 4 + 2
    text = page.inner_text("main")
    assert "recipe.toml cannot be read" in text and "not finished: 2 of 5 epochs" in text
    assert "train.lr" in text and "ab" * 32 not in text and "ab" * 6 in text


def test_a_run_leads_to_its_report(runs: Path, look: Looking) -> None:
    Path("pages").mkdir()
    run("runs", "--html", "pages/page.html")
    for name in ("one", EVIL):
        page = look(Path("pages/page.html"))
        page.get_by_role("link", name=name).click()
        assert page.title() == "the report"
    page = look(Path("pages/page.html"))
    assert page.locator("a").count() == 3  # that without a report has no link
    assert page.locator("script").count() == 0


def test_a_phone_shows_all_of_it(runs: Path, look: Looking) -> None:
    run("runs", "--html", "page.html")
    page = look(Path("page.html"), viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_of_many_runs_the_first_have_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: Looking
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(30):
        write(Path(f"runs/{number}"), 40 - number, lr=0.1)
    run("runs", "--sort", "val_loss", "--html", "page.html")
    page = look(Path("page.html"))
    assert page.locator(".charts figure").first.locator("svg[role=img] path.curve").count() == 8
    assert "The curves are those of the first 8 of 30 runs" in page.inner_text("main")
    assert page.locator("table").first.locator("tbody tr").count() == 30
    assert page.locator("table").first.locator("tbody th").first.inner_text() == "0"


def test_a_head_that_was_best_as_solved_has_its_dot(runs: Path, look: Looking) -> None:
    path = runs / "one" / "recipe.toml"
    text = path.read_text()
    result = tomli_w.dumps({"result": {"epoch": 0, "loss": 0.3, "val_loss": 0.1}})
    path.write_text(text[: text.index("[result]")] + result)
    run("runs", str(runs / "one"), "--html", "page.html")
    page = look(Path("page.html"))
    assert "one, epoch 0: 0.1" in page.locator("circle.spot title").all_text_contents()


def test_what_strangers_write_is_no_traceback(runs: Path, look: Looking) -> None:
    rows = [[], 3, {}, {"epoch": "x"}, {"epoch": 1e300}, {"epoch": 2, "val_loss": "low"}]
    (runs / "one" / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    done = run("runs", "--html", "page.html")
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert look(Path("page.html")).inner_text("h1")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["empty"], 1, "No runs in empty."),
        (["nowhere"], 1, "No folder nowhere."),
        (["runs", "--html", "no/page.html"], 2, "there is no folder no"),
        (["runs", "--html", "runs"], 2, "runs is a folder"),
    ],
)
def test_without_runs_there_is_no_page(runs: Path, words: list[str], code: int, says: str) -> None:
    Path("empty").mkdir()
    done = run("runs", *(["--html", "page.html"] if len(words) == 1 else []), *words)
    assert done.returncode == code and says in done.stderr and "Traceback" not in done.stderr
    assert not Path("page.html").exists() and not [*Path().glob(".page*")]

"""A notebook that a kernel runs: HTML in every cell that shows something, and nothing in red."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hub.server import HubServer
from support.browser import Looking
from support.notebook import executed, said, shown_as

import zoo_core as zoo

CELLS = {
    "model": 'import zoo_core as zoo\nmodel = zoo.create("lenet5", pretrained=True)\nmodel',
    "frozen": 'model.freeze_until("fc1")',
    "run": 'run = zoo.finetune(model, "digits", epochs=3, freeze_until="fc1", out="run")\nrun',
    "figures": "zoo.evaluate(run)",
    "pictures": "run.held_out",
    "predictions": "zoo.predict(run, [run.held_out.read(i) for i in range(3)])",
    "ranking": 'zoo.rank("digits#test", ["lenet5"], budget="20s")',
    "advice": 'zoo.advise("lenet5", "digits#test", budget="3s")',
    "inspection": 'zoo.inspect("digits#test", "lenet5")',
    "explanation": "zoo.explain(run, run.held_out.read(0))",
    "quiet": "zoo.evaluate(run, progress=False);",
    "warned": 'import warnings; warnings.warn("a word")',
    "captured": """%%capture caught
zoo.evaluate(run)
""",
    "caught": "caught.stderr, len(caught.outputs)",
}
VALUES = [
    *("model", "frozen", "run", "figures", "pictures", "predictions", "ranking", "advice"),
    *("inspection", "explanation"),
]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Each cell by its name, after it ran."""
    done = executed(list(CELLS.values()), tmp_path_factory.mktemp("notebook"))
    return dict(zip(CELLS, done.cells, strict=True))


@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_html_and_nothing_is_in_red(cells: dict[str, Any], name: str) -> None:
    last = cells[name].outputs[-1]
    assert last.output_type == "execute_result" and "text/html" in last["data"]
    assert said(cells[name], "stderr") == ""
    if name != "explanation":
        assert len(last["data"]["text/plain"]) < 300


def test_a_training_is_one_bar_and_a_line_an_epoch(cells: dict[str, Any]) -> None:
    bar, _ = shown_as(cells["run"], "text/html")
    assert re.search(r'<progress value="(\d+)" max="\1" aria-label="epoch 3/3"', bar)
    assert re.match(r"epoch 3/3 \d+/\d+ 00:00 loss ", shown_as(cells["run"], "text/plain")[0])
    lines = said(cells["run"], "stdout").splitlines()
    assert [line.split()[1] for line in lines if line.startswith("epoch")] == ["1/3", "2/3", "3/3"]
    assert 'href="run/report.html"' in cells["run"].outputs[-1]["data"]["text/html"]


def test_a_download_is_a_bar(tmp_path: Path) -> None:
    with HubServer(tokens={"hf_write": ("me", "write")}) as hub:
        model = zoo.create("lenet5", pretrained=True).save_pretrained(tmp_path / "published")
        hub.seed("me/digits", {path.name: path.read_bytes() for path in model.iterdir()})
        env = hub.environment(tmp_path / "hf") | {"ZOO_OFFLINE": "", "ZOO_CACHE": str(tmp_path)}
        code = f"import os; os.environ.update({env!r})\nimport zoo_core as zoo\n"
        [cell] = executed([f'{code}zoo.create("hf://me/digits");'], tmp_path).cells
    bars = shown_as(cell, "text/html")
    assert any("model.safetensors" in bar for bar in bars) and said(cell, "stderr") == ""
    assert all(re.search(r'<progress value="(\d+)" max="\1"', bar) for bar in bars)


def test_nothing_is_said_where_nothing_is_wanted(cells: dict[str, Any]) -> None:
    assert cells["quiet"].outputs == []


def test_what_is_no_progress_stays_in_red(cells: dict[str, Any]) -> None:
    assert "UserWarning: a word" in said(cells["warned"], "stderr")


def test_a_captured_cell_shows_nothing(cells: dict[str, Any]) -> None:
    assert cells["captured"].outputs == []
    [told] = shown_as(cells["caught"], "text/plain")
    assert "pictures/s" in told


@pytest.mark.parametrize(("paper", "ink"), [("#fff", "rgba(0, 0, 0, 0.87)"), ("#111", "#fff")])
def test_all_of_it_is_readable_in_a_light_and_a_dark_theme(
    cells: dict[str, Any], tmp_path: Path, look: Looking, findings: Any, paper: str, ink: str
) -> None:
    """As JupyterLab shows it: paper and ink are those of its theme, whatever the system prefers."""
    outputs = [html for cell in cells.values() for html in shown_as(cell, "text/html")]
    page = tmp_path / "page.html"
    page.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>outputs</title>'
        f'<body style="background: {paper}; color: {ink}"><main><h1>Outputs</h1>'
        f"{''.join(outputs)}</main>",
        encoding="utf-8",
    )
    opened = look(page, viewport={"width": 900, "height": 1200})
    assert opened.locator("progress").count() >= 5 and opened.locator("figure").count() == 2
    assert findings(opened) == []
    assert opened.evaluate("document.documentElement.scrollWidth") <= 900
    for strip in opened.locator("img").all():
        assert strip.evaluate("image => image.naturalWidth") > 0

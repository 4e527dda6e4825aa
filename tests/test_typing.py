"""What type checkers make of zoo: a user's script, its typos, and plugins from the templates."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import zoo_core as zoo
from zoo_core.plugins.scaffold import KINDS, new_plugin

pytestmark = pytest.mark.slow

ROOT = Path(zoo.__file__).parent.parent
STAR = """
from typing_extensions import assert_type
from zoo_core import *

model = create("lenet5", pretrained=True)
assert_type(model, ZooModel)
assert_type(finetune(model, "digits"), Run)
assert_type(regularizers(["l2=0.1"]), Stack)
assert_type(info("lenet5"), ModelInfo)
"""
TYPOS = """
import zoo_core as zoo
from zoo_core import creat
zoo.finetun("lenet5", "digits")
zoo.create("lenet5").freeze_untill("head")
"""
STAR_TYPOS = """
from zoo_core import *
finetun("lenet5", "digits")
handed_on("zoo_core", {})
"""

Check = Callable[[Path], list[tuple[str, int]]]


@pytest.fixture(scope="module", params=["mypy", "pyright"])
def check(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Check:
    """Checks all files of a folder, as a user does there; gives each error's file and line."""
    tool = request.param
    if importlib.util.find_spec(tool) is None:
        pytest.skip(f'{tool} is not installed: pip install "zoo-core[test]"')
    strict = ["--strict", f"--cache-dir={tmp_path_factory.mktemp('mypy')}"]
    words = strict if tool == "mypy" else ["--pythonpath", sys.executable]
    path = os.pathsep.join([str(ROOT), str(ROOT / "plugins"), os.environ.get("PYTHONPATH", "")])

    def errors(folder: Path) -> list[tuple[str, int]]:
        done = subprocess.run(
            [sys.executable, "-m", tool, *words, "."],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        found = re.findall(r"(\w+\.py):(\d+)\S* (?:- )?error", done.stdout)
        assert done.returncode == bool(found), done.stdout + done.stderr
        return [(name, int(line)) for name, line in found]

    return errors


def test_a_script_has_no_errors_and_its_typos_are_seen(check: Check, tmp_path: Path) -> None:
    script = Path(__file__).parent / "support" / "typed_script.py"
    (tmp_path / "script.py").write_text(script.read_text(encoding="utf-8"), encoding="utf-8")
    for name, text in {"star": STAR, "typos": TYPOS, "star_typos": STAR_TYPOS}.items():
        (tmp_path / f"{name}.py").write_text(text)
    expected = {("typos.py", 3), ("typos.py", 4), ("typos.py", 5)}
    assert {*check(tmp_path)} == expected | {("star_typos.py", 3), ("star_typos.py", 4)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_has_no_errors(check: Check, tmp_path: Path, kind: str) -> None:
    assert check(new_plugin("my-own", kind=kind, to=tmp_path).folder) == []

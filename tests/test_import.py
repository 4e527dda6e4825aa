"""Listing the zoo needs neither torch nor timm: both are blocked here, in a new process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BLOCKER = '''
import sys

HEAVY = {"torch", "torchvision", "timm", "numpy", "accelerate", "huggingface_hub"}

class Blocker:
    """Refuses the heavy packages, whoever asks for them."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HEAVY:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
'''


@pytest.fixture
def blocked(tmp_path: Path) -> Path:
    """A folder whose sitecustomize blocks the heavy packages in each process that searches it."""
    (tmp_path / "sitecustomize.py").write_text(BLOCKER)
    return tmp_path


def python(blocked: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(blocked), "ZOO_PLUGINS": ""}
    words = (sys.executable, *words)
    return subprocess.run(words, capture_output=True, text=True, env=env, cwd=blocked, check=False)


def test_the_blocker_blocks(blocked: Path) -> None:
    assert "torch is blocked" in python(blocked, "-c", "import torch").stderr


@pytest.mark.parametrize(
    "code",
    [
        "import zoo_core",
        "import zoo_core as zoo; assert 'resnet50' in zoo.list_models()",
        "import zoo_core as zoo; assert zoo.info('resnet50').params == 25_557_032",
        "from zoo_core import Architecture, ModelInfo, Stage, hookimpl",
        "from zoo_core import Fetched, RegularizerSpec, WeightSource",
        "from zoo_core.plugins.catalogue import catalogue; catalogue().regularizers()['l2-sp']",
        "from zoo_core.plugins.catalogue import catalogue; catalogue().sources()['pkg']",
    ],
)
def test_python(blocked: Path, code: str) -> None:
    done = python(blocked, "-c", code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--version"], "zoo "),
        (["--help"], "doctor"),
        (["list"], "resnet50 "),
        (["list", "--json"], '"resnet50"'),
        (["show", "resnet50"], "25,557,032"),
        (["show", "googlenet", "--json"], '"naive"'),
        (["plugins"], "zoo_resnet"),
        (["regularizers"], "l2-sp"),
    ],
)
def test_commands(blocked: Path, words: list[str], expected: str) -> None:
    done = python(blocked, "-m", "zoo_core", *words)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout


@pytest.mark.parametrize("words", [["list"], ["show", "resnet50"], ["plugins"]])
def test_nothing_slow_is_imported(blocked: Path, words: list[str]) -> None:
    """What a quick command has imported at its end."""
    code = f"""
import sys
from zoo_core.cli import main
assert main({words}) == 0
slow = {{"asyncio", "rich", "http", "unittest", "packaging"}}
print(*sorted(slow & set(sys.modules)), file=sys.stderr)
"""
    said = python(blocked, "-c", code).stderr.splitlines()
    assert [line for line in said if line.strip() and "more of timm" not in line] == []

"""Packages of third parties: a small one, how pip installs them, and a process that sees them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

NET = """
from pathlib import Path
from zoo_core import Architecture, Stage, hookimpl

@hookimpl
def zoo_architectures():
    return [Architecture("acmenet", build, stages, summary="one convolution")]

@hookimpl
def zoo_manifests():
    return [Path(__file__).with_suffix(".toml")]

def build(*, num_classes, in_chans, width=4):
    from torch import nn
    first, last = nn.Conv2d(in_chans, width, 3), nn.Linear(width * 36, num_classes)
    return nn.Sequential(first, nn.Flatten(), last)

def stages(model):
    return [Stage("stem", run=("0", "1")), Stage("head", run=("2",))]
"""

FACTS = """
schema = 1

[models.{name}]
architecture = "acmenet"
params = 1_602
num_classes = 10
input = {{ size = [3, 8, 8] }}
"""

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "1.2"
dependencies = ["{needs}"]

[project.entry-points.zoo_core]
{module} = "{module}"

[tool.hatch.build.targets.wheel]
only-include = ["{module}.py", "{module}.toml"]
"""


def write_project(folder: Path, name: str, code: str, facts: str, needs: str = "zoo-core") -> Path:
    """A project of one module and its manifest."""
    project, module = folder / name, name.replace("-", "_")
    project.mkdir(parents=True)
    (project / "pyproject.toml").write_text(PROJECT.format(name=name, module=module, needs=needs))
    (project / f"{module}.py").write_text(code)
    (project / f"{module}.toml").write_text(facts)
    return project


def install(projects: Iterable[Path], target: Path) -> None:
    """Build a wheel of each project, and have pip install all of them into one folder."""
    wheels = target.with_name(f"{target.name}-wheels")
    for project in projects:
        list(WheelBuilder(str(project)).build(directory=str(wheels), versions=["standard"]))
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", target]
    done = subprocess.run(
        [*pip, *sorted(wheels.iterdir())], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def python(path: Path, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A new process that sees what is installed in a folder, and works there."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ZOO_")}
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        env={**clean, "PYTHONPATH": str(path), **environment},
        cwd=path,
        check=False,
    )


def zoo(path: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return python(path, "-m", "zoo_core", *words, **environment)

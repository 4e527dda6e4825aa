"""Every example in a docstring of zoo_core and the built-in plugins gives the output it shows."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import zoo_core


def modules() -> list[str]:
    """zoo_core and every built-in plugin, with all modules inside them."""
    entries = entry_points(group="zoo_core")
    plugins = [entry.module for entry in entries if entry.dist and entry.dist.name == "zoo-core"]
    return [name for package in ("zoo_core", *sorted(plugins)) for name in inside(package)]


def inside(package: str) -> list[str]:
    folder = Path(zoo_core.__file__).parent if package == "zoo_core" else _folder(package)
    found = pkgutil.walk_packages([str(folder)], prefix=f"{package}.")
    names = [module.name for module in found if not module.name.endswith("__main__")]
    return [package, *sorted(names)]


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None, package
    return Path(spec.origin).parent


@pytest.mark.parametrize("name", modules())
def test_examples_hold(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert results.failed == 0


def test_the_package_docstring_has_examples() -> None:
    assert doctest.DocTestFinder().find(zoo_core)[0].examples

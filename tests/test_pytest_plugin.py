"""The plugin of pytest and `plugin_tests`: what `zoo plugins check` looks at, as tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import zoo_core as zoo
from zoo_core.plugins.catalogue import Catalogue, using_catalogue
from zoo_core.plugins.entry_points import load_plugins
from zoo_core.plugins.manager import Plugin

Run = tuple[int, str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """pytest in a folder of its own: its exit code, and all that it prints."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str, settings: str = "") -> Run:
        (tmp_path / "pytest.ini").write_text(f"[pytest]\n{settings}\n")
        code = pytest.main(["-p", "no:cacheprovider", "-p", "no:xdist", "-v", *words])
        return int(code), capsys.readouterr().out

    return run


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A plugin that is broken and says little, beside the built-in ones."""
    plugins = load_plugins(only=())
    hooks = SimpleNamespace(zoo_manifests=zoo.hookimpl(lambda: [Path("gone.toml")]))
    plugins.register(hooks, Plugin("zoo_acme", "zoo-core", "1.2"))
    monkeypatch.setattr("zoo_core.conformance.package._metadata", lambda distribution: {})
    with using_catalogue(Catalogue(plugins)):
        yield


def test_one_line_in_a_test_file(run, tmp_path: Path) -> None:
    (tmp_path / "test_acme.py").write_text(
        'from zoo_core.testing import plugin_tests\n\ntest_contract = plugin_tests("zoo_files")\n'
    )
    code, told = run("test_acme.py", "-k", "not time")
    assert code == 0
    assert "test_acme.py::test_contract[zoo_files-loads] PASSED" in told
    assert "test_acme.py::test_contract[pkg:-weight-source] PASSED" in told
    assert "7 passed, 1 deselected" in told


def test_without_a_test_file(run, acme: None) -> None:
    words = ("-k", "acme or https:", "-W", "error::DeprecationWarning")
    code, told = run(*words, settings="zoo_plugins = zoo_acme zoo_https")
    assert code == 1
    assert "collected 14 items" in told
    assert "zoo_https::https:-weight-source PASSED" in told
    assert "zoo_acme, loads: It has a broken manifest: gone.toml: cannot be read" in told
    assert "Traceback" not in told
    assert "ConformanceWarning: zoo_acme, licence: no licence: write license" in told
    assert "SKIPPED" in told  # it has no module whose import could be timed


def test_the_settings_do_not_disturb_single_tests(run, tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("def test_mine(): pass\n")
    settings = "zoo_plugins = zoo_https"
    assert "1 passed" in run("test_mine.py::test_mine", settings=settings)[1]
    words = ("test_mine.py::test_mine", "--zoo-plugin", "zoo_https", "-k", "mine or loads")
    assert "2 passed" in run(*words, settings=settings)[1]


def test_an_unknown_plugin(run) -> None:
    code, told = run("--zoo-plugin", "zoo_filez")
    assert code == 2
    assert 'No plugin, model or regularizer "zoo_filez". Closest: "zoo_files"' in told
    assert "Traceback" not in told


def test_every_run_of_pytest_imports_it_cheaply() -> None:
    code = "import sys, zoo_core.pytest_plugin; print({'torch', 'timm'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

"""What a version promises is held: old names, lower bounds, fragments, a release's papers."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import zoo_core as zoo
from zoo_core.lazy import RENAMED, Renamed

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
FOR_DEVELOPERS = {"docs", "fuzz", "release", "test"}


def test_an_old_name_warns_once_and_works(monkeypatch: pytest.MonkeyPatch) -> None:
    renamed = Renamed(new="list_models", since="0.2", until="0.4")
    monkeypatch.setitem(RENAMED, "zoo_core.models", renamed)
    text = "zoo_core.models is zoo_core.list_models since 0.2; the old name goes in 0.4."
    try:
        with pytest.warns(DeprecationWarning, match=f"^{re.escape(text)}$") as seen:
            assert zoo.models is zoo.list_models  # type: ignore[attr-defined]
        assert [Path(warning.filename) for warning in seen] == [Path(__file__)]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert zoo.models is zoo.list_models  # type: ignore[attr-defined]
    finally:
        vars(zoo).pop("models", None)


def test_old_names_lead_somewhere_and_are_gone_in_time() -> None:
    for name, renamed in RENAMED.items():
        package, _, _ = name.rpartition(".")
        assert getattr(sys.modules[package], renamed.new) is not None
        assert Version(renamed.since) < Version(renamed.until)
        assert Version(zoo.__version__) < Version(renamed.until), f"{name} was to be gone by now"


def test_the_oldest_versions_are_the_lower_bounds() -> None:
    extras = PROJECT["optional-dependencies"]
    lists = [lines for name, lines in extras.items() if name not in FOR_DEVELOPERS]
    required = [Requirement(line) for lines in (PROJECT["dependencies"], *lists) for line in lines]
    bounds = {
        f"{one.name}=={bound.version}"
        for one in required
        for bound in one.specifier
        if bound.operator == ">=" and one.name != PROJECT["name"]
    }
    assert (ROOT / "constraints-oldest.txt").read_text().splitlines() == sorted(bounds)


def test_tested_versions_are_allowed() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = dict(line.replace("_", "-").split("==") for line in lines)
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    for requirement in (Requirement(line) for lines in lists for line in lines):
        if requirement.name != PROJECT["name"]:
            assert requirement.specifier.contains(pinned[requirement.name]), requirement


def test_the_citation() -> None:
    """Valid in full: make release asks cffconvert."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"] == zoo.__version__
    assert citation["license"] == PROJECT["license"]
    assert {"cff-version", "message", "title", "authors"} <= {*citation}
    assert [author["name"] for author in citation["authors"]] == ["The zoo developers"]


def test_fragments_have_a_type_and_say_something() -> None:
    types = "|".join(kind["directory"] for kind in PYPROJECT["tool"]["towncrier"]["type"])
    assert f"`{types.replace('|', '`, `')}`".replace(", `trust`", " and `trust`") in " ".join(
        (ROOT / "changes" / "README.md").read_text(encoding="utf-8").split()
    )
    for file in (ROOT / "changes").iterdir():
        if file.name in PYPROJECT["tool"]["towncrier"]["ignore"]:
            continue
        assert re.fullmatch(rf"\+?[a-z0-9-]+\.({types})\.md", file.name), file.name
        text = file.read_text(encoding="utf-8").strip()
        assert text and not text.startswith(("#", "-", "*")), file.name
    assert PYPROJECT["tool"]["towncrier"]["start_string"] in (ROOT / "CHANGELOG.md").read_text()


def test_who_finds_something_is_told_where_to_go() -> None:
    assert "public issue" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    forms = ROOT / ".github" / "ISSUE_TEMPLATE"
    for name in ("bug.yml", "idea.yml"):
        form = yaml.safe_load((forms / name).read_text(encoding="utf-8"))
        assert "zoo doctor --json" in str(form["body"])
        assert {"name", "description", "body"} <= {*form}


def test_a_release_needs_a_clean_tree(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    script = tmp_path / "tools" / "release.py"
    script.write_bytes((ROOT / "tools" / "release.py").read_bytes())
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "before").touch()
    (tmp_path / ".gitignore").write_text("/dist/\n")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)

    words = [sys.executable, script, "--shared"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    told = "stopped: the tree is not clean: .gitignore, tools/. Commit or stash them.\n"
    assert done.stderr == f"{told}dist/ is as it was.\n"
    assert [file.name for file in (tmp_path / "dist").iterdir()] == ["before"]

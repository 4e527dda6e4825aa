"""zoo's own plugins are known by their files: nobody becomes one by a name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.third_parties import FACTS, NET, zoo

from zoo_core.plugins.own_files import NAMESAKE


def put(path: Path, name: str, module: str, code: str = "", *, folder: str = "") -> None:
    """A distribution of this name with one plugin; `folder`: what its metadata lie in."""
    (path / f"{module}.py").write_text(f"{code}\nopen({str(path / 'imported')!r}, 'w').close()\n")
    stem = folder or name.replace("-", "_")
    info = path / f"{stem}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[zoo_core]\n{module} = {module}\n")


def rows(path: Path, **environment: str) -> list[dict]:
    done = zoo(path, "plugins", "--json", **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("name", "folder"),
    [("Zoo.Core", ""), ("zoo-core", "zoo_core"), ("ZOO__core", "other"), ("zoo-core", "Zoo.Core")],
)
def test_a_namesake_of_zoo_core(tmp_path: Path, name: str, folder: str) -> None:
    put(tmp_path, name, "zoo_acme", NET, folder=folder)
    (tmp_path / "zoo_acme.toml").write_text(FACTS.format(name="acme8"))
    for environment in ({"ZOO_PLUGINS": ""}, {}):
        found = rows(tmp_path, **environment)
        assert "zoo_resnet" in [row["name"] for row in found if row["built_in"] and row["ok"]]
        assert [row["name"] for row in found if row["built_in"]].count("zoo_acme") == 0
    assert not (tmp_path / "imported").exists()
    (row,) = [row for row in found if row["name"] == "zoo_acme"]
    assert (row["distribution"], row["health"]) == (NAMESAKE, "broken")
    assert row["faults"][0].startswith("bears the name of zoo-core, and is none of its files")
    assert f"{name} in {tmp_path}" in row["faults"][0]
    listed = zoo(tmp_path, "list")
    assert "resnet50 " in listed.stdout and f"zoo_acme ({NAMESAKE} 1.2)" in listed.stderr


def test_a_namesake_without_an_init_file(tmp_path: Path) -> None:
    """A package that Python finds without a file: nothing says where it comes from."""
    put(tmp_path, "Zoo.Core", "acme_part", NET)
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme_part.py").rename(tmp_path / "acme" / "part.py")
    entry = tmp_path / "Zoo.Core-1.2.dist-info" / "entry_points.txt"
    entry.write_text("[zoo_core]\nzoo_acme = acme.part\n")
    rows(tmp_path, ZOO_PLUGINS="")
    rows(tmp_path)
    assert not (tmp_path / "imported").exists()


def test_a_module_in_front_of_one_of_zoo(tmp_path: Path) -> None:
    (tmp_path / "zoo_lenet.py").write_text("open('imported', 'w').close()")
    found = {row["name"]: row for row in rows(tmp_path, ZOO_PLUGINS="")}
    assert found.get("zoo_lenet", {"ok": False})["ok"] is False
    assert found["zoo_resnet"]["ok"] and not (tmp_path / "imported").exists()
    told = {row["name"]: row for row in rows(tmp_path)}["zoo_lenet"]["faults"][0]
    assert f"its module zoo_lenet is in {tmp_path}" in told


def test_one_of_the_name_of_a_plugin_of_zoo(tmp_path: Path) -> None:
    """It is its distribution that counts, and it is chosen like any other."""
    put(tmp_path, "zoo-acme", "acme", NET)
    entry = tmp_path / "zoo_acme-1.2.dist-info" / "entry_points.txt"
    entry.write_text("[zoo_core]\nzoo_lenet = acme\n")
    found = rows(tmp_path, ZOO_PLUGINS="")
    assert [row["distribution"] for row in found if row["name"] == "zoo_lenet"] == ["zoo-core"]
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize("typed", ["zoo_acme", "zoo-acme", "Zoo.Acme", " ZOO__ACME ,"])
def test_zoo_plugins_in_other_spellings(tmp_path: Path, typed: str) -> None:
    put(tmp_path, "zoo-acme", "zoo_acme", NET)
    put(tmp_path, "zoo-other", "zoo_other", "1 / 0")
    (tmp_path / "zoo_acme.toml").write_text(FACTS.format(name="acme8"))
    found = [row for row in rows(tmp_path, ZOO_PLUGINS=typed) if not row["built_in"]]
    assert [(row["name"], row["ok"]) for row in found] == [("zoo_acme", True)]


def test_a_slow_one_is_named(tmp_path: Path) -> None:
    put(tmp_path, "zoo-acme", "zoo_acme", f"import time; time.sleep(1.2)\n{NET}")
    (tmp_path / "zoo_acme.toml").write_text(FACTS.format(name="acme8"))
    listed = zoo(tmp_path, "list")
    assert "acme8" in listed.stdout
    _more_of_timm, line = listed.stderr.splitlines()
    assert line.startswith("Waited 1.") and "zoo_acme (zoo-acme 1.2), which takes 1." in line
    (row,) = [row for row in rows(tmp_path) if row["name"] == "zoo_acme"]
    assert (row["health"], row["ok"]) == ("slow", True) and row["slow"].endswith("s to import")

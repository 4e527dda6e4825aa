"""The pages of formats name each key that zoo reads or writes, and no other in their tables."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import msgspec
import pytest

import zoo_core as zoo
from zoo_core.cache import cache_folder
from zoo_core.plugins import manifest_schema
from zoo_core.runs.recipe import TABLES, read_history, read_recipe
from zoo_core.training.settings import Settings
from zoo_core.weights import published, run_model
from zoo_core.weights.config_json import FORBIDDEN

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"


def keys(page: str, heading: str) -> set[str]:
    """What stands in the first column of the tables under a heading."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    part = re.split(r"(?m)^## ", text.partition(f"\n## {heading}\n")[2])[0]
    cells = re.findall(r"(?m)^\| ([^|]+) \|", part)
    return {key for cell in cells for key in re.findall(r"`([\w.]+)`", cell)}


STRUCTS = {
    ("registry-toml.md", "The top level"): {"schema", "measured", "models"},
    ("registry-toml.md", "A model: `[models.NAME]`"): manifest_schema.Model,
    ("registry-toml.md", "Weights: `[models.NAME.weights.TAG]`"): manifest_schema.Weights,
    ("registry-toml.md", "`input`"): manifest_schema.Input,
    ("config-json.md", "`zoo`"): published.Saved,
    ("config-json.md", "`zoo.base`"): published.Base,
    ("recipe-toml.md", "`[model]`"): run_model.RunModel,
    ("recipe-toml.md", "`[train]`"): {f.name for f in fields(Settings)}
    | {"regularizers", "unreadable"},
}


@pytest.mark.parametrize("page, heading", STRUCTS)
def test_a_table_has_the_keys_of_its_parser(page: str, heading: str) -> None:
    known = STRUCTS[page, heading]
    names = known if isinstance(known, set) else {f.name for f in msgspec.structs.fields(known)}
    assert keys(page, heading) == names


@pytest.mark.parametrize("struct", [manifest_schema.Model, manifest_schema.Weights])
def test_a_page_says_what_is_needed_and_what_is_meant_without(struct: type) -> None:
    text = (REFERENCE / "registry-toml.md").read_text(encoding="utf-8")
    for field in msgspec.structs.fields(struct):
        cells = re.findall(rf"(?m)^\| `{field.name}` \| [^|]+ \| ([^|]+) \|", text)
        needed = field.default is field.default_factory is msgspec.NODEFAULT
        assert ("needed" in cells) == needed or not needed, field.name


def test_words_that_no_option_may_be_are_listed() -> None:
    text = (REFERENCE / "config-json.md").read_text(encoding="utf-8")
    assert [word for word in FORBIDDEN if f"`{word}`" not in text] == []


def test_a_run_holds_what_its_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "run"
    how = {"freeze_until": "fc2", "augment": False, "cache": True, "progress": False}
    zoo.finetune("lenet5", "digits#test", epochs=1, out=out, **how)

    page = (REFERENCE / "run-folder.md").read_text(encoding="utf-8")
    files = [path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()]
    assert [name for name in files if f"`{name}`" not in page] == []
    assert set(read_history(out)[0]) <= keys("run-folder.md", "metrics.jsonl")

    recipe = read_recipe(out)
    text = (REFERENCE / "recipe-toml.md").read_text(encoding="utf-8")
    assert [
        name for name in (*TABLES, *recipe) if f"[{name}]" not in text and name != "schema"
    ] == []
    for table in ("model", "start", "data", "train", "cost"):
        assert set(recipe[table]) <= keys("recipe-toml.md", f"`[{table}]`"), table
    assert [name for name in recipe["versions"] if f"`{name}`" not in text] == []

    cache = (REFERENCE / "cache.md").read_text(encoding="utf-8")
    folders = {path.name for path in cache_folder().iterdir()}
    assert [name for name in folders if f"`{name}/" not in cache] == []


def test_the_cache_page_has_every_folder_that_the_code_names() -> None:
    package = Path(zoo.__file__).parent
    named = {
        name
        for path in package.rglob("*.py")
        for name in re.findall(r'cache_folder\(\) / "(\w+)"', path.read_text(encoding="utf-8"))
    }
    page = (REFERENCE / "cache.md").read_text(encoding="utf-8")
    assert named and [name for name in named if f"`{name}/" not in page] == []

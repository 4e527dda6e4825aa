"""Manifests that a stranger wrote to break something: each is its plugin's fault, and ends soon."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from support.third_parties import FACTS

from zoo_core import hookimpl
from zoo_core.cache import using_cache
from zoo_core.cli import main
from zoo_core.errors import ManifestError, UnknownName
from zoo_core.plugins import manifest_cache, manifest_schema
from zoo_core.plugins.catalogue import Catalogue
from zoo_core.plugins.manager import FAULTS, ITEMS, Plugin, Plugins
from zoo_core.plugins.manifest import LONG, load_manifest

OFFICIAL = 'schema = 1\n[models.sound]\narchitecture = "none"\n'
NET = 'schema = 1\n[models.net]\narchitecture = "net"\n'


class Strange:
    """A plugin that returns something from zoo_manifests."""

    def __init__(self, returned: object) -> None:
        self.returned = returned

    @hookimpl
    def zoo_manifests(self) -> object:
        return self.returned() if callable(self.returned) else self.returned


def known(tmp_path: Path, *returned: object) -> Catalogue:
    """A catalogue of plugins that return these, and of one official model."""
    official = tmp_path / "official.toml"
    official.write_text(OFFICIAL)
    plugins = Plugins()
    for number, one in enumerate(returned):
        plugins.register(Strange(one), Plugin(f"strange{number}", f"zoo-strange{number}", "1"))
    return Catalogue(plugins, official)


def fault(tmp_path: Path, returned: object) -> str:
    """What is wrong with the plugin; the official model is there all the same."""
    catalogue = known(tmp_path, returned)
    assert catalogue.find("sound").model.official
    with pytest.raises(UnknownName) as unknown:
        catalogue.find("net8")
    plugin = catalogue.plugins.all[0]
    assert plugin.title() in str(unknown.value)
    assert all(len(told) <= 1_100 and told.isprintable() for told in plugin.faults)
    return " ".join(plugin.faults)


# --- lists that fail while they are read ---------------------------------------------------------


class Raises:
    def __iter__(self) -> object:
        raise OSError("no list")


class Lies(list):
    def __len__(self) -> int:
        raise RuntimeError("no length")


def half(path: Path) -> object:
    yield path
    raise ValueError("only half")


def endless() -> object:
    while True:
        yield "models.toml"


def leaves() -> object:
    yield from ()
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (Raises(), "fails in zoo_manifests: OSError: no list"),
        (half(Path("none.toml")), "fails in zoo_manifests: ValueError: only half"),
        (leaves(), "fails in zoo_manifests: SystemExit: 3"),
        (endless(), f"returns more than {ITEMS:,} items from zoo_manifests"),
        (
            [Path("a\x1b]0;title\x07\0.toml")],
            "has a broken manifest: a\\x1b]0;title\\x07\\x00.toml",
        ),
    ],
    ids=["iter raises", "half", "exits", "endless", "no path"],
)
def test_a_list_that_cannot_be_read(tmp_path: Path, returned: object, message: str) -> None:
    assert message in fault(tmp_path, returned)


def test_a_list_that_lies_about_its_length(tmp_path: Path) -> None:
    (tmp_path / "net.toml").write_text(NET)
    assert known(tmp_path, Lies([tmp_path / "net.toml"])).find("net").model.name == "net"


# --- files ---------------------------------------------------------------------------------------

HOSTILE = {
    "deep.toml": "schema = " + "[" * 100_000,
    "tables.toml": "schema = 1\nmodels = " + "{a=" * 50_000,
    "deep.json": '{"schema": 1, "models": {"net": {"architecture": ' + "[" * 100_000,
    "digits.toml": NET + f"params = {'9' * 5_000}\n",
    "hex.toml": NET + f"params = 0x{'f' * 10_000}\n",
    "hexes.toml": NET + f"config = {{ width = 0x{'f' * 10_000} }}\n",
    "schema.toml": f"schema = 0x{'f' * 10_000}\n",
    "nan.toml": NET + "gmacs = nan\n",
    "metric.toml": NET + '[models.net.weights.a]\nsource = "file:a"\nmetrics = { top1 = inf }\n',
    "mean.toml": NET + "input = { mean = [nan, 0.5, 0.5] }\n",
    "side.toml": NET + "input = { size = [3, 300_000_000, 8] }\n",
    "name.toml": f'schema = 1\n[models.{"n" * 1_000_000}]\narchitecture = "net"\n',
    "key.toml": NET + f"{'k' * 1_000_000} = 1\n",
    "latin.toml": b"schema = 1 # caf\xe9",
    "huge.json": b" " * (manifest_schema.MOST + 1),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file(tmp_path: Path, name: str) -> None:
    body = HOSTILE[name]
    (tmp_path / name).write_bytes(body if isinstance(body, bytes) else body.encode())
    start = time.perf_counter()
    told = fault(tmp_path, [tmp_path / name])
    assert told.startswith(f"has a broken manifest: {tmp_path / name}")
    assert time.perf_counter() - start < 10


def test_a_pipe_and_a_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    for name, what in (("pipe.toml", "a pipe"), ("zero.json", "a device")):
        assert f"{name}: cannot be read: is {what}, no file." in fault(tmp_path, [tmp_path / name])


# --- many ----------------------------------------------------------------------------------------


def many(count: int) -> str:
    tables = (f'[models.bulk{i}]\narchitecture = "bulk"\nparams = {i + 1}\n' for i in range(count))
    return "schema = 1\n" + "".join(tables)


def test_a_long_manifest_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "many.toml"
    path.write_text(many(5_000))
    assert path.stat().st_size > LONG
    with using_cache(tmp_path / "cache"):
        first = load_manifest(path).models
        (kept,) = (tmp_path / "cache" / "manifests").iterdir()
        start = time.perf_counter()
        again = load_manifest(path).models
        assert time.perf_counter() - start < 0.5
        assert [*first] == [*again] and again["bulk77"].params == first["bulk77"].params == 78

        path.write_text(path.read_text().replace("params = 78\n", "params = 79\n"))
        assert load_manifest(path).models["bulk77"].params == 79  # no longer those bytes
        assert [*kept.parent.iterdir()] == [kept]

        made_of, _, tables = kept.read_bytes().partition(b"\n")
        other = json.loads(tables)
        other["models"]["bulk77"]["params"] = 1
        kept.write_bytes(made_of + b"\n" + json.dumps(other).encode())
        assert load_manifest(path).models["bulk77"].params == 1  # this test can see what is read
        kept.chmod(0o666)
        assert load_manifest(path).models["bulk77"].params == 79  # others could have written it
        kept.write_bytes(made_of + b"\n{ damaged")
        assert load_manifest(path).models["bulk77"].params == 79


def test_nothing_is_remembered_where_it_cannot_be(tmp_path: Path) -> None:
    path, blocked = tmp_path / "many.toml", tmp_path / "file"
    path.write_text(many(5_000))
    blocked.write_text("")
    with using_cache(blocked):
        assert len(load_manifest(path).models) == 5_000
    assert manifest_cache.recalled(tmp_path / "none", b"") is None


def test_faults_are_bounded(tmp_path: Path) -> None:
    """As many clashes as models: each is counted, and the first are told."""
    path = tmp_path / "many.toml"
    path.write_text(many(3_000))
    start = time.perf_counter()
    catalogue = known(tmp_path, [path, path], [path])
    catalogue.examine()
    assert time.perf_counter() - start < 5
    for plugin in catalogue.plugins.all:
        assert FAULTS <= len(plugin.faults) <= FAULTS + 2
        assert plugin.faults[-1] == "has more faults than these."


def test_a_broken_manifest_on_its_own(tmp_path: Path) -> None:
    path = tmp_path / "net.toml"
    path.write_text(FACTS.format(name="net") + f"params = {'9' * 5_000}\n")
    with pytest.raises(ManifestError, match="not valid TOML"):
        load_manifest(path)


def test_checking_a_pipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    assert main(["plugins", "check", str(tmp_path / "pipe.toml")]) == 1
    assert capsys.readouterr().err.startswith(
        f"Error: {tmp_path / 'pipe.toml'}: cannot be read: is a pipe, no file."
    )

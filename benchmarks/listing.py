"""Listing the models, in a new process: zoo reads facts, and imports neither torch nor timm.

Twenty plugins, each a package that `zoo plugins new` writes and pip installs, may not double that.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.measure import ZOO, Row, Skipped, at_least, at_most, ms, processes, run, show
from zoo_core.plugins.scaffold import new_plugin

PLUGINS = 20


def measure() -> list[Row | Skipped]:
    return [against_timm(), with_plugins()]


def against_timm() -> Row | Skipped:
    ours = [ZOO, "list"]
    peer = [sys.executable, "-c", "import timm; timm.list_models()"]
    what = "`zoo list` against `timm.list_models()`, new process"
    try:
        times = processes({"ours": ours, "peer": peer}, rounds=5)
    except RuntimeError as error:
        return Skipped(what, str(error))
    mine, theirs = ms(times.median("ours")), ms(times.median("peer"))
    return at_least(what, mine, theirs, times.ratio("peer", "ours"), 20)


def with_plugins() -> Row | Skipped:
    what = f"`zoo list` with {PLUGINS} plugins installed against none, new process"
    with tempfile.TemporaryDirectory() as folder:
        many, none = Path(folder) / "many", Path(folder) / "none"
        try:
            install_plugins(many, Path(folder))
            listed = {"many": listing(many), "none": listing(none)}
            times = processes(listed, rounds=15)
        except RuntimeError as error:
            return Skipped(what, str(error))
    mine, theirs = ms(times.median("many")), ms(times.median("none"))
    return at_most(what, mine, theirs, times.ratio("many", "none"), 2)


def install_plugins(target: Path, work: Path) -> None:
    made = [new_plugin(f"bench-{n}", to=work).folder for n in range(PLUGINS)]
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation"]
    run([*pip, "--target", str(target), *map(str, made)])
    assert run(listing(target)).count("bench_") == PLUGINS


def listing(target: Path) -> list[str]:
    return ["env", f"PYTHONPATH={target}", ZOO, "list"]


if __name__ == "__main__":
    show(measure())

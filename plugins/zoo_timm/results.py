"""Adds to `models.json` what timm measured of its weights, from its tables of results, and to
`registry.toml` what it measured of official ones.

    python -m zoo_timm.results RESULTS.csv

A row belongs to weights by its name and by the side of the pictures: the same weights at another
size are other figures. What belongs to none is counted and named on stderr, and left out.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_core.terminal.lines import say

MEASURED = (
    "timm's tables of results: accuracy of 2025-10-30; pictures a second of 2026-01-06 (RTX 4090, "
    "half precision) and 2024-09-04 (i7-12700H, compiled)"
)
METRICS = {
    "top1": "imagenet-1k.top1",
    "top5": "imagenet-1k.top5",
    "real_top1": "imagenet-real.top1",
    "v2_top1": "imagenet-v2.top1",
}
COST = {"gmacs": "gmacs", "macts_m": "macts"}
SPEED = {"gpu4090_img_per_s": "rtx4090", "cpu_img_per_s": "i7-12700h"}
FIGURES = ("metrics", "gmacs", "macts", "speed")  # the keys of weights that this fills

Row = Mapping[str, str]
Models = dict[str, dict[str, Any]]


@dataclass
class LeftOut:
    """Rows that belong to no weights of the manifest, as `name at side`, and why."""

    size: list[str]
    name: list[str]


def rows(path: Path) -> list[Row]:
    """A row for each trained set and side. Columns that are not named above are not read."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def figures(row: Row) -> dict[str, Any]:
    """What a manifest says of one row; a figure that the row lacks is not there.

    >>> figures({"top1": "41.602", "gmacs": "0.1", "cpu_img_per_s": ""})
    {'metrics': {'imagenet-1k.top1': 41.602}, 'gmacs': 0.1}
    """
    metrics, cost, speed = (_numbers(row, columns) for columns in (METRICS, COST, SPEED))
    told = {"metrics": metrics, **cost, "speed": speed}
    return {name: value for name, value in told.items() if value}


def _numbers(row: Row, columns: Mapping[str, str]) -> dict[str, float]:
    return {name: float(row[column]) for column, name in columns.items() if row.get(column)}


def merged(models: Models, listed: Iterable[Row]) -> LeftOut:
    """Put the figures into the tables of `models`, by name without prefix, and tell the rest."""
    left_out, gmacs = LeftOut([], []), {}
    for row in listed:
        name, _, tag = row["model"].partition(".")
        side = int(row["img_size"])
        told = f"{row['model']} at {side}"
        weights = models.get(name, {}).get("weights", {}).get(tag)
        if weights is None:
            left_out.name.append(told)
            continue
        gmacs[name, side] = float(row["gmacs"])
        if shape(weights)[1:] == [side, side]:
            weights |= figures(row)
        else:
            left_out.size.append(told)
    for name, table in models.items():
        _, height, width = shape(usual(table))
        if height == width and (name, height) in gmacs:
            table["gmacs"] = gmacs[name, height]
    return left_out


def kept(old: Models, new: Models) -> None:
    """Put figures of an old manifest into the new one: for weights that see the same input."""
    for name, table in new.items():
        before = old.get(name, {})
        if "gmacs" in before and shape(usual(table)) == shape(usual(before)):
            table["gmacs"] = before["gmacs"]
        for tag, weights in table.get("weights", {}).items():
            had = before.get("weights", {}).get(tag, {})
            if shape(had) == shape(weights):
                weights |= {key: had[key] for key in FIGURES if key in had}


def shape(table: Mapping[str, Any]) -> list[int]:
    """The pictures that a table of a manifest says."""
    return list(table.get("input", {}).get("size", (3, 224, 224)))


def usual(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """The table whose input is that of a model: of its default weights, else its own."""
    weights = table.get("weights", {}).values()
    return next((one for one in weights if one.get("default")), table)


def forget(models: Models) -> None:
    """Take all figures out of the tables of a manifest."""
    for model in models.values():
        for table in (model, *model.get("weights", {}).values()):
            for key in FIGURES:
                table.pop(key, None)


def read(path: Path) -> Models:
    """The tables of a manifest by the names of timm."""
    tables = json.loads(path.read_text(encoding="utf-8"))["models"]
    return {name.removeprefix("timm/"): table for name, table in tables.items()}


def main() -> None:
    from zoo_core.plugins.reading import official_manifest
    from zoo_timm.generate import MANIFEST, text
    from zoo_timm.official import with_figures

    if len(sys.argv) != 2:
        sys.exit("usage: python -m zoo_timm.results RESULTS.csv")
    models, listed = read(MANIFEST), rows(Path(sys.argv[1]))
    forget(models)
    left_out = merged(models, listed)
    MANIFEST.write_text(text(models), encoding="utf-8")
    registry = official_manifest()
    filled, told = with_figures(registry.read_text(encoding="utf-8"), listed)
    registry.write_text(filled, encoding="utf-8")
    _tell(left_out.size, "of another size than the weights want")
    theirs = [one for one in left_out.name if _is_official(one)]
    _tell(theirs, "of official weights")
    _tell([one for one in left_out.name if one not in theirs], "of no weights that zoo lists")
    used = len(listed) - len(left_out.size) - len(left_out.name)
    say(f"{used} of {len(listed)} rows are in {MANIFEST}, {len(told)} in {registry}")


def _is_official(told: str) -> bool:
    from zoo_core.plugins.catalogue import catalogue

    name, _, tag = told.partition(" at ")[0].partition(".")
    return any(
        model.official and model.name == name and tag in model.weights
        for model in catalogue().models(name)
    )


def _tell(names: list[str], why: str) -> None:
    say(f"{len(names)} {why}: {', '.join(names) or 'none'}")


if __name__ == "__main__":
    main()

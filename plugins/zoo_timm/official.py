"""Puts timm's figures into registry.toml, beside official weights; all else stays as it is."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from zoo_timm.results import Row, figures, shape, usual

MEASURED = (
    "whoever published the weights (accuracy) and timm's tables of results (activations, "
    "multiply-adds for other pictures than the model's, and pictures a second: of 2026-01-06 on an "
    "RTX 4090, half precision, and of 2024-09-04 on an i7-12700H, compiled)"
)
OTHER_NAMES = {f"tf_efficientnet_lite{size}": f"efficientnet_lite{size}" for size in range(3)}
_WEIGHTS = re.compile(r"\[models\.([\w-]+)\.weights\.([\w-]+)\]\n")
_FIGURE = re.compile(r"(gmacs|macts|speed) = ")

Told = dict[tuple[str, str], dict[str, Any]]  # figures by name and tag


def with_figures(manifest: str, listed: Iterable[Row]) -> tuple[str, Told]:
    """The text of a manifest with the figures of these rows, and which they are.

    Accuracy is added only where weights state none, and multiply-adds only where their pictures
    are not the model's, whose own count stands in its table.
    """
    told = _told(tomllib.loads(manifest)["models"], listed)
    blocks = [_filled(block, told) for block in manifest.strip().split("\n\n")]
    text = "\n\n".join(blocks) + "\n"
    line = f"measured = {json.dumps(MEASURED)}"
    return re.sub(r"^measured = .*$", lambda _: line, text, count=1, flags=re.MULTILINE), told


def _told(models: Mapping[str, Any], listed: Iterable[Row]) -> Told:
    told: Told = {}
    for row in listed:
        name, _, tag = row["model"].partition(".")
        name = OTHER_NAMES.get(name, name)
        model = models.get(name, {})
        weights = model.get("weights", {}).get(tag)
        side = int(row["img_size"])
        if weights is not None and shape(weights)[1:] == [side, side]:
            stated = {"metrics"} & weights.keys()
            if shape(weights) == shape(usual(model)):
                stated |= {"gmacs"}
            told[name, tag] = {k: v for k, v in figures(row).items() if k not in stated}
    return told


def _filled(block: str, told: Told) -> str:
    found = _WEIGHTS.match(block)
    if found is None or found.groups() not in told:
        return block
    lines = [line for line in block.split("\n") if not _FIGURE.match(line)]
    return "\n".join([*lines, *map(_line, told[found[1], found[2]].items())])


def _line(item: tuple[str, Any]) -> str:
    key, value = item
    if not isinstance(value, dict):
        return f"{key} = {value}"
    inside = ", ".join(f"{_key(name)} = {number}" for name, number in value.items())
    return f"{key} = {{ {inside} }}"


def _key(name: str) -> str:
    return json.dumps(name) if "." in name else name

"""Photographs of solar cells, out of the package elpv-dataset, as a folder that zoo opens."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

PACKAGE = "elpv_dataset"


def missing() -> str:
    """Why there are no photographs here; nothing where there are."""
    if importlib.util.find_spec(PACKAGE) is None:
        return "pip install 'zoo-core[photos]' brings the photographs"
    return ""


def cells() -> list[tuple[Path, str]]:
    """Each photograph (300x300, grey) with its class: "intact", or "defective" from 50% on."""
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None and spec.origin is not None
    data = Path(spec.origin).parent / "data"
    rows = [line.split() for line in (data / "labels.csv").read_text().splitlines()]
    return [(data / row[0], "defective" if float(row[1]) >= 0.5 else "intact") for row in rows]


def laid_out(folder: Path, chosen: Sequence[tuple[Path, str]]) -> str:
    """Links to some photographs in `folder`, by class; returns the spec of that data."""
    for path, name in chosen:
        place = folder / name / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            place.symlink_to(path)
    return f"folder:{folder}"

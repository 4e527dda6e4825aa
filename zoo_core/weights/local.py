"""What a delta stands on where only this machine has it: a file, an exported folder or a run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_core.errors import WeightsError
from zoo_core.runs.recipe import BEST
from zoo_core.weights.config_json import read_config
from zoo_core.weights.hashes import sha256_of
from zoo_core.weights.published import CONFIG, LEGACY
from zoo_core.weights.sources import ENDINGS


@dataclass(frozen=True)
class LocalBase:
    """A base by its absolute path, and the sha256 of its file of weights."""

    path: Path
    sha256: str

    def told(self, folder: Path) -> dict[str, str]:
        """What the delta in `folder` says of it: also the way from there, if both are moved."""
        beside = os.path.relpath(self.path, folder.absolute())
        return {"path": str(self.path), "beside": beside, "sha256": self.sha256}


def local_base(reference: str) -> LocalBase | None:
    """What is at `file:PATH` now; None where nothing is there any more."""
    path = Path(reference.removeprefix("file:"))
    file = _weights_of(path)
    return LocalBase(path, sha256_of(file)) if file is not None else None


def found(told: Mapping[str, Any], folder: Path) -> Path:
    """Where the base of the delta in `folder` is now: where it was, or as far from it as it was.

    Raises WeightsError where neither is the one that it stands on.
    """
    was = Path(str(told["path"]))
    for path in (was, Path(os.path.normpath(folder.absolute() / str(told.get("beside", "."))))):
        base = local_base(f"file:{path}")
        if base is not None and base.sha256 == told["sha256"]:
            return path
    changed = _weights_of(was) is not None
    raise WeightsError(
        f"{folder} holds only what differs from {was}, which "
        + ("has other weights now." if changed else "is not there any more."),
        hint="Put back what it stands on"
        + (
            f": the weights had sha256 {told['sha256']}." if changed else ", or move both together."
        ),
    )


def _weights_of(path: Path) -> Path | None:
    """The file that holds the weights of a file, an exported folder or a run."""
    try:
        if (path / CONFIG).is_file():
            named = path / read_config(path / CONFIG, f"file:{path}").file
            path = named if named.is_file() else path / LEGACY
        elif path.is_dir():
            path = path / BEST
        return path if path.is_file() else None
    except (OSError, WeightsError):
        return None


def weights_in(folder: Path) -> list[Path]:
    """The files of a folder that are named as weights are, safetensors first."""
    try:
        named = [path for path in folder.iterdir() if path.suffix.lower() in ENDINGS]
        return sorted(named, key=lambda path: (path.suffix != ENDINGS[0], path.name))
    except OSError:
        return []

"""A pickled checkpoint, read without running code from it; nothing turns that off.

torch before 2.10 had a hole in `weights_only=True` (CVE-2026-24747), and zoo needs 2.10.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from zoo_core.errors import WeightsError

PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".tar", ".pkl")


def is_pickle(path: Path) -> bool:
    """Whether the name is that of a checkpoint that torch pickled."""
    return path.suffix.lower() in PICKLES


def load_pickle(path: Path) -> Any:
    """What torch saved. Raises WeightsError, with what the file would run, or that it is cut."""
    if _is_script(path):
        raise WeightsError(
            f"{path} is TorchScript: a program with its weights.",
            hint="Save those alone: torch.save(torch.jit.load(PATH).state_dict(), OTHER).",
        )
    try:
        with warnings.catch_warnings(action="ignore"):  # of torch, to those who work on it
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken pickle can raise anything
        unsafe = _unsafe(path, str(error))
        more = f" and {len(unsafe) - 3} more" if len(unsafe) > 3 else ""
        fault = (
            f"needs {', '.join(unsafe[:3])}{more}: loading it would run code"
            if unsafe
            else "is no checkpoint that torch reads without running code"
        )
        raise WeightsError(
            f"{path} {fault}.",
            hint="zoo runs none. Ask for safetensors or, where you trust the file, save its "
            "tensors alone: torch.save(model.state_dict(), PATH).",
        ) from error


def _is_script(path: Path) -> bool:
    """Raises WeightsError for a zip file that is not whole."""
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            return False
    try:
        with zipfile.ZipFile(path) as held:
            return any(name.endswith("/constants.pkl") for name in held.namelist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} is damaged or cut short.", hint="Copy or download it again."
        ) from error


def _unsafe(path: Path, text: str) -> list[str]:
    """What a pickle names that is no plain data; nothing in it is run."""
    try:
        found = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # it reads zip files only
        found = []
    return sorted(found) or re.findall(r"GLOBAL (\S+)", text)[:1]

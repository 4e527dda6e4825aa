"""A checkpoint file -> what it holds, read without running code from it.

A pickle that names more than plain data is refused, with what it names.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from zoo_core.conversion import is_pickle, load_pickle
from zoo_core.errors import WeightsError
from zoo_core.tensors import read_tensors


def read_checkpoint(path: Path) -> Any:
    """What a pickle or safetensors file holds, told apart by its bytes. Raises WeightsError."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}.") from error
    if not start:
        raise WeightsError(f"{path} is empty.", hint="Copy or download it again.")
    if start[8:] != b"{" and (start[:2] == b"PK" or start[:1] == b"\x80" or is_pickle(path)):
        return _unpickled(path)
    return read_tensors(path)


def _unpickled(path: Path) -> Any:
    """What torch.load gives. The error says what the file would run, or that it is damaged."""
    if _is_script(path):
        raise WeightsError(
            f"{path} is TorchScript: a program with its weights.",
            hint="Save those alone: torch.save(torch.jit.load(PATH).state_dict(), OTHER).",
        )
    try:
        with warnings.catch_warnings(action="ignore"):  # of torch, to those who work on it
            return load_pickle(path)
    except WeightsError as error:
        unsafe = _unsafe(path, str(error.__cause__))
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

"""A checkpoint file -> what it holds, read without running code from it.

Which kind of file it is, its bytes say and not its name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo_core.errors import WeightsError
from zoo_core.files import opened
from zoo_core.weights.pickles import is_pickle, load_pickle
from zoo_core.weights.tensors import read_tensors


def read_checkpoint(path: Path) -> Any:
    """What a pickle or safetensors file holds, told apart by its bytes. Raises WeightsError."""
    try:
        with opened(path) as file:
            start = file.read(9)
    except OSError as error:
        reason = "Is a directory" if path.is_dir() else error.strerror or error
        raise WeightsError(f"{path} cannot be read: {reason}.") from error
    if not start:
        raise WeightsError(f"{path} is empty.", hint="Copy or download it again.")
    if start[8:] != b"{" and (start[:2] == b"PK" or start[:1] == b"\x80" or is_pickle(path)):
        return load_pickle(path)
    return read_tensors(path)

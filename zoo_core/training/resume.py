"""Where a training stands: `last/state.pt` of a run folder, from which it goes on bit for bit.

It holds what training has moved (all else is in the base, by its hash), the optimizer, the
regularizers, the random generators, the best weights so far and the place in the schedule.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from zoo_core.errors import RecipeError
from zoo_core.runs.folder import kept_whole

SCHEMA = 1
LAST, STATE = "last", "state.pt"

# Seconds between two saves at least: at the end of an epoch, and inside of one.
AFTER_EPOCH, AFTER_STEP = 1.0, 60.0


def save_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write where a training stands, whole or not at all. Raises RecipeError on a full disk."""
    buffer = io.BytesIO()
    torch.save({"schema": SCHEMA, **state}, buffer)
    with kept_whole(folder / LAST / STATE) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_state(folder: Path) -> dict[str, Any] | None:
    """Where the training of a run folder stands; None where it had not come to a first save.

    Raises RecipeError where the file is damaged, or of another version.
    """
    path = folder / LAST / STATE
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch makes of damaged bytes
        raise RecipeError(
            f"{path} cannot be read: {type(error).__name__}.",
            hint="The best weights of the run are whole; remove last/ to train it from the start.",
        ) from error
    if not isinstance(state, dict) or state.get("schema") != SCHEMA:
        raise RecipeError(f"{path} is of another version of zoo.")
    return state


def random_state(device: torch.device) -> dict[str, Any]:
    """The random generators of this process."""
    generators = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        generators["cuda"] = torch.cuda.get_rng_state(device)
    return generators


def set_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Set the random generators of this process."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)

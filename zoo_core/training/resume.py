"""Where a training stands: `last/state.pt` of a run folder, from which it goes on bit for bit.

It holds what training has moved (all else is in the base, by its hash), the optimizer, the
regularizers, the random generators, the best weights so far and the place in the schedule.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from zoo_core.errors import RecipeError, described
from zoo_core.files import opened
from zoo_core.runs.folder import RunFolder
from zoo_core.runs.recipe import STATE
from zoo_core.runs.sealed import seals
from zoo_core.terminal.lines import logger

SCHEMA = 1

# Seconds between two saves at least: at the end of an epoch, and inside of one.
AFTER_EPOCH, AFTER_STEP = 1.0, 60.0

log = logger(__name__)


def save_state(folder: RunFolder, state: Mapping[str, Any]) -> None:
    """Write where a training stands, whole or not at all. Raises RecipeError on a full disk."""
    buffer = io.BytesIO()
    torch.save({"schema": SCHEMA, **state}, buffer)
    with folder.state.written() as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_state(folder: Path) -> dict[str, Any] | None:
    """Where the training of a run folder stands; None where it had not come to a first save.

    Raises RecipeError where the file is damaged, of another run, or of another version.
    """
    path, known = folder / STATE, seals(folder, STATE)
    try:
        with opened(path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if known is not None and digest not in known:
                raise _unlike(path, "as it was written")
            file.seek(0)
            state = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        return None
    except RecipeError:
        raise
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # whatever torch makes of damaged bytes
        raise _unlike(path, f": {type(error).__name__}") from error
    if not isinstance(state, dict) or state.get("schema") != SCHEMA:
        raise RecipeError(f"{path} is of another version of zoo.")
    if known is None:
        log.warning("%s is of an older zoo, and not checked: nothing has its sha256.", path)
    return state


def _unlike(path: Path, how: str) -> RecipeError:
    return RecipeError(
        f"{path} cannot be read {how}: it is damaged, or of another run.".replace(" :", ":"),
        hint="The best weights are a file of their own; remove last/ to train from the start.",
    )


@contextlib.contextmanager
def taking_up(path: Path | None) -> Iterator[None]:
    """Raises RecipeError where the saved state is not what a training goes on from."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise _unlike(path / STATE if path else Path(STATE), f": {described(error)}") from error


def random_state(device: torch.device) -> dict[str, Any]:
    """The random generators of this process."""
    generators = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        generators["cuda"] = torch.cuda.get_rng_state(device)
    return generators


def random_states(device: torch.device) -> list[dict[str, Any]]:
    """The random generators of all processes, in their order; all of them ask."""
    own, distributed = random_state(device), torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return [own]
    states = [own] * distributed.get_world_size()
    distributed.all_gather_object(states, own)
    return states


def set_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Set the random generators of this process."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)

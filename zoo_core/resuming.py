"""Where a training stands: `last/state.pt` of a run folder, from which it goes on bit for bit.

It holds what training has moved (all else is in the base, by its hash), the optimizer, the
regularizers, the random generators, the best weights so far and the place in the schedule.
"""

from __future__ import annotations

import io
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

import torch

from zoo_core.errors import RecipeError
from zoo_core.runs.folder import kept_whole
from zoo_core.transfer.snapshot import Snapshot

if TYPE_CHECKING:
    from zoo_core.engine import Session

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


# --- of a session --------------------------------------------------------------------------------


def state_of(session: Session, generators: list[dict[str, Any]]) -> dict[str, Any]:
    """Where a session stands; `generators`: the random ones of each of its processes."""
    tensors = session.model.state_dict()
    scaler = session.precision.scaler
    return {
        "place": session.place.state_dict(),
        "best": {"tensors": session.best.tensors, "row": session.record.best},
        "tried": vars(session.tried),
        "history": session.record.history,
        "model": {name: tensors[name] for name in session.moved},
        "base": session.base,
        "optimizer": session.optimizer.state_dict(),
        "scaler": scaler.state_dict() if scaler is not None else None,
        "regularizers": session.stack.state_dict(),
        "random": generators,
        "pieces": session.fitting.pieces,
        "seconds": [session.seconds, session.validating],
        "caches": session.caches,
    }


def go_back(session: Session, state: Mapping[str, Any]) -> None:
    """Give a session the place, history and best weights of where it stood.

    Raises RecipeError where it stands on other weights now.
    """
    if state["base"] != session.base:
        raise RecipeError(
            f"{session.record.path} stands on other weights than these.",
            hint="Give the model that the run began with.",
        )
    session.place.load_state_dict(state["place"], session.device)
    rows = state["history"]
    session.record.history = [row for row in rows if row["epoch"] or not session.total]
    session.record.best = state["best"]["row"]
    session.best = Snapshot.of(state["best"]["tensors"])
    vars(session.tried).update(state["tried"])
    session.fitting.pieces = state["pieces"]
    session.seconds, session.validating = state["seconds"]
    session.caches = dict(state["caches"])


def take_up(session: Session, state: Mapping[str, Any]) -> None:
    """The rest, once all parts of the phase are there.

    Raises RecipeError where there were more processes, or fewer.
    """
    session.optimizer.load_state_dict(state["optimizer"])
    if session.precision.scaler is not None:
        session.precision.scaler.load_state_dict(state["scaler"])
    session.stack.load_state_dict(state["regularizers"])
    generators, world = state["random"], session.processes.world
    if len(generators) != world:
        raise RecipeError(
            f"The run had {len(generators)} processes, and this is {world}.",
            hint="Go on with as many, so that the result is the same.",
        )
    set_random_state(generators[session.processes.rank], session.device)


def random_state(device: torch.device) -> dict[str, Any]:
    """The random generators of this process."""
    found = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        found["cuda"] = torch.cuda.get_rng_state(device)
    return found


def set_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Set the random generators of this process."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)


# --- while it runs -------------------------------------------------------------------------------


class Interrupts:
    """Ctrl-C and SIGTERM wait inside, so that a step ends before the training does.

    `caught`: the number of the signal that came, or None. A second one does not wait. Outside the
    main thread nothing changes.
    """

    def __init__(self) -> None:
        self.caught: int | None = None

    def __enter__(self) -> Interrupts:
        self.before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self._catch)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _catch(self, number: int, frame: FrameType | None) -> None:
        if self.caught is not None:
            raise _end(number)
        self.caught = number

    def raise_caught(self) -> None:
        """End as the signal wants: KeyboardInterrupt, or SystemExit with 128 + its number."""
        if self.caught is not None:
            raise _end(self.caught)


def _end(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)


class Clock:
    """When it is time to save again."""

    def __init__(self) -> None:
        self.saved = time.monotonic()

    def is_due(self, seconds: float) -> bool:
        """Whether so many seconds have gone by since the last save."""
        return time.monotonic() - self.saved >= seconds

    def restart(self) -> None:
        """A save was made just now."""
        self.saved = time.monotonic()

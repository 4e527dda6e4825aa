"""Run by one or several processes: a fine-tune on a stream, whose result is written for the test.

Arguments: a folder for the results, the arguments of `finetune` as JSON, and after how many steps
the process is killed, where it is.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import torch

import zoo_core as zoo
from zoo_core.training import epochs
from zoo_core.training.step import Stepper


def dying(steps: int) -> None:
    """From the step of that number on, there is no process any more; each before it is saved."""
    epochs.AFTER_STEP = 0.0
    taken, step = iter(range(steps)), Stepper.step

    def last(self: Stepper, batch: object) -> torch.Tensor:
        if next(taken, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, batch)  # type: ignore[arg-type]

    Stepper.step = last  # type: ignore[method-assign]


def main(folder: Path, given: dict[str, object], steps: int | None) -> None:
    if steps is not None:
        dying(steps)
    torch.manual_seed(0)
    model = zoo.create("lenet5", num_classes=3, dtype=torch.float64)
    run = zoo.finetune(model, progress=False, **given)  # type: ignore[arg-type]
    rank = os.environ.get("RANK", "0")
    torch.save((run.history, run.model.state_dict()), folder / f"{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3]) if sys.argv[3:] else None)

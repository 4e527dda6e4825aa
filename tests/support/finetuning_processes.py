"""Run by several processes: a fine-tune whose result is written for the test to compare.

Arguments: a folder for the results, then cases by name, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

import zoo_core as zoo
from zoo_core.data.opening import open_data


class Dies(zoo.Regularizer):
    """Kills the second process after a step, without a word."""

    def weights(self) -> None:
        if os.environ["RANK"] == "1":
            os._exit(9)


def main(folder: Path, cases: dict[str, dict]) -> None:
    for name, case in cases.items():
        (folder / name).mkdir(exist_ok=True)
        train(folder / name, case)


def train(folder: Path, case: dict) -> None:
    rank = int(os.environ.get("RANK", 0))
    digits = open_data("digits").subset(range(0, 1797, 9))
    torch.manual_seed(0)
    # Sigmoids have no kinks: rounding in the sums of gradients stays as small as it is.
    model = zoo.create("lenet5", pretrained=True, dtype=torch.float64)
    members = [Dies() if name == "dies" else name for name in case.pop("regularizers", [])]
    out = folder / "run" if case.pop("folder", False) else False
    run = zoo.finetune(model, digits, regularizers=members, out=out, progress=True, **case)
    rows = [{k: r[k] for k in ("epoch", "loss", "val_loss", "val_accuracy")} for r in run.history]
    told = {"rows": rows, "best": run.best["epoch"], "path": str(run.path)}
    (folder / f"{rank}.json").write_text(json.dumps(told))
    torch.save(run.model.state_dict(), folder / f"{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))

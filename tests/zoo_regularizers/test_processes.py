"""Two processes on gloo give what one does, on every rank."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.places import TESTS

NAMES = [
    *("l1=0.01", "l2=0.01", "elastic-net", "group-lasso=0.01", "l2-sp=0.1", "max-norm=0.5"),
    *("orthogonal=0.01", "gradient-clip=0.1", "agc", "gradient-noise", "ema=0.5", "swa=1"),
    *("label-smoothing", "confidence-penalty", "sam", "sam:adaptive=true,rho=0.5"),
    "early-stopping=2",
]


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "support.two_processes", str(tmp_path / "store")]
    running = [
        subprocess.Popen(
            [*command, str(rank), *NAMES],
            cwd=TESTS,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    ends = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], ends
    said = [line for out, _ in ends for line in out.splitlines()]
    assert [line for line in said if not line.startswith("[Gloo]")] == []

"""The real client, in a process of its own: for what it reads once, when it is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hub.server import HubServer

SECONDS = 120


def run_client(
    hub: HubServer, code: str, home: Path, *, token: str | None = "hf_write", **variables: str
) -> str:
    """What Python code prints that runs with this Hub as the only one; `home` is its HF_HOME."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **hub.environment(home, token), **variables},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout

"""How much memory some code adds at its peak, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

FRAME = """
import sys
from pathlib import Path

def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) * 1024

{before}
Path("/proc/self/clear_refs").write_text("5")
resident = status("VmRSS")
{code}
print(status("VmHWM") - resident)
"""


def peak(before: str, code: str, *words: str) -> int:
    """Bytes that `code` adds to what is resident after `before`: the kernel's own peak. `words`:
    what both find in sys.argv from 1 on. Linux alone has it."""
    command = [sys.executable, "-c", FRAME.format(before=before, code=code), *words]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

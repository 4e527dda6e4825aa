"""One endpoint for the whole test session, on loopback.

`huggingface_hub` reads its endpoint once, when it is imported. So it is set before that, whatever
a test module imports, and nobody listens there but in a test with the fixture `hub`: no test
reaches the real Hub.
"""

from __future__ import annotations

import atexit
import functools
import os
import random
import shutil
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hub.server import environment

OTHERS = ("HF_", "HUGGINGFACE_", "HUGGING_FACE_", "TRANSFORMERS_OFFLINE")
NEVER_EPHEMERAL = range(20_000, 32_000)  # ports that no system hands out by itself


@dataclass(frozen=True)
class Sealed:
    """The port of the session's endpoint, and its HF_HOME."""

    port: int
    home: Path


@functools.cache
def seal() -> Sealed:
    """Set the environment of this process, once; it stays, and the processes it starts have it."""
    if "huggingface_hub" in sys.modules:
        raise RuntimeError("seal() comes too late: huggingface_hub has been imported already")
    sealed = Sealed(free_port(), Path(tempfile.mkdtemp(prefix="hf-")))
    atexit.register(shutil.rmtree, sealed.home, ignore_errors=True)
    for name in [name for name in os.environ if name.startswith(OTHERS)]:
        del os.environ[name]
    os.environ.update(environment(f"http://127.0.0.1:{sealed.port}", sealed.home, None))
    return sealed


def free_port() -> int:
    for port in random.SystemRandom().sample(NEVER_EPHEMERAL, 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise OSError("no free port on loopback")

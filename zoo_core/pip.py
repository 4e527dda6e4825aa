"""The running Python's pip, or uv where it has none; what they say goes where our own words go."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec

from zoo_core.errors import PluginError


def pip(verb: str, *words: str) -> int:
    """Run `pip VERB WORDS...` and return its exit code; nothing is asked.

    `verb`: install or uninstall. Raises PluginError where there is neither pip nor uv.
    """
    yes = ["--yes"] if verb == "uninstall" else []
    if find_spec("pip") is not None:
        command = [sys.executable, "-m", "pip", verb, *yes]
    elif uv := shutil.which("uv"):
        command = [uv, "pip", verb, "--python", sys.executable]
    else:
        raise PluginError(
            f"{sys.executable} has no pip, and there is no uv on the PATH.",
            hint=f"Give it one: {sys.executable} -m ensurepip",
        )
    return subprocess.run([*command, *words], check=False).returncode

"""A new virtual environment that sees this one's packages and this checkout, and a shell in it."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import venv
from collections.abc import Mapping
from pathlib import Path

from support.places import ROOT

SCRIPT = """#!{python}
import sys
from zoo_core.cli import main
sys.exit(main())
"""


class NewEnvironment:
    """What is installed here is in a folder of its own, and pip comes from outside.

    Nothing is fetched, and packages are built with what is here. `variables` are added to those of
    its processes, which work in `folder`.
    """

    def __init__(self, folder: Path, variables: Mapping[str, str] | None = None) -> None:
        self.folder, self.variables = folder, dict(variables or {})
        venv.create(folder / "venv", symlinks=True)
        self.bin = folder / "venv" / "bin"
        self.python = self.bin / "python"
        paths = {"base": str(folder / "venv"), "platbase": str(folder / "venv")}
        self.packages = Path(sysconfig.get_path("purelib", vars=paths))
        others = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
        lines = [*dict.fromkeys(others), str(ROOT), str(ROOT / "plugins")]
        (self.packages / "others.pth").write_text("\n".join(lines) + "\n")
        (self.bin / "zoo").write_text(SCRIPT.format(python=self.python))
        (self.bin / "zoo").chmod(0o755)

    def run(self, *words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program in it, `zoo` and `python` being its own; its output, and what it said."""
        dropped = ("ZOO_", "PYTHON", "PIP_", "HF_")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
        path = os.pathsep.join([str(self.bin), clean.get("PATH", "")])
        # "0": no isolation
        pip = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
        quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_CACHE_DIR": "1", "MPLBACKEND": "agg"}
        env = {**clean, "PATH": path, **pip, **quiet, **self.variables, **variables}
        return subprocess.run(
            [str(word) for word in words],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def type(self, line: str, **variables: str) -> str:
        """Type a line into a shell; it must do well. What it printed."""
        done = self.run("sh", "-c", line, **variables)
        assert done.returncode == 0, f"$ {line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def fails(self, line: str, **variables: str) -> str:
        """Type a line that must fail with 1 and without a traceback. What it said on stderr."""
        done = self.run("sh", "-c", line, **variables)
        assert done.returncode == 1, f"$ {line}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stderr

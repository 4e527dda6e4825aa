"""Consoles that cannot show every name, and closed ones: nothing is lost after the work."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import zoo_core as zoo
from zoo_core.cli import main

NAMES = ("猫", "chien été", "🦊")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on pictures with names that few code pages have, in a folder with such a name."""
    folder = tmp_path_factory.mktemp("streams") / "Bilder 🐾"
    for number, name in enumerate(NAMES):
        (folder / name).mkdir(parents=True)
        for shade in range(5):
            Image.new("L", (28, 28), 80 * number + shade).save(folder / name / f"{shade}.png")
    given = {"freeze_until": "head", "epochs": 1, "progress": False}
    return zoo.finetune("lenet5", f"folder:{folder}", out=folder.parent / "läuft", **given).path


def asked(encoding: str, *words: object) -> str:
    """What the command wrote to a stdout of that encoding, in this process."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding=encoding)
    err = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(map(str, words)))
        out.flush()
    assert code == 0
    return raw.getvalue().decode("utf-8" if encoding == "ascii" else encoding)  # click's choice


def picture_of(run: Path) -> Path:
    return run.parent / "Bilder 🐾" / NAMES[0] / "0.png"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_any_code_page(run: Path, encoding: str) -> None:
    shown = "猫" if encoding in ("utf-8", "ascii") else r"\u732b"
    assert shown in asked(encoding, "predict", run, picture_of(run))
    assert shown in asked(encoding, "predict", run, picture_of(run), "--csv")
    assert shown in asked(encoding, "evaluate", run)
    for form in ((), ("--csv",), ("--json",)):
        assert "lenet5" in asked(encoding, "runs", run.parent, *form)
    plain = zoo.predict(run, picture_of(run), top=3, progress=False)
    said = asked(encoding, "predict", run, picture_of(run), "--json")
    assert [one["label"] for one in json.loads(said)] == [plain[0]["label"]]
    assert {name for name, _ in json.loads(said)[0]["top"]} == set(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_finetune_in_a_process_of_its_own(run: Path, encoding: str) -> None:
    out = run.parent / f"nächster 🐾 {encoding}"
    code = "import sys; from zoo_core.cli import main; sys.exit(main())"
    words = ["finetune", "lenet5", "--data", f"folder:{run.parent / 'Bilder 🐾'}", "--out", out]
    done = subprocess.run(
        [sys.executable, "-c", code, *words, "--epochs", "1", "--freeze-until", "head"],
        capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"on validation" in done.stdout
    assert zoo.create(out).labels == tuple(sorted(NAMES))


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams(closed: str, tmp_path: Path) -> None:
    code = "import sys; from zoo_core.cli import main; sys.exit(main(['list', 'lenet*']))"
    command = f'"{sys.executable}" -c "{code}" {closed}'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert ("lenet5" in done.stdout) == (closed == "2>&-")


class Full(io.StringIO):
    """A stream on a full disk, or one that nobody reads any more."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, text: str) -> int:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("stream", [Full(errno.ENOSPC), Full(errno.EPIPE), None])
def test_a_stderr_that_takes_nothing_ends_no_training(
    run: Path, stream: Full | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    given = {"freeze_until": "head", "epochs": 1, "progress": True}
    trained = zoo.finetune(
        "lenet5", f"folder:{run.parent / 'Bilder 🐾'}", out=tmp_path / "r", **given
    )
    assert (trained.path / "report.html").exists()


def test_a_full_stdout_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Full(errno.ENOSPC))
    assert main(["list", "lenet*"]) == 1
    said = capsys.readouterr().err
    assert said == "Error: No space left on device: where the output goes, or a file is written.\n"


@pytest.mark.parametrize(
    "error",
    [MemoryError(), ImportError("libtorch_cpu.so: failed to map segment from shared object")],
)
def test_too_little_memory(
    error: Exception, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*words: object, **more: object) -> None:
        raise error

    monkeypatch.setattr("zoo_core.cli.zoo.main", fail)
    assert main(["list"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("Error: Not enough memory") and "ulimit -v" in said


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_too_little_memory_to_import_torch() -> None:
    command = f'ulimit -v 1000000; "{sys.executable}" -m zoo_core stages lenet5'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 2
    assert done.stderr.startswith("Error: Not enough memory")

"""Consoles that cannot show every name, and closed ones: nothing is lost after the work."""

from __future__ import annotations

import contextlib
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

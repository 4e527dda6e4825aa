"""Consoles that cannot show every name, and those that are closed: nothing is lost after the work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import zoo_core as zoo

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


def asked(encoding: str, *words: object) -> subprocess.CompletedProcess[bytes]:
    code = "import sys; from zoo_core.cli import main; sys.exit(main())"
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, capture_output=True, env=env, check=False)


def picture_of(run: Path) -> Path:
    return run.parent / "Bilder 🐾" / NAMES[0] / "0.png"


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_predict_and_evaluate_on_any_code_page(run: Path, encoding: str) -> None:
    for words in (("predict", run, picture_of(run)), ("evaluate", run), ("runs", run)):
        done = asked(encoding, *words)
        assert done.returncode == 0, done.stderr
        said = done.stdout.decode(encoding)
        if words[0] != "runs":
            shown = "猫" if encoding == "utf-8" else r"\u732b"
            assert shown in said, said
    plain = json.loads(asked("utf-8", "predict", run, picture_of(run), "--json").stdout)
    done = asked(encoding, "predict", run, picture_of(run), "--json")
    assert json.loads(done.stdout.decode(encoding)) == plain
    assert {name for name, _ in plain[0]["top"]} == set(NAMES)


@pytest.mark.slow
def test_finetune_on_a_code_page_without_the_names(run: Path) -> None:
    out = run.parent / "nächster 🐾"
    data = f"folder:{run.parent / 'Bilder 🐾'}"
    words = ("finetune", "lenet5", "--data", data, "--epochs", 1, "--out", out)
    done = asked("ascii", *words, "--freeze-until", "head", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.decode("ascii"))["path"] == str(out)
    assert zoo.create(out).labels == tuple(sorted(NAMES))


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams(closed: str, tmp_path: Path) -> None:
    code = "import sys; from zoo_core.cli import main; sys.exit(main(['list', 'lenet*']))"
    command = f'"{sys.executable}" -c "{code}" {closed}'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert ("lenet5" in done.stdout) == (closed == "2>&-")

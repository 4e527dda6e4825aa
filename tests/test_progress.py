"""The bar, in a terminal of its own and out of it."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from support.hostile import HOSTILE, OBEYED, SHOWN, Terminal

from zoo_core.progress import Bar, field_text, fitting

TRAINING = """
import time
from zoo_core.progress import Bar
with Bar("epoch 1/2", total=6400, unit="pictures") as bar:
    for i in range(100):
        time.sleep(0.01)
        if i == 50:
            bar.title = "epoch 2/2"
            bar.line("epoch 1/2  loss 0.2500")
        bar.step(count=64, loss=1 / (i + 1), accuracy=0.5, memory=lambda: 2e9)
"""


def in_terminal(code: str, columns: int = 80) -> list[str]:
    """What a process draws on a terminal, drawing by drawing, without escape codes."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm-256color"}
    process = subprocess.Popen([sys.executable, "-c", code], stderr=theirs, env=env)
    os.close(theirs)
    drawn = b""
    try:
        while piece := os.read(ours, 65536):
            drawn += piece
    except OSError:  # nobody is at the other end any more
        pass
    os.close(ours)
    assert process.wait() == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.decode())
    return [line.rstrip() for line in re.split(r"[\r\n]+", plain) if line.strip()]


def test_a_training_in_a_terminal_of_80_columns() -> None:
    lines = in_terminal(TRAINING)
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("epoch 1/2 ━") and "0/6400" in lines[0]
    last = lines[-1]
    assert last.startswith("epoch 2/2 ━") and " 6400/6400 00:00 loss 0.0100 accuracy 50.0% " in last
    assert re.search(r" 50.0% [\d,]+/s 2.0 GB$", last)
    assert "epoch 1/2  loss 0.2500" in lines
    assert len(lines) < 50  # drawn now and then, not for every step


def test_a_narrow_terminal_shows_what_matters_most() -> None:
    lines = in_terminal(TRAINING, columns=60)
    assert max(map(len, lines)) <= 60
    assert "loss 0.0100" in lines[-1] and "GB" not in lines[-1]


def test_no_terminal_has_lines_only(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar("training", total=2) as bar:
        bar.step("a note", loss=0.5)
        bar.update_total(3)
        bar.title = "still training"
        bar.line("epoch 1")
    assert tuple(capsys.readouterr()) == ("", "epoch 1\n")
    with Bar("training", total=2, shown=False) as bar:
        bar.line("epoch 1")
    assert tuple(capsys.readouterr()) == ("", "")


def test_fields_are_looked_at_only_when_drawn() -> None:
    def never() -> float:
        raise AssertionError("looked at")

    with Bar("training", total=1) as bar:  # pytest's stderr is no terminal
        bar.step(memory=never)


def test_steps_cost_nothing_to_speak_of(tmp_path: Path) -> None:
    """Microseconds per step: under 2 where nothing is drawn, under 20 on a terminal."""
    with Bar("training", total=10) as bar:
        assert _best(lambda: bar.step(loss=0.5, accuracy=0.25)) < 2e-6
    report = tmp_path / "seconds"
    in_terminal(
        "import time\n"
        "from zoo_core.progress import Bar\n"
        "with Bar('training', total=200_000, unit='pictures') as bar:\n"
        "    start = time.perf_counter()\n"
        "    for _ in range(200_000):\n"
        "        bar.step(loss=0.5, accuracy=0.25)\n"
        f"    open({str(report)!r}, 'w').write(str(time.perf_counter() - start))\n"
    )
    assert float(report.read_text()) / 200_000 < 20e-6


def _best(step: object, times: int = 20_000) -> float:
    """Seconds of one call, the best of five rounds: others work on this machine, too."""
    assert callable(step)
    rounds = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(times):
            step()
        rounds.append((time.perf_counter() - start) / times)
    return min(rounds)


def test_a_total_that_turns_out_later() -> None:
    code = "from zoo_core.progress import Bar\nwith Bar('reading', total=1) as bar:\n"
    lines = in_terminal(code + "    bar.update_total(40)\n    bar.step(count=40)\n")
    assert " 40/40 " in lines[-1]


def test_a_long_note_is_cut_and_the_rest_stays() -> None:
    code = "from zoo_core.progress import Bar\nwith Bar('[b]jobs', total=9) as bar:\n"
    last = in_terminal(code + "    bar.step('layer4[3]: ' + 99 * 'x')\n")[-1]
    assert last.startswith("[b]jobs ━") and "layer4[3]: xx" in last and last.endswith("x…")


@pytest.mark.parametrize(
    ("width", "expected"),
    [(30, "loss 0.1 50% 2 GB"), (13, "loss 0.1 50%"), (8, "loss 0.1"), (5, "loss…"), (0, "…")],
)
def test_fitting(width: int, expected: str) -> None:
    assert fitting(["loss 0.1", "50%", "2 GB"], width) == expected


def test_fields_of_all_kinds() -> None:
    assert field_text("loss", torch.tensor(0.25)) == "loss 0.250"
    assert field_text("loss", float("nan")) == "loss nan"
    assert field_text("val_accuracy", lambda: 0.5) == "val accuracy 50.0%"


def test_names_in_a_bar_and_its_lines_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    err = Terminal()
    monkeypatch.setattr("sys.stderr", err)
    with Bar(HOSTILE, total=2, unit="bytes") as bar:
        bar.line(HOSTILE)
        bar.title = f"2{HOSTILE}"
        bar.step(HOSTILE, **{HOSTILE: 0.5})
    said = re.sub(r"\x1b\[([0-9;]*[mAK]|\?25[hl])|\r", "", err.getvalue())
    assert not OBEYED.search(said), ascii(said)
    said = said.replace("\n", "")  # where a line has no room it folds; a title is cut
    assert f"{SHOWN}[link=http:e]l[/link]:smile:" in said and f"2{SHOWN[:60]}" in said

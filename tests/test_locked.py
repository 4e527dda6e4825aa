"""A lock that another process holds: who waits says for what, and not for ever."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import zoo_core as zoo
from zoo_core import cache

HOLD = """
import sys
from zoo_core.cache import locked
with locked("https://me:secret@host/x?token=hush"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    monkeypatch.setattr(cache, "PATIENCE", 0.1)
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_who_waits_says_for_what_and_gives_up(
    holder: subprocess.Popen[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(cache, "LONGEST", 0.1)
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(zoo.WeightsError, match=r"Another process .* https://host/x for over"),
        cache.locked("https://me:secret@host/x?token=hush"),
    ):
        pass
    [said] = caplog.messages
    assert said == "Another process works on https://host/x: waiting for it, 0.1 s at most."


def test_a_process_that_dies_lets_go(
    holder: subprocess.Popen[str], caplog: pytest.LogCaptureFixture
) -> None:
    holder.kill()
    holder.wait()
    with caplog.at_level(logging.WARNING), cache.locked("https://me:secret@host/x?token=hush"):
        assert caplog.messages == []

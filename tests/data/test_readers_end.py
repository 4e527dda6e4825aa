"""However a training with readers ends, its readers end, within seconds, and one line says why."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

import zoo_core as zoo
from zoo_core.data import readers, room, standstill
from zoo_core.data.loader import Feed, Order, loader
from zoo_core.data.opening import open_data
from zoo_core.data.samples import Samples
from zoo_core.training.epochs import Timed
from zoo_core.training.interrupts import Interrupts


class Own(Dataset[Any]):
    """Two dozen items; `does` what it does at the tenth, in a reader."""

    def __init__(self, does: Callable[[], None]) -> None:
        self.does = does

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if index == 9 and get_worker_info() is not None:
            self.does()
        return torch.zeros(1, 8, 8), index % 2


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def wait() -> None:
    time.sleep(1000)


def damaged() -> None:
    raise zoo.DataError("d/a/9.png cannot be read.", hint="Remove it.")


def own_error() -> None:
    raise LookupError(9, "lives")


def feed(does: Callable[[], None], workers: int = 2) -> Feed:
    samples = Samples(open_data(Own(does)), torch.nn.Identity(), random=True, seed=0)
    return Feed(samples, Order(24, 4, seed=None), workers)


@pytest.fixture(autouse=True)
def no_reader_is_left() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


def read(does: Callable[[], None]) -> float:
    """Read an epoch; returns how long the readers took to end after it, or after its error."""
    batches = feed(does)
    try:
        with readers.readers_watched():
            list(batches.epoch(1))
    finally:
        start = time.monotonic()
        batches.close()
        took = time.monotonic() - start
        assert took < 4, took
    return took


def test_an_error_comes_as_it_was_raised() -> None:
    with pytest.raises(zoo.DataError) as caught:
        read(damaged)
    assert (caught.value.message, caught.value.hint) == ("d/a/9.png cannot be read.", "Remove it.")
    with pytest.raises(LookupError) as other:
        read(own_error)
    assert other.value.args == (9, "lives")
    assert "own_error" in str(other.value.__cause__)  # where it was raised


def test_a_stopped_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standstill, "STOPPED", 0.5)
    with pytest.raises(zoo.DataError, match=r"\(pid \d+\) has been stopped for .* s\.") as caught:
        read(stop)
    assert "SIGSTOP" in caught.value.hint and "workers=0" in caught.value.hint


def test_a_reader_that_is_stopped_while_it_hands_a_batch_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread of the reader does so, and who receives waits for it without a look at a clock."""
    monkeypatch.setattr(standstill, "STOPPED", 0.5)
    batches = feed(lambda: None, workers=1)
    reading = batches.epoch(1)
    next(reading)
    (reader,) = multiprocessing.active_children()
    time.sleep(0.5)  # it has the next batches ready
    os.kill(reader.pid or 0, signal.SIGSTOP)
    with pytest.raises(zoo.DataError, match="has been stopped for"):
        list(reading)
    batches.close()


def test_a_reader_that_reads_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standstill, "STILL", 0.5)
    with pytest.raises(zoo.DataError, match=r"\(pid \d+\) has read none for") as caught:
        read(wait)
    assert "a disk or a network" in caught.value.hint


def test_slow_is_not_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch may take longer than the limit, where its pictures come."""
    monkeypatch.setattr(readers, "LOOK", 0.1)
    monkeypatch.setattr(standstill, "STILL", 0.8)
    samples = Samples(open_data(Slow(wait)), torch.nn.Identity(), random=True, seed=0)
    batches = Feed(samples, Order(6, 6, seed=None), 1)
    start = time.monotonic()
    assert len(list(batches.epoch(1))) == 1 and time.monotonic() - start > 1.5
    batches.close()


class Slow(Own):
    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        time.sleep(0.3)
        return super().__getitem__(index)

    def __len__(self) -> int:
        return 6


def test_time_in_which_all_were_stopped_does_not_count() -> None:
    still = standstill.Standstill([0])
    still.look([psutil.Process()], seconds=10_000)
    assert still.waited == 2 * standstill.LOOK


@pytest.mark.skipif(sys.platform != "linux", reason="the signal is Linux's number")
def test_memory_that_is_not_there() -> None:
    with pytest.raises(zoo.DataError, match="shared memory") as caught:
        read(lambda: os.kill(os.getpid(), signal.SIGBUS))
    assert "--shm-size" in caught.value.hint


def test_a_batch_that_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def sent(self: Any, storage: Any = None) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch.UntypedStorage, "_share_fd_cpu_", sent)
    with pytest.raises(zoo.DataError, match="shared memory"):
        read(lambda: None)


def test_a_pass_that_is_left_and_an_evaluation_end_their_readers() -> None:
    samples = Samples(open_data(Own(stop)), torch.nn.Identity(), random=True, seed=0)
    batches = loader(samples, 4, shuffle=False, workers=1)
    next(iter(batches))
    assert len(multiprocessing.active_children()) == 1
    batches.close()


def test_a_signal_while_a_batch_is_waited_for() -> None:
    batches = feed(wait)
    with Interrupts() as interrupts:
        batches.waiting = interrupts.leave_the_wait
        interrupts.caught = signal.SIGTERM
        timed = Timed(batches.epoch(1))
        assert len(list(timed)) <= 2 and timed.left
    batches.close()


@pytest.mark.parametrize(("limit", "used", "most"), [(16, 6, 0), (64, 10, 2), (1024, 15, 8)])
def test_open_files(limit: int, used: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda what: (limit, limit))
    monkeypatch.setattr(os, "listdir", lambda path: [""] * used)
    count, why = room.with_room(8, lambda: 1)
    assert count == most and (f"{limit} files" in why) == (most < 8)


def test_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    place = SimpleNamespace(free=64 * 2**20)
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: place)
    batch = 32 * 3 * 224 * 224 * 4  # 19 MB, of which a reader needs three
    assert room.with_room(2, lambda: batch // 16) == (2, "")
    count, why = room.with_room(2, lambda: batch)
    assert count == 0 and "/dev/shm" in why and "--shm-size" in why
    assert room.with_room(1, lambda: batch // 4)[0] == 1


TRAINING = """
import sys, time
import torch
import zoo_core as zoo
from torch.utils.data import Dataset

class Own(Dataset):
    def __len__(self): return 24
    def __getitem__(self, i): return torch.zeros(1, 32, 32), i % 2

zoo.finetune("lenet5", Own(), epochs=100000, workers=2, out="run")
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"])
def test_a_signal_leaves_no_reader(number: str, tmp_path: Path) -> None:
    """Also readers that are stopped end, with the process that they read for."""
    words = [sys.executable, "-c", TRAINING.replace("time\n", f"time\n{HELD}\n", 1)]
    training = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE)
    rows = tmp_path / "run" / "metrics.jsonl"
    try:
        while not (rows.exists() and rows.stat().st_size) and training.poll() is None:
            time.sleep(0.05)
        children = psutil.Process(training.pid).children()
        assert len(children) >= 2
        children[0].suspend()
        training.send_signal(getattr(signal, number))
        training.communicate(timeout=40)
    finally:
        training.kill()
    assert psutil.wait_procs(children, timeout=5)[1] == []


HELD = "import zoo_core.data.samples; zoo_core.data.samples.MEMORY = 0"

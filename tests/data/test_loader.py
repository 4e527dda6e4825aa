"""Batches from processes that read pictures: the same ones, and no process is left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset, get_worker_info

import zoo_core as zoo
from zoo_core.data.loader import Feed, Order
from zoo_core.data.opening import open_data
from zoo_core.data.samples import Samples


def feed(workers: int) -> Feed:
    x = torch.arange(26.0).view(26, 1, 1, 1)
    pictures = open_data(TensorDataset(x, torch.arange(26) % 3))
    samples = Samples(pictures, torch.nn.Identity(), random=False, seed=0)
    return Feed(samples, Order(26, 8, seed=0), workers)


def test_processes_read_the_same_batches_and_end_at_once():
    alone, together = feed(0), feed(1)
    for epoch, start in ((1, 0), (2, 0), (2, 3)):
        found = list(zip(alone.epoch(epoch, start), together.epoch(epoch, start), strict=True))
        assert len(found) == 4 - start
        for ours, theirs in found:
            assert torch.equal(ours.x, theirs.x) and torch.equal(ours.y, theirs.y)
            assert torch.equal(ours.indices, theirs.indices)
    assert len(multiprocessing.active_children()) == 1
    start = time.monotonic()
    together.close()
    assert multiprocessing.active_children() == [] and time.monotonic() - start < 3


TRAINING = """
import multiprocessing
import torch
from torch.utils.data import TensorDataset
import zoo_core as zoo
data = TensorDataset(torch.randn(20, 1, 32, 32), torch.arange(20) % 2)
model = zoo.create("lenet5")
zoo.finetune(model, data, epochs=1, workers=1, out=False, progress=False)
print(len(multiprocessing.active_children()))
"""


class Deadly(Dataset[Any]):
    """The process that reads its tenth picture is killed, where it is one for reading."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if index == 9 and get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return torch.zeros(1, 32, 32), index % 2


def test_a_reader_that_is_killed_ends_the_training_with_a_word(monkeypatch):
    monkeypatch.setattr("zoo_core.data.samples.MEMORY", 0)
    with pytest.raises(zoo.DataError, match=r"A process that reads pictures was ended") as caught:
        given = {"val": False, "out": False, "progress": False, "batch_size": 4}
        zoo.finetune("lenet5", Deadly(), workers=1, **given)
    assert "workers=1, or 0 for none" in caught.value.hint


def test_a_training_leaves_no_process_behind():
    done = subprocess.run([sys.executable, "-c", TRAINING], capture_output=True, text=True)
    assert done.stdout == "0\n", done.stderr

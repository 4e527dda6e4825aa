"""Scripts as people write them, where readers are not forked: one clear line instead of many."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BEGIN = """
import multiprocessing, torch
import zoo_core as zoo
from torch.utils.data import Dataset

class Own(Dataset):
    def __init__(self, change): self.change = change
    def __len__(self): return 12
    def __getitem__(self, i): return self.change(torch.full((1, 32, 32), float(i))), i % 2

def same(x): return x

def work(change, method):
    multiprocessing.set_start_method(method, force=True)
    given = {"progress": False, "workers": 2}
    DOES
    print("done")
"""
EVALUATE = 'zoo.evaluate(zoo.create("lenet5", num_classes=2), Own(change), **given)'
FINETUNE = 'zoo.finetune("lenet5", Own(change), epochs=1, out="run", **given)'


def script(folder: Path, does: str, end: str) -> subprocess.CompletedProcess[str]:
    path = folder / "script.py"
    path.write_text(BEGIN.replace("DOES", does) + end, encoding="utf-8")
    words = [sys.executable, "-W", "ignore", str(path)]
    return subprocess.run(words, capture_output=True, text=True, cwd=folder, env=os.environ)


@pytest.mark.parametrize("does", [EVALUATE, FINETUNE], ids=["evaluate", "finetune"])
def test_a_lambda_cannot_be_sent(does: str, tmp_path: Path) -> None:
    end = 'if __name__ == "__main__":\n    work(lambda x: x, "spawn")\n'
    done = script(tmp_path, does, end)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "DataError: The data cannot be sent to the processes that read pictures" in last
    assert "lambda" in last and "workers=0" in last


@pytest.mark.parametrize("does", [EVALUATE, FINETUNE], ids=["evaluate", "finetune"])
def test_a_script_without_a_main_guard(does: str, tmp_path: Path) -> None:
    done = script(tmp_path, does, 'work(same, "spawn")\n')
    assert done.returncode == 1
    assert "cannot start" in done.stderr and '`if __name__ == "__main__":`' in done.stderr
    assert "bootstrapping" not in done.stderr
    assert done.stderr.count("DataError: ") == 1, done.stderr


def test_a_script_with_a_main_guard(tmp_path: Path) -> None:
    done = script(tmp_path, EVALUATE, 'if __name__ == "__main__":\n    work(same, "spawn")\n')
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr

"""What a plugin's import changes for all code of a process is put back, and told."""

from __future__ import annotations

import builtins
import locale
import logging
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from zoo_core.plugins.calling import running
from zoo_core.plugins.manager import BUILT_IN, Plugin
from zoo_core.plugins.shared_state import Shared, everything
from zoo_core.plugins.surroundings import kept


def _rows() -> dict[str, Shared]:
    return {shared.what: shared for shared in everything(lambda name: name in sys.modules)}


def _log() -> None:
    logging.basicConfig(force=True, level=logging.DEBUG)


CHANGES: dict[str, Callable[[], object]] = {
    "the working folder": lambda: os.chdir("/"),
    "the umask": lambda: os.umask(0),
    "environment variables HF_HUB_OFFLINE": lambda: os.environ.update(HF_HUB_OFFLINE="7"),
    "signal handlers SIGTERM": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "the alarm clock": lambda: signal.alarm(1_000),
    "sys.path": lambda: sys.path.insert(0, "/elsewhere"),
    "streams and hooks of sys stdout": lambda: setattr(sys, "stdout", sys.__stderr__),
    "streams and hooks of sys excepthook": lambda: setattr(sys, "excepthook", print),
    "built-in functions print": lambda: setattr(builtins, "print", len),
    "the recursion limit": lambda: sys.setrecursionlimit(4_321),
    "the seed of random": lambda: random.seed(3),
    "the filters of warnings": lambda: warnings.simplefilter("ignore"),
    "logging root": _log,
    "logging disable()": lambda: logging.disable(logging.CRITICAL),
    "logging zoo_core": lambda: logging.getLogger("zoo_core").setLevel(60),
    "the locale": lambda: locale.setlocale(locale.LC_ALL, "C"),
    "the seed of numpy": lambda: np.random.seed(3),
    "numpy.seterr": lambda: np.seterr(all="raise"),
    "torch's default dtype from torch.float32": lambda: torch.set_default_dtype(torch.float64),
    "torch's default device": lambda: torch.set_default_device("meta"),
    "torch's grad mode": lambda: torch.set_grad_enabled(False),
    "torch's number of threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "torch's deterministic algorithms": lambda: torch.use_deterministic_algorithms(True),
    "torch's precision of matmul": lambda: torch.set_float32_matmul_precision("medium"),
    "torch.backends.cudnn.benchmark": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "the seed of torch": lambda: torch.manual_seed(3),
}


@pytest.mark.parametrize("what", CHANGES)
def test_it_is_put_back_and_told(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if what == "the locale":
        locale.setlocale(locale.LC_ALL, "C.UTF-8")
    before = {name: shared.get() for name, shared in _rows().items()}
    changed = list[str]()
    with kept(changed):
        CHANGES[what]()
    assert [told for told in changed if told.startswith(what)] == changed and len(changed) == 1
    if what == "sys.path":  # the plugin still finds what it wanted, and hides nobody's modules
        assert sys.path.pop() == "/elsewhere"
    assert [name for name, row in _rows().items() if not row.same(before[name], row.get())] == []


def test_what_changes_nothing_is_not_blamed() -> None:
    changed = list[str]()
    with kept(changed):
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = os.environ.get("TORCHINDUCTOR_CACHE_DIR", "/tmp")
        warnings.filterwarnings("ignore", message="numpy.dtype size changed")
        sys.path.append("/at/the/end")
    sys.path.remove("/at/the/end")
    assert changed == []


def test_it_is_put_back_where_the_import_fails() -> None:
    changed = list[str]()
    with pytest.raises(ValueError, match="later"), kept(changed):
        torch.set_default_dtype(torch.float64)
        raise ValueError("later")
    assert torch.get_default_dtype() is torch.float32 and len(changed) == 1


def test_from_another_thread() -> None:
    """Which may set no signal handlers, and asks for none."""
    changed = list[str]()

    def work() -> None:
        with kept(changed):
            os.environ["HF_HUB_OFFLINE"] = "7"

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert changed == ["environment variables HF_HUB_OFFLINE"]
    assert os.environ.get("HF_HUB_OFFLINE") != "7"


def test_it_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    plugin = Plugin("acme", "zoo-acme", "1")
    for _ in range(2):
        with running(plugin, "to import"):
            sys.setrecursionlimit(4_321)
    assert sys.getrecursionlimit() != 4_321
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("acme (zoo-acme 1) changes the recursion limit from ")
    assert "when it is imported. zoo has put it back" in told
    assert (plugin.health, plugin.broken) == ("intrusive", False)


def test_what_asks_meets_its_end() -> None:
    with pytest.raises(EOFError), running(Plugin("acme", "zoo-acme", "1"), "to import"):
        input("name? ")


def test_who_takes_long_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("zoo_core.plugins.calling.LONG", 0.1)
    monkeypatch.setattr("zoo_core.plugins.calling.SLOW", 0.2)
    slow, own = Plugin("acme", "zoo-acme", "1"), Plugin("zoo_own", BUILT_IN, "1")
    for plugin in (slow, own):
        with running(plugin, "to import"):
            time.sleep(0.4)
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("Waiting for the plugin acme (zoo-acme 1), which takes more than 0.1 s")
    assert slow.slow.startswith("takes 0.4") and slow.health == "slow" and own.health == "ok"

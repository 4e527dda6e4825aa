"""What `zoo plugins check` finds about an import, in a process of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from zoo_core.conformance import imports
from zoo_core.conformance.cases import Result
from zoo_core.conformance.imports import import_cases
from zoo_core.plugins.manager import Plugin

CHANGES = """
import atexit, logging, os, random, signal, socket, subprocess, sys, threading, time
from pathlib import Path
os.chdir("/")
os.umask(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
logging.basicConfig(level=logging.DEBUG)
random.seed(0)
os.environ["HF_HUB_OFFLINE"] = "7"
threading.Thread(target=time.sleep, args=(1000,), name="forever").start()
atexit.register(print)
Path("HERE/written.txt").write_text("x")
subprocess.run([sys.executable, "-c", ""])
socket.socket().connect_ex(("127.0.0.1", 9))
"""

FOUND = [
    ("fail", "importing it changes the working folder from "),
    ("fail", "importing it changes the umask from 0o22 to 0o0"),
    ("fail", "importing it changes environment variables HF_HUB_OFFLINE"),
    ("fail", "importing it changes signal handlers SIGTERM"),
    ("fail", "importing it changes the seed of random"),
    ("fail", "importing it changes logging root"),
    ("fail", "importing it leaves threads running: forever"),
    ("fail", f"importing it starts another program: {sys.executable}"),
    ("fail", "importing it opens a connection: ('127.0.0.1', 9)"),
    ("fail", "importing it writes files: HERE/written.txt"),
    ("warn", "importing it registers an exit handler: print"),
]


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Check the import of a module with this code."""
    before = [path for path in [os.environ.get("PYTHONPATH", "")] if path]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *before]))

    def check(name: str, code: str) -> list[Result]:
        (tmp_path / f"{name}.py").write_text(code.replace("HERE", str(tmp_path)))
        return [case.run() for case in import_cases(Plugin(name, name, "1", name))]

    return check


def changes(results: list[Result]) -> list[Result]:
    return [result for result in results if result.check == imports.CLEAN]


def test_each_thing_is_a_line_with_what_to_do(checked, tmp_path: Path) -> None:
    os.umask(os.umask(0o022))
    results = changes(checked("zoo_meddling", CHANGES))
    wanted = [(status, text.replace("HERE", str(tmp_path))) for status, text in FOUND]
    assert [r.status for r in results] == [status for status, _ in wanted], results
    for result, (_, text) in zip(results, wanted, strict=True):
        assert result.line.startswith(text) and ": " in result.line.removeprefix(text), result.line


def test_a_clean_import(checked) -> None:
    results = checked("zoo_clean", "import json, logging\nlog = logging.getLogger(__name__)\n")
    assert [r.check for r in results] == ["imports no torch", "import time"]
    assert results[0].status == "pass"


def test_torch_that_the_plugin_is_the_first_to_import(checked) -> None:
    code = "import torch\ntorch.set_default_dtype(torch.float64)\ntorch.manual_seed(1)\n"
    changed = [result.line for result in changes(checked("zoo_double", code))]
    assert [line.partition(":")[0] for line in changed] == [
        "importing it changes torch's default dtype from torch.float32 to torch.float64",
        "importing it changes the seed of torch",
    ]


def test_an_import_that_never_ends(checked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "PATIENCE", 2)
    results = checked("zoo_endless", "while True: pass\n")
    told = ("fail", "importing zoo_endless does not end within 2 s.")
    assert [(result.status, result.line) for result in results] == [told, told]


def test_an_import_that_ends_the_process(checked) -> None:
    for result in checked("zoo_ending", "import os; os._exit(0)\n"):
        assert result.status == "skip" and "zoo_ending does not import" in result.line

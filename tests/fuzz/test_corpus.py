"""What fuzzing began with and what it found, fed to the parsers again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuzz.targets import TARGETS, clean_up, run

HERE = Path(__file__).parent
INPUTS = sorted(path for kind in ("corpus", "found") for path in (HERE / kind).glob("*/*"))


@pytest.fixture(scope="module", autouse=True)
def folder() -> Iterator[None]:
    yield
    clean_up()


def test_there_are_seeds_for_every_parser() -> None:
    assert {path.parent.name for path in INPUTS} == set(TARGETS)


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_an_input_is_taken_or_refused(path: Path) -> None:
    begun = time.process_time()
    run(path.parent.name, path.read_bytes())
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "npy"])
def test_seeds_are_taken(name: str) -> None:
    """A seed that its parser refuses at the door leads nowhere."""
    for path in sorted((HERE / "corpus" / name).iterdir()):
        if (name, path.name) not in {
            ("safetensors", "header"),
            ("state", "pickle"),
            ("card", "bom"),
        }:
            TARGETS[name](path.read_bytes())

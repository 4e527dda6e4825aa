"""Two or more ways of doing one thing, measured in turn.

A B A B …, so that a machine's slow minutes hit both alike.
"""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ZOO = str(Path(sys.executable).with_name("zoo"))


@dataclass(frozen=True)
class Row:
    """One comparison. `value` is what the target speaks of: mostly ours / peer or peer / ours."""

    what: str
    ours: str
    peer: str
    value: float
    unit: str
    target: str
    met: bool | None


@dataclass(frozen=True)
class Skipped:
    """A comparison that could not be made here, and why."""

    what: str
    why: str


def at_least(what: str, ours: str, peer: str, value: float, target: float) -> Row:
    """A row whose value should be `target` times or more."""
    return Row(what, ours, peer, value, "x", f"at least {target:g}x", value >= target)


def at_most(what: str, ours: str, peer: str, value: float, target: float, unit: str = "x") -> Row:
    """A row whose value should be `target` or less."""
    return Row(what, ours, peer, value, unit, f"at most {target:g}{unit}", value <= target)


class Times(dict[str, list[float]]):
    """The seconds of each way, round by round."""

    def median(self, name: str) -> float:
        return statistics.median(self[name])

    def ratio(self, above: str, below: str) -> float:
        """The median of the ratios, round by round: what slows a whole round down cancels out."""
        return statistics.median(a / b for a, b in zip(self[above], self[below], strict=True))


def alternate(ways: Mapping[str, Callable[[], object]], rounds: int) -> Times:
    """Each way in turn, `rounds` times, after one round that warms up and does not count."""
    seconds = Times((name, []) for name in ways)
    for way in ways.values():
        way()
    for _ in range(rounds):
        for name, way in ways.items():
            gc.collect()
            start = time.perf_counter()
            result = way()
            seconds[name].append(time.perf_counter() - start)
            del result
    return seconds


def processes(commands: Mapping[str, Sequence[str]], rounds: int) -> Times:
    """The seconds of whole processes, from their start to their end."""
    return alternate({name: lambda c=command: run(c) for name, command in commands.items()}, rounds)


def run(command: Sequence[str]) -> str:
    """Run a command to its end and return what it printed; a failure is an error that says why."""
    env = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
        said = next((line for line in lines if line.startswith("Error")), lines[-1])
        raise RuntimeError(f"it ended with {done.returncode}: {said}")
    return done.stdout


def ms(seconds: float) -> str:
    """Seconds as readable text."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def as_table(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table."""
    lines = ["| what | zoo | peer | result | target | met |", "|---|---|---|---|---|---|"]
    for row in rows:
        met = "-" if row.met is None else "yes" if row.met else "**no**"
        result = f"{row.value:.2f}{row.unit}"
        lines.append(f"| {row.what} | {row.ours} | {row.peer} | {result} | {row.target} | {met} |")
    return "\n".join(lines)


def show(results: Sequence[Row | Skipped]) -> None:
    """Print one benchmark's results."""
    rows = [result for result in results if isinstance(result, Row)]
    if rows:
        print(as_table(rows))
    for result in results:
        if isinstance(result, Skipped):
            print(f"skipped: {result.what}: {result.why}")

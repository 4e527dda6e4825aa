"""Trainings that are killed at random moments, gone on with, and compared with undisturbed twins.

    python tests/chaos.py --trainings 20 --kills 200 --seed 0

It takes a while (about 6 seconds a kill), so it is run by hand and at night, and not by pytest. One
line for each training, a summary, and exit code 1 where something differed, was left over or lived
on. The same seed gives the same trainings; the moments of the kills depend on the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

TIMED = {"seconds", "pictures_per_second", "waiting", "memory"}
NOT_COMPARED = {"seconds", "caches"}  # of a state: how long things took
PATIENCE = 20.0  # seconds until the last reader of a killed process has ended
LONGEST = 600.0  # seconds of one process

KINDS = {
    "head, cached": "--freeze-until head --head random --views 2 --cache --epochs 40",
    "head, solved": "--freeze-until head --head ridge --epochs 20 --no-augment --cache",
    "two layers, cached": "--freeze-until fc2 --views 3 --cache --epochs 20",
    "unfreezing": "--schedule head=3,fc1=3,conv2=3",
    "unfreezing, cached": "--schedule head=4,fc2=4 --cache --no-augment",
    "everything": "--epochs 8 --augment",
    "cosine, sgd": "--epochs 8 --optimizer sgd --lr-schedule cosine --warmup 1",
    "accumulated": "--epochs 6 --accumulate 2 --balance sampler",
    "no validation": "--epochs 8 --no-val",
}
REGULARIZERS = ["dropout", "ema=0.9", "l2-sp=0.01", "label-smoothing", "mixup", "gradient-clip=1"]
EARLY = "early-stopping=2"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trainings", type=int, default=20)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    begun, faults, kills = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        for number in range(asked.trainings):
            share = (number + 1) * asked.kills // asked.trainings - kills
            kills += share
            rng = random.Random(f"{asked.seed} {number}")
            found = Trial(Path(folder) / str(number), rng, number).run(share)
            faults += bool(found)
    minutes = (time.monotonic() - begun) / 60
    print(f"{asked.trainings} trainings, {kills} kills, {faults} with faults, {minutes:.1f} min")
    return int(faults > 0)


def words_of(rng: random.Random, number: int) -> tuple[str, list[str]]:
    """What one training is called, and its arguments; the kinds come in turn."""
    kind = list(KINDS)[number % len(KINDS)]
    words = ["lenet5", "--data", rng.choice(["digits#test", "digits"]), *KINDS[kind].split()]
    chosen = rng.sample(REGULARIZERS, rng.randrange(3))
    if kind not in ("no validation",) and rng.random() < 0.3:
        chosen.append(EARLY)
    if "--cache" in words:
        chosen = [name for name in chosen if name != "mixup"]
    words += [word for name in chosen for word in ("-r", name)]
    words += ["--workers", str(rng.choice([0, 0, 1, 2])), "--seed", str(rng.randrange(1000))]
    return f"{kind} {' '.join(chosen)}".strip(), words


class Trial:
    """One training twice: undisturbed in `once`, and killed again and again in `again`."""

    def __init__(self, folder: Path, rng: random.Random, number: int) -> None:
        self.rng, self.number = rng, number
        self.name, self.words = words_of(rng, number)
        self.once, self.again, self.cache = (folder / n for n in ("once", "again", "cache"))
        folder.mkdir()
        self.environment = {**os.environ, "ZOO_CACHE": str(self.cache)}

    def run(self, kills: int) -> list[str]:
        """What was wrong, in words; a line about it is printed."""
        start = time.monotonic()
        self._to_the_end(self.once)
        whole = time.monotonic() - start
        faults = [fault for _ in range(kills) for fault in self._killed(whole)]
        resumed = (self.again / "recipe.toml").exists()
        self._to_the_end(self.again)
        faults += differences(self.once, self.again) + self._left_over()
        told = "; ".join(dict.fromkeys(faults)) or ("equal" if resumed or not kills else "anew")
        print(f"{self.number + 1:3} {self.name:48} {kills:3} kills  {told}", flush=True)
        return faults

    def _command(self, out: Path) -> list[str]:
        words = [sys.executable, "-m", "zoo_core", "finetune"]
        if (out / "recipe.toml").exists():
            return [*words, "--resume", str(out)]
        return [*words, *self.words, "--out", str(out)]

    def _to_the_end(self, out: Path) -> None:
        process = self._started(out)
        error = process.communicate(timeout=LONGEST)[1]
        if process.returncode:
            raise SystemExit(f"{' '.join(self._command(out))} failed:\n{error.decode()}")

    def _started(self, out: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command(out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=self.environment,
            start_new_session=True,
        )

    def _killed(self, whole: float) -> Iterator[str]:
        """Start it and kill it: after some time, or at a change in its folder."""
        process = self._started(self.again)
        after = self.rng.uniform(0, whole)
        changes = self.rng.randrange(1, 30) if self.rng.random() < 0.5 else 0
        wait_for(process, self.again, after, changes)
        process.kill()
        error = process.communicate()[1].decode(errors="replace")
        if process.returncode > 0:  # it ended by itself
            yield f"exit code {process.returncode}: {error.strip().splitlines()[-1:]}"
        deadline = time.monotonic() + PATIENCE
        while living(process.pid):
            if time.monotonic() > deadline:
                yield f"{len(living(process.pid))} processes live on"
                break
            time.sleep(0.1)

    def _left_over(self) -> list[str]:
        paths = [*self.again.rglob(".*"), *self.cache.rglob(".*")]
        return [f"left over: {path.name}" for path in paths]


def wait_for(process: subprocess.Popen[bytes], out: Path, seconds: float, changes: int) -> None:
    """Return at the end of the process, after some seconds, or else after so many changes."""
    end, seen = time.monotonic() + (LONGEST if changes else seconds), set(entries(out))
    while process.poll() is None and time.monotonic() < end:
        new = set(entries(out)) - seen
        seen |= new
        changes -= len(new)
        if new and changes <= 0 and end - time.monotonic() > seconds:
            return
        time.sleep(0.0005)


def entries(folder: Path) -> Iterator[tuple[str, int, int]]:
    """The files of a run as they are now: names, sizes and times."""
    for place in (folder, folder / "last"):
        with contextlib.suppress(OSError):
            for entry in os.scandir(place):
                facts = entry.stat()
                yield entry.path, facts.st_size, facts.st_mtime_ns


def living(session: int) -> list[str]:
    """The processes of a session that have not ended."""
    done = subprocess.run(["ps", "-eo", "sess=,stat="], capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    return [state for number, state in rows if number == str(session) and state[0] != "Z"]


# --- comparing -----------------------------------------------------------------------------------


def differences(once: Path, again: Path) -> list[str]:
    """In what the files of two runs differ that should be twins."""
    found = []
    if (once / "best.safetensors").read_bytes() != (again / "best.safetensors").read_bytes():
        found.append("other best weights")
    if rows(once) != rows(again):
        found.append("other rows")
    states = [torch.load(run / "last" / "state.pt", weights_only=True) for run in (once, again)]
    keys = set().union(*states) - NOT_COMPARED
    other = [key for key in sorted(keys) if not equal(*(s.get(key) for s in states))]
    return found + [f"another {key} in the last state" for key in other]


def rows(run: Path) -> list[Any]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in TIMED} for line in lines]


def equal(one: Any, other: Any) -> bool:
    """Whether two states hold the same, bit for bit, apart from times."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        keys = [key for key in one if key not in TIMED]
        same_keys = set(one) - TIMED == set(other) - TIMED
        return same_keys and all(equal(one[key], other[key]) for key in keys)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return repr(one) == repr(other)  # a NaN is itself


if __name__ == "__main__":
    sys.exit(main())

"""Fuzz the parsers, guided by coverage: `python tests/fuzz [TARGET ...] --seconds 600`.

Each target runs in a process of its own under atheris (libFuzzer), from the seeds in `corpus/`. A
line each says how often it ran and how much of the code it reached. An input that broke a parser is
left in `found/TARGET/`, which the tests feed again for ever.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent
LIMITS = {"timeout": 5, "rss_limit_mb": 1700, "max_len": 1 << 16}  # torch alone takes 600 MB
OURS = ["zoo_core", "tomllib", "tarfile", "json", "numpy.lib", "torch._weights_only_unpickler"]


def fuzz(name: str, flags: list[str]) -> None:
    """Run one target in this process, which libFuzzer ends."""
    import atheris

    sys.path.insert(0, str(TESTS))
    with atheris.instrument_imports(include=OURS):
        from fuzz.targets import run
    atheris.Setup([sys.argv[0], *flags], lambda content: run(name, content))
    atheris.Fuzz()


def row(name: str, seconds: int) -> tuple[str, bool]:
    """Fuzz one target in a new process: a line of a table, and whether all went well."""
    found = HERE / "found" / name
    found.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="zoo-fuzz-") as grown:
        flags = [f"-{flag}={value}" for flag, value in LIMITS.items()]
        flags += [f"-max_total_time={seconds}", f"-artifact_prefix={found}/"]
        command = [
            sys.executable,
            str(HERE),
            "--one",
            name,
            *flags,
            grown,
            str(HERE / "corpus" / name),
        ]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, "ZOO_OFFLINE": "1", "TMPDIR": grown, "ZOO_CACHE": f"{grown}/cache"},
            check=False,
        )
    said = done.stdout + done.stderr
    runs = re.findall(r"^#(\d+)\s.*?cov: (\d+) ft: (\d+)", said, re.MULTILINE)
    times, edges, features = runs[-1] if runs else ("0", "0", "0")
    peak = re.findall(r"peak_rss_mb: (\d+)|rss: (\d+)Mb", said)
    memory = next((a or b for a, b in reversed(peak)), "?")
    if not any(found.iterdir()):
        found.rmdir()
    if done.returncode:
        print(said[-4000:], file=sys.stderr)
    verdict = "nothing" if done.returncode == 0 else f"see {found.relative_to(TESTS.parent)}"
    line = f"| {name} | {int(times):,} | {edges} | {features} | {memory} MB | {verdict} |"
    return line, done.returncode == 0


def main() -> int:
    sys.path.insert(0, str(TESTS))
    if sys.argv[1:2] == ["--one"]:
        fuzz(sys.argv[2], sys.argv[3:])
    from fuzz.targets import TARGETS, clean_up

    clean_up()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    given = parser.parse_args()
    if unknown := sorted(set(given.targets) - set(TARGETS)):
        parser.error(f"no target {unknown[0]}; there are {', '.join(TARGETS)}")
    print("| parser | executions | edges | features | memory | found |", flush=True)
    print("|---|--:|--:|--:|--:|---|", flush=True)
    good = True
    for name in given.targets or TARGETS:
        line, well = row(name, given.seconds)
        good &= well
        print(line, flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

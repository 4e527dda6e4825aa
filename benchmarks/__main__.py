"""All benchmarks in turn; prints each table and writes them to docs/benchmarks.md."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import version
from pathlib import Path

from benchmarks import (
    browsing,
    caching,
    commands,
    creating,
    explaining,
    finetuning,
    forward,
    freezing,
    listing,
    memory,
    publishing,
    regularizing,
    signing,
    streaming,
    threads,
)
from benchmarks.measure import Row, Skipped, as_table, show

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
METHOD = """\
`make bench` writes this page. zoo and its peer are measured in turn in one run, after a round that
does not count. Times are medians, and a result is the median of the ratios round by round, so that
what slows the machine for a while cancels out; of trainings with a frozen part, which take long and
differ much, the quickest counts. The ratios are what matters: machines differ, and are noisy."""
ALL = (
    listing, browsing, creating, memory, commands, forward, threads, freezing, publishing,
    signing, regularizing, explaining, finetuning, caching, streaming,
)  # fmt: skip


def main() -> None:
    results: list[Row | Skipped] = []
    for benchmark in ALL:
        title = (benchmark.__doc__ or "").partition("\n")[0]
        print(f"\n{title}", flush=True)
        found = benchmark.measure()
        show(found)
        results += found
    PAGE.write_text(page(results), encoding="utf-8")
    here = Path.cwd()
    print(f"\nWritten to {PAGE.relative_to(here) if PAGE.is_relative_to(here) else PAGE}")


def page(results: list[Row | Skipped]) -> str:
    rows = [result for result in results if isinstance(result, Row)]
    skipped = [f"- Not measured: {r.what}: {r.why}" for r in results if isinstance(r, Skipped)]
    parts = [
        "# Benchmarks",
        METHOD,
        machine(),
        as_table(rows),
        *(["\n".join(skipped)] if skipped else []),
        "What exactly is measured is said at the top of each file in `benchmarks/`.",
    ]
    return "\n\n".join(parts) + "\n"


def machine() -> str:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    names = ("zoo-core", "torch", "timm", "safetensors")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    python = f"Python {platform.python_version()}"
    return f"{today}; {cpu()}, {os.cpu_count()} cores; {python}, {versions}."


def cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()

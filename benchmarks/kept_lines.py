"""Facts as lines of JSON, one added as each comes: what was measured need not be measured again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any, TypeVar

from zoo_core.progress import Bar
from zoo_lenet.workers import workers

Job, Result = TypeVar("Job"), TypeVar("Result")


def facts(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a file; a last one that is cut short was stopped while it was written."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    for line in text.split("\n")[:-1]:
        yield json.loads(line)


def add(fact: Mapping[str, Any], path: Path) -> None:
    """Add a line to the file, after what is whole of it."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if not text.endswith("\n"):
        path.write_text(text[: text.rfind("\n") + 1], encoding="utf-8")
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(fact) + "\n")


def measure(
    jobs: Sequence[Job], work: Callable[[Job], Result], kept: Callable[[Result], str]
) -> None:
    """Do jobs in processes of their own; `kept` keeps a result as it comes, and gives its line."""
    with workers() as pool, Bar(f"{len(jobs)} results", total=len(jobs), shown=True) as bar:
        for future in as_completed([pool.submit(work, job) for job in jobs]):
            line = kept(future.result())
            bar.step()
            bar.line(line)

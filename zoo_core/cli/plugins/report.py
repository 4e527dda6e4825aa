"""The report of `zoo plugins check`: ticks in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from zoo_core.cli.output import echo, echo_lines
from zoo_core.conformance.cases import Case, Result
from zoo_core.humanize import readable_name, some

if TYPE_CHECKING:
    from rich.console import Console

MARKS = {"pass": "✓", "fail": "✗", "warn": "!", "skip": "-"}
COLOURS = {"pass": "green", "fail": "red", "warn": "yellow", "skip": "bright_black"}
WORDS = {"pass": "ok", "fail": "FAIL", "warn": "warn", "skip": "skip"}
CHECK = 25  # columns of the longest name of a check


def reported(title: str, cases: Sequence[Case], debug: bool) -> Iterator[Result]:
    """Run cases, and print what each found once it is known; `debug`: tracebacks, too.

    What could not be looked at for what another check found is a line for all together, and so is
    what many models lack alike: the first of them has a warning.
    """
    left, alike = Counter[str](), dict[tuple[str, str], list[str]]()
    for result in _fancy(title, cases) if sys.stdout.isatty() else _plain(title, cases):
        yield result
        if result.status == "warn":
            alike.setdefault(result.wish, []).append(result.subject)
        if debug and result.traceback:
            echo_lines(result.traceback)
        left[result.line] += _follows(result)
    for reason, count in left.items():
        if count:
            echo(f"{count} more {reason}")
    for (check, _), (first, *others) in alike.items():
        if others:
            echo(f"{len(others):,} more like {first}, {check}: {some(others)}")


def _follows(result: Result) -> bool:
    return result.status == "skip" and result.found.startswith("not looked at: see")


def summary(results: Sequence[Result]) -> str:
    """The last line.

    >>> summary([Result("lenet5", "builds", "pass", ""), Result("lenet5", "export", "fail", "no")])
    '2 checks: 1 passed, 1 failed.'
    """
    counts = Counter(str(result.status) for result in results)
    parts = [f"{counts['pass']} passed"]
    parts += [f"{counts['fail']} failed"] if counts["fail"] else []
    parts += [_warnings([result for result in results if result.status == "warn"])]
    parts += [f"{counts['skip']} not looked at"] if counts["skip"] else []
    return f"{len(results)} checks: {', '.join(filter(None, parts))}."


def _warnings(results: Sequence[Result]) -> str:
    """How many different ones: what many models lack alike is one."""
    kinds = len({result.wish for result in results})
    told = f"{kinds} warning{'s' * (kinds > 1)}" if kinds else ""
    more = len(results) - kinds
    return f"{told} and {more} more like {'them' if kinds > 1 else 'it'}" if more else told


def _unheard(cases: Iterator[Result]) -> Iterator[tuple[Result, bool]]:
    """Results, and whether each has something to print that was not printed already."""
    heard = set[tuple[str, str]]()
    for result in cases:
        again = result.status == "warn" and result.wish in heard
        heard.add(result.wish)
        yield result, not again and not _follows(result)


def _plain(title: str, cases: Sequence[Case]) -> Iterator[Result]:
    """One whole line for each."""
    echo(title)
    wide = max((len(case.subject) for case in cases), default=0)
    for result, new in _unheard(case.run() for case in cases):
        words = f"{WORDS[result.status]:<4}  {result.subject:<{wide}}  {result.check:<{CHECK}}"
        if new:
            echo(f"{words}  {result.line}".rstrip())
        sys.stdout.flush()
        yield result


def _fancy(title: str, cases: Sequence[Case]) -> Iterator[Result]:
    """Ticks under the name of what is looked at; the last line says what is under way."""
    from rich.console import Console
    from rich.text import Text

    console, last = Console(), ""
    console.print(Text(readable_name(title), style="bold"))

    def run(case: Case) -> Result:
        with console.status(Text(readable_name(f"{case.subject}: {case.check}"))):
            return case.run()

    for result, new in _unheard(map(run, cases)):
        if new and result.subject != last:
            console.print(Text(f"  {readable_name(result.subject)}", style="cyan"))
            last = result.subject
        if new:
            _print_row(console, result)
        yield result


def _print_row(console: Console, result: Result) -> None:
    from rich.table import Table
    from rich.text import Text

    row = Table.grid(padding=(0, 1))
    row.add_column(width=5, justify="right", style=COLOURS[result.status])
    row.add_column(width=CHECK)
    row.add_column(overflow="fold")
    row.add_row(
        MARKS[result.status], Text(readable_name(result.check)), Text(readable_name(result.line))
    )
    console.print(row)

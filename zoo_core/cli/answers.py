"""How commands show an answer of `zoo_core.advice`: a table, JSON, a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import click

from zoo_core.cli.output import echo, note, print_json, print_table
from zoo_core.cli.saving import OutFile
from zoo_core.errors import ZooError
from zoo_core.pages.place import check_place


class PageFile(OutFile):
    """A page to write: a new file, or an earlier page of zoo."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = super().convert(value, param, ctx)
        try:
            check_place(path, "--html")
        except ZooError as error:
            self.fail(error.message, param, ctx)
        return path


html_option = click.option(
    "--html", type=PageFile(), metavar="FILE", help="Write the answer to FILE, as a page."
)


class Answer(Protocol):
    """What rank() and advise() give."""

    def sentences(self) -> list[str]: ...
    def table(self) -> Any: ...
    def save(self, path: str | Path) -> Path: ...


def shown(answer: Answer, *, as_json: bool, html: Path | None, next: str = "") -> None:
    """Print an answer, and write its page where one is asked for. `next`: the command after it."""
    if html is not None:
        note(f"The page is in {answer.save(html)}.")
    if as_json:
        print_json(vars(answer))
        return
    for sentence in answer.sentences():
        echo(sentence)
    echo()
    table = answer.table()
    print_table(table.header, table.rows, right=table.right)
    if next:
        echo()
        echo(f"Next: {next}")

"""`.. commands::` is every command of zoo with its --help, as a terminal shows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

WIDTH = 92


def pages(command: click.Command, path: str, parent: click.Context | None) -> Iterator[tuple]:
    """A command, and all below it: its path and the text of its help."""
    name = path.rpartition(" ")[2]
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)
    context.terminal_width = context.max_content_width = WIDTH
    yield path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from pages(child, f"{path} {name}", context)


class Commands(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        from zoo_core.cli import zoo

        lines: list[str] = []
        for path, text in pages(zoo, "zoo", None):
            lines += [path, "-" * len(path), "", ".. code-block:: console", ""]
            lines += [f"   $ {path} --help"]
            lines += [f"   {line}" for line in text.splitlines()] + [""]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def setup(app: Any) -> dict[str, Any]:
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""`.. public-names::` is every public name of zoo, a line each, with a link to all about it."""

from __future__ import annotations

import inspect
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective


def summary(thing: Any) -> str:
    """The first paragraph of a docstring."""
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())


def role(thing: Any) -> str:
    return "class" if isinstance(thing, type) else "func" if inspect.isfunction(thing) else "data"


class PublicNames(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        import zoo_core

        functions = [n for n in zoo_core.__all__ if n[0].islower()]
        errors = [n for n in zoo_core.__all__ if _is_error(getattr(zoo_core, n))]
        classes = [n for n in zoo_core.__all__ if n not in {*functions, *errors}]
        lines: list[str] = []
        for title, names in (("Functions", functions), ("Classes", classes), ("Errors", errors)):
            lines += [title, "-" * len(title), ""]
            for name in names:
                thing = getattr(zoo_core, name)
                lines += [f":py:{role(thing)}:`~zoo_core.{name}`", f"    {summary(thing)}", ""]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def _is_error(thing: Any) -> bool:
    return isinstance(thing, type) and issubclass(thing, Exception)


def setup(app: Any) -> dict[str, Any]:
    app.add_directive("public-names", PublicNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

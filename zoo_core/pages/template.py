"""A page from a template: all text is escaped, and the look is that of all pages.

A template may extend base.html, and import parts.html, which stand beside this file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo_core.humanize import readable_text
from zoo_core.pages.place import MARK


def rendered(template: Path, **values: Any) -> str:
    """The HTML of a template of Jinja, which has `values`, a style sheet `look`, and `mark`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader([template.parent, here]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    look = Markup((here / "look.css").read_text(encoding="utf-8"))  # a file of zoo's own
    return environment.get_template(template.name).render(look=look, mark=Markup(MARK), **values)


def _shown(value: Any) -> Any:
    """Names hold what HTML has no escape for: marks that turn its text around, and worse."""
    is_text = isinstance(value, str) and not hasattr(value, "__html__")
    return readable_text(value) if is_text else value

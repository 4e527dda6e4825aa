"""`browse`: one HTML page of all models, to filter, sort and copy commands from; no network."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo_core.browsing.records import as_script, data_of
from zoo_core.browsing.row import Row, all_models, matching, rows_of
from zoo_core.errors import UnknownName
from zoo_core.pages.place import check_place
from zoo_core.pages.sections import save_page
from zoo_core.pages.template import rendered
from zoo_core.plugins.catalogue import catalogue
from zoo_core.version import __version__

OUT = Path("zoo-models.html")
HERE = Path(__file__).parent
SCRIPTS = ("models.js", "wanted.js", "table.js", "plot.js", "page.js")  # in the order of the page


def browse(out: str | Path = OUT, pattern: str | None = None) -> Path:
    """Write a page of all models, or of those that match `pattern`, and return its path.

    Every trained set is a row: its accuracy and cost, with whose figures they are, its licence, and
    the commands that use it. `out`: the file. An earlier page of zoo is replaced.

    Raises UnknownName where no model matches, and ZooError for a place that cannot be written, or
    where another file is.

    >>> from tempfile import mkdtemp
    >>> browse(Path(mkdtemp()) / "models.html", "lenet").name
    'models.html'
    """
    place = Path(out).expanduser()
    check_place(place)
    models, tag = matching(pattern) if pattern else (all_models(), "")
    rows = [row for model in models for row in rows_of(model) if row.tagged(tag)]
    if not rows:
        near = catalogue().similar(pattern or "")
        raise UnknownName(f'No model matches "{pattern}". {near}'.strip(), hint='Run "zoo list".')
    here = [row.reference for row in rows if row.is_here]
    return save_page(html(rows, installed=here), place)


def html(rows: Sequence[Row], installed: Sequence[str] = ()) -> str:
    """The page of these rows, complete in itself. `installed`: references, on this machine.

    >>> page = html(rows_of(catalogue().find("lenet5").model))
    >>> "lenet5.fashion_mnist" in page, "http://" in page.partition("<body")[0]
    (True, False)
    """
    from markupsafe import Markup

    script = "\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    data = data_of(rows, installed)
    return rendered(
        HERE / "page.html",
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup(f"\n{script}"),
        digest=_digest(f"\n{script}"),
        data=Markup(as_script(data)),
        version=__version__,
        **_counts(rows),
    )


def _counts(rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "models": len({(row.model.distribution, row.model.name) for row in rows}),
        "trained": sum(row.weights is not None for row in rows),
    }


def _digest(script: str) -> str:
    """How a page names the one script that may run in it."""
    return b64encode(hashlib.sha256(script.encode()).digest()).decode()

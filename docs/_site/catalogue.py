"""The page of `zoo browse` as a part of the site: catalogue.html, with every model of zoo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PAGE = "catalogue.html"


def write(app: Any, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    import zoo_core as zoo

    zoo.browse(Path(app.outdir) / PAGE)


def setup(app: Any) -> dict[str, Any]:
    app.connect("build-finished", write, priority=400)  # before the links are looked at
    return {"parallel_read_safe": True, "parallel_write_safe": True}

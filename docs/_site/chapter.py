"""Pages of docs/chapter are notebooks: MyST text that is executed, and that a reader may download.

Pictures of matplotlib become part of the page, in the colours of the page, so that they are sharp
and can be read by light and by dark. What each of them shows must be said, in its cell's options:

    ```{code-cell} ipython3
    :mystnb: {image: {alt: "Accuracy rises with pictures, and levels off."}}
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import download_reference
from sphinx.errors import ExtensionError

HERE = Path(__file__).parent
FOLDER = "chapter/"
INDEX = "chapter/index"

# What a kernel of the build is told beside the notebook: pictures are SVG, and nothing on its log.
PROFILE = """c = get_config()
c.InlineBackend.figure_formats = {"svg"}
c.IPKernelApp.log_level = 40
"""
INK = re.compile(r"#000000\b")  # what matplotlib draws in black has the colour of the words around
# ... and what belongs to a file of its own, such as names and styles, which would be the page's
OUTSIDE = re.compile(
    r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>|<style.*?</style>|(?<=<g) id=\"[^\"]*\"",
    re.S,
)


def prepare(app: Any) -> None:
    """Kernels draw as the site wants it; notebooks and pictures are made beside the doctrees."""
    root = Path(app.confdir).parent
    build = root / "build"
    profile = build / "ipython" / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    forget_others(Path(app.config.nb_execution_cache_path), digest(root))
    (profile / "ipython_kernel_config.py").write_text(PROFILE)
    os.environ["IPYTHONDIR"] = str(profile.parent)
    logging.getLogger("traitlets").setLevel(logging.WARNING)
    os.environ["MATPLOTLIBRC"] = str(HERE / "matplotlibrc")
    config = app.env.mystnb_config
    app.env.mystnb_config = config.copy(output_folder=str(Path(app.doctreedir) / "executed"))


def digest(root: Path) -> str:
    """Of all that a page runs with: what its cells showed holds as long as this does not change."""
    whole = hashlib.sha256()
    code = sorted(path for top in ("zoo_core", "plugins") for path in (root / top).rglob("*"))
    for path in [*code, root / "registry.toml", HERE / "matplotlibrc"]:
        if path.is_file() and path.suffix != ".pyc":
            whole.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return whole.hexdigest()


def forget_others(kept: Path, now: str) -> None:
    """Drop what cells showed with another code of zoo than there is now."""
    mark = kept.with_name(f"{kept.name}.made-with")
    if not mark.exists() or mark.read_text(encoding="utf-8") != now:
        shutil.rmtree(kept, ignore_errors=True)
        mark.write_text(now, encoding="utf-8")


def offer(app: Any, doctree: nodes.document) -> None:
    """A line under the title of each page that is a notebook: the notebook, with its results."""
    page = app.env.docname
    if not page.startswith(FOLDER) or page == INDEX:
        return
    notebook = Path(app.env.mystnb_config.output_folder) / f"{page}.ipynb"
    place = f"/{os.path.relpath(notebook, app.srcdir)}"
    line = nodes.paragraph("", "This page is a notebook: ")
    line += download_reference("", "download it", reftarget=place, refdoc=page)
    line += nodes.Text(" with its results, or ")
    line += nodes.reference("", "run it", refuri="index.html#run-a-page", internal=True)
    line += nodes.Text(" from the source.")
    title = next(doctree.findall(nodes.title))
    title.parent.insert(title.parent.index(title) + 1, line)


def draw_inside(app: Any, doctree: nodes.document) -> None:
    """Pictures of cells as SVG within the page. Raises ExtensionError for one that is not told."""
    for image in list(doctree.findall(nodes.image)):
        kind = image.parent.get("mime_type", "")
        if kind.startswith("image/") and not image.get("alt"):
            page = app.env.docname
            raise ExtensionError(f"{page}: a picture has no text for who does not see it.")
        if kind == "image/svg+xml":
            svg = Path(app.srcdir) / image["uri"].lstrip("/")
            drawn = inlined(svg.read_text(encoding="utf-8"), image["alt"])
            image.replace_self(nodes.raw("", drawn, format="html"))


def inlined(svg: str, told: str) -> str:
    """A picture of matplotlib as an element of a page.

    >>> inlined('<?xml version="1.0"?><svg width="9pt" x="1"><a fill="#000000"/></svg>', "A dot.")
    '<svg class="plot" role="img" aria-label="A dot." x="1"><a fill="currentColor"/></svg>'
    """
    svg = INK.sub("currentColor", OUTSIDE.sub("", svg)).strip()
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    head = f'<svg class="plot" role="img" aria-label="{escape(told)}"'
    return svg.replace("<svg", head, 1)


def setup(app: Any) -> dict[str, Any]:
    app.connect("builder-inited", prepare, priority=900)  # after myst-nb
    app.connect("doctree-read", offer, priority=100)  # before downloads are collected
    app.connect("doctree-read", draw_inside, priority=100)  # before pictures are collected
    return {"parallel_read_safe": True, "parallel_write_safe": True}

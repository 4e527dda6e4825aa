"""Every link inside the site leads somewhere, and every page has a way to it from the first one.

Sphinx knows of its own links only. Here the pages are read as a browser reads them, after all of
them were written: each href and src, with what stands after its #.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sphinx.util import logging

logger = logging.getLogger(__name__)

HOME = "index.html"


class Page(HTMLParser):
    """The links of a page, and the places in it that links can lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.places.add(value)
            if name in ("href", "src") and value:
                self.links.append(value)


class Site:
    """All pages of a folder. `outside`: addresses that a page takes something from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.pages = {
            path: Page(path.read_text(encoding="utf-8"))
            for path in sorted(self.folder.rglob("*.html"))
        }

    def broken(self) -> Iterator[str]:
        """Links that lead nowhere, a line each."""
        for path, page in self.pages.items():
            for link in page.links:
                target = self._target(path, link)
                if target is None:
                    continue
                place = unquote(urlsplit(link).fragment)
                there = self.pages.get(target)
                if not target.is_file():
                    yield f"{path.relative_to(self.folder)}: {link} is not there"
                elif place and there is not None and place not in there.places:
                    yield f"{path.relative_to(self.folder)}: {link} has no such place"

    def lost(self) -> list[str]:
        """Pages that no way leads to from the first."""
        seen, ahead = set(), [self.folder / HOME]
        while ahead:
            path = ahead.pop()
            if path in self.pages and path not in seen:
                seen.add(path)
                targets = (self._target(path, link) for link in self.pages[path].links)
                ahead += [target for target in targets if target is not None]
        return [path.relative_to(self.folder).as_posix() for path in self.pages if path not in seen]

    def _target(self, path: Path, link: str) -> Path | None:
        """The file that a link leads to; None for one out of the site."""
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            return None
        if not parts.path:
            return path
        return (path.parent / unquote(parts.path)).resolve()


def lead_back(app: Any, pagename: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """From a page of source to where its names are documented.

    viewcode takes all names of a module to be documented as those of one module. Some of
    zoo_core.types are names of zoo_core, too, and others not.
    """
    if pagename.startswith("_modules/") and "body" in context:
        known = app.env.get_domain("py").objects

        def mended(link: re.Match[str]) -> str:
            name, full = link[1], f"{pagename[9:].replace('/', '.')}.{link[1][len('zoo_core.') :]}"
            return f"#{full if name not in known and full in known else name}"

        context["body"] = re.sub(r"#(zoo_core\.[\w.]+)", mended, context["body"])


def check(app: Any, error: Exception | None) -> None:
    """Tell what is wrong, and let the build fail."""
    if error is not None or app.builder.name != "html":
        return
    site = Site(Path(app.outdir))
    faults = [*site.broken(), *(f"{page}: no page leads to it" for page in site.lost())]
    for fault in faults:
        logger.warning("%s", fault)
    if faults:
        app.statuscode = 1


def setup(app: Any) -> dict[str, Any]:
    app.connect("html-page-context", lead_back)
    app.connect("build-finished", check, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Around a plugin's code, whenever zoo runs it: what it prints, asks, changes and takes long for.

Nothing here confines a plugin: it is code, and may do all that you may.
"""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import time
from collections.abc import Iterator

from zoo_core.humanize import duration, readable_name, some
from zoo_core.plugins.plugin import Plugin
from zoo_core.terminal.lines import logger
from zoo_core.terminal.streams import aside

log = logger(__name__)

SLOW = 0.5  # seconds; a plugin that takes longer for one thing is called slow
LONG = 5.0  # seconds, after which somebody who waits is told for whom


@contextlib.contextmanager
def running(plugin: Plugin, doing: str) -> Iterator[None]:
    """A plugin's code runs inside; `doing`: as in "takes 3.0 s to import", such as `to import`.

    It prints to stderr, nobody answers what it asks, and what it changes for others is put back and
    told once. zoo's own plugins are trusted, and cost nothing more.
    """
    with aside():  # what it prints is no part of any output
        if plugin.built_in:
            yield
            return
        from zoo_core.plugins.surroundings import kept

        changed: list[str] = []
        try:
            with timed(plugin, doing), _nobody_answers(), kept(changed):
                yield
        finally:
            note_changes(plugin, changed, doing)


def note_changes(plugin: Plugin, changed: list[str], doing: str) -> None:
    """Record and tell, once, what a plugin has changed for everybody; it is put back already."""
    new = [change for change in changed if change not in plugin.changes]
    plugin.changes += new
    if new:
        when = {"to import": "when it is imported"}.get(doing, doing)
        told = f"{plugin.title()} changes {some(new, most=10)} {when}. zoo has put it back"
        _warn(f"{told}: a plugin sets nothing for others.")


@contextlib.contextmanager
def timed(plugin: Plugin, doing: str) -> Iterator[None]:
    """Count the time that goes by inside; whoever waits long is told for whom."""
    if plugin.built_in:
        yield
        return
    start = time.perf_counter()
    told = threading.Timer(LONG, _tell, (plugin, doing))
    told.daemon = True
    told.start()
    try:
        yield
    finally:
        told.cancel()
        seconds = time.perf_counter() - start
        plugin.waited += seconds
        if seconds > SLOW:
            plugin.slow = plugin.slow or f"takes {duration(seconds)} {doing}"


def _tell(plugin: Plugin, doing: str) -> None:
    seconds = duration(LONG)
    told = f"Waiting for the plugin {plugin.title()}, which takes more than {seconds} {doing}."
    advice = "ZOO_PLUGINS names those to load; empty, it leaves all but zoo's own out."
    _warn(f"{told} {advice}")


def _warn(text: str) -> None:
    log.warning("%s", readable_name(text))


@contextlib.contextmanager
def _nobody_answers() -> Iterator[None]:
    """What asks on stdin meets its end, so that no listing waits for an answer."""
    before, sys.stdin = sys.stdin, io.StringIO()
    try:
        yield
    finally:
        sys.stdin = before

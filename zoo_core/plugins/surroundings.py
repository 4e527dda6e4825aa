"""kept(): the surroundings of a plugin's code are the same before and after it.

A plugin that sets torch's default dtype when it is imported would change every model of others.
Where a plugin is the first to import torch, what torch came with is noted at the end of torch's own
import, so that no value is assumed.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from zoo_core.plugins.shared_state import LATE, Loaded, Shared, everything

Rows = Callable[[Loaded], Iterator[Shared]]


@contextlib.contextmanager
def kept(changed: list[str], rows: Rows = everything) -> Iterator[None]:
    """All is as it was after what runs inside; `changed` gets what was not."""
    before: dict[str, Any] = {}
    watch = _Watch(before, rows)
    watch.note()
    sys.meta_path.insert(0, watch)
    try:
        yield
    finally:
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not watch]
        changed += _put_back(before, rows(watch.has))


def _put_back(before: dict[str, Any], rows: Iterator[Shared]) -> Iterator[str]:
    for shared in rows:
        if shared.what in before:
            with contextlib.suppress(Exception):
                was, now = before[shared.what], shared.get()
                if not shared.same(was, now):
                    yield f"{shared.what} {shared.told(was, now)}".rstrip()
                    shared.put(was)


class _Watch:
    """A finder of modules that finds none itself, and notes what torch and its like come with."""

    def __init__(self, before: dict[str, Any], rows: Rows) -> None:
        self.before, self.rows = before, rows
        self.done: set[str] = set()

    def note(self) -> None:
        """What is there, of all that was not noted yet."""
        for shared in self.rows(self.has):
            if shared.what not in self.before:
                with contextlib.suppress(Exception):  # a working folder that is not there any more
                    self.before[shared.what] = shared.get()

    def has(self, name: str) -> bool:
        """Whether a module is there: asking half of torch for its random numbers ends the process.

        Python itself knows of a module that is being imported.
        """
        module = sys.modules.get(name)
        under_way = getattr(getattr(module, "__spec__", None), "_initializing", False)
        return module is not None and (name in self.done or not under_way)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in LATE:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in found if spec is not None), None)
        loader: Any = spec.loader if spec else None
        if loader is not None:
            loader.exec_module = lambda module: self._execute(loader, name, module)
        return spec

    def _execute(self, loader: Any, name: str, module: ModuleType) -> None:
        del loader.exec_module  # the loader's own is the class's again
        loader.exec_module(module)
        self.done.add(name)
        self.note()

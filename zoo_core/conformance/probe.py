"""What importing a plugin costs, seen in a process that has imported nothing else of the kind.

Run as `python -m zoo_core.conformance.probe MODULE`; prints one line of JSON. `torch` is where it
was imported: the innermost line of the plugin's own, or the innermost of all.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import time
import traceback
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

LISTED = ("zoo_architectures", "zoo_manifests", "zoo_regularizers", "zoo_weight_sources")


class Watch:
    """A finder of modules that finds none, and notes who asks for torch first."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.importer = ""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == "torch" and not self.importer:
            frames = [frame for frame, _ in traceback.walk_stack(sys._getframe(1))]
            lines = [(f.f_globals.get("__name__", ""), f.f_lineno) for f in frames]
            lines = [(n, line) for n, line in lines if not n.startswith(("importlib", "_frozen"))]
            own = [(n, line) for n, line in lines if n.partition(".")[0] == self.package]
            module, line = next(iter(own or lines), ("", 0))
            self.importer = f"{module}, line {line}"
        return None


def probe(name: str) -> dict[str, Any]:
    """Seconds of importing a module beside what zoo imports itself, and where torch comes in."""
    importlib.import_module("zoo_core.plugins.catalogue")
    watch = Watch(name.partition(".")[0])
    sys.meta_path.insert(0, watch)
    start = time.perf_counter()
    module = importlib.import_module(name)
    seconds = time.perf_counter() - start
    for hook in LISTED if "torch" not in sys.modules else ():
        function: Any = getattr(module, hook, None)
        if hasattr(function, "zoo_impl"):
            with contextlib.suppress(Exception):  # what a hook raises is a fault of its own
                list(function() or ())
    return {"seconds": seconds, "torch": watch.importer if "torch" in sys.modules else ""}


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        cost = probe(sys.argv[1])
    print(json.dumps(cost))

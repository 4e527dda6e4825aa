"""What importing a plugin costs, changes and leaves, seen in a process that has done nothing else.

Run as `python -m zoo_core.conformance.probe MODULE`; prints one line of JSON. `torch` is where it
was imported: the innermost line of the plugin's own, or the innermost of all.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

LISTED = ("zoo_architectures", "zoo_manifests", "zoo_regularizers", "zoo_weight_sources")
STARTED = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.exec")
CONNECTED = ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo")
MOVED = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.symlink", "os.link")


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


class Deeds:
    """What Python reports of itself while it watches: programs, connections and files."""

    def __init__(self, package: str) -> None:
        self.package, self.watching = package, False
        self.programs: list[str] = []
        self.connections: list[str] = []
        self.files: list[str] = []
        self.handlers: list[str] = []
        self._register = atexit.register

    def __call__(self, event: str, arguments: tuple) -> None:
        """A hook of Python's audit events."""
        if not self.watching or _torch_under_way():  # what torch does then is told as torch
            return
        if event in STARTED:
            self.programs.append(_first(arguments) or event)
        elif event in CONNECTED:
            self.connections.append(str(arguments[1] if event != CONNECTED[-1] else arguments[0]))
        elif event in MOVED or (event == "open" and _writes(arguments)):
            path = _first(arguments)
            if "__pycache__" not in path and not path.startswith("/dev/"):
                self.files.append(path)

    def register(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """In place of atexit.register, which many packages call with good reason."""
        caller = str(sys._getframe(1).f_globals.get("__name__", ""))
        if caller.partition(".")[0] == self.package:
            self.handlers.append(getattr(function, "__name__", "?"))
        return self._register(function, *args, **kwargs)


def _torch_under_way() -> bool:
    spec = getattr(sys.modules.get("torch"), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def _first(arguments: tuple) -> str:
    path = arguments[0] if arguments else ""
    return os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else str(path)


def _writes(arguments: tuple) -> bool:
    """Whether a file is opened to be written: `open` tells its mode, os.open its flags."""
    path, mode, flags = (*arguments, None, 0)[:3]
    if isinstance(path, int):
        return False
    by_flags = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    return any(letter in (mode or "") for letter in "wax+") or bool(by_flags)


def probe(name: str) -> dict[str, Any]:
    """Seconds of importing a module beside what zoo imports itself, where torch comes in, what the
    import and the hooks change for all code of the process, and what they leave."""
    importlib.import_module("zoo_core.plugins.catalogue")
    surroundings = importlib.import_module("zoo_core.plugins.surroundings")
    package = name.partition(".")[0]
    watch, deeds, changed = Watch(package), Deeds(package), list[str]()
    before = {thread.ident for thread in threading.enumerate()}
    sys.addaudithook(deeds)
    sys.meta_path.insert(0, watch)
    atexit.register = deeds.register  # type: ignore[assignment]
    with surroundings.kept(changed):
        with _watching(deeds):
            start = time.perf_counter()
            module = importlib.import_module(name)
            seconds = time.perf_counter() - start
            light = "torch" not in sys.modules
            for hook in LISTED if light else ():
                function: Any = getattr(module, hook, None)
                if hasattr(function, "zoo_impl"):
                    with contextlib.suppress(Exception):  # what a hook raises is its own fault
                        for _ in zip(function() or (), range(10_000), strict=False):
                            pass
    threads = [t.name for t in threading.enumerate() if t.ident not in before]
    return {
        "seconds": seconds,
        "torch": watch.importer if "torch" in sys.modules else "",
        "changed": changed,
        "threads": threads,
        "programs": deeds.programs,
        "connections": deeds.connections,
        "files": list(dict.fromkeys(deeds.files)),
        "handlers": deeds.handlers,
    }


@contextlib.contextmanager
def _watching(deeds: Deeds) -> Iterator[None]:
    deeds.watching = True
    try:
        yield
    finally:
        deeds.watching = False


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        cost = probe(sys.argv[1])
    print(json.dumps(cost), flush=True)
    os._exit(0)  # whatever the plugin has left running, or registered for the end

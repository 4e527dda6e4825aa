"""Text reaches a terminal through a few doors, and nobody goes round them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [
    path
    for room in ("zoo_core", "plugins")
    for path in sorted((ROOT / room).rglob("*.py"))
    if "templates" not in path.parts
]

# who prints, and what: these clean what they print, or print nobody's names
DOORS = {
    "zoo_core/terminal/lines.py": {"print", "logging.getLogger"},
    "zoo_core/terminal/streams.py": set(),
    "zoo_core/cli/output.py": {"click.echo", "Console", "console.print"},
    "zoo_core/cli/plugins/report.py": {"Console", "console.print"},
    "zoo_core/cli/plugins/uninstall.py": {"click.confirm"},
    "zoo_core/progress.py": {"Console", "Progress", "self._progress.console.print"},
    "zoo_core/testing.py": {"warnings.warn"},
    "zoo_core/lazy.py": {"warnings.warn"},  # of an old name, to whoever wrote it
    "plugins/zoo_https/asking.py": {"logging.getLogger"},  # those of the client, to filter them
    "plugins/zoo_timm/networks.py": {"logging.getLogger"},  # timm's, to hear it
    "zoo_core/conformance/probe.py": {"print"},  # one line of JSON, for the process that asks
}
# what the makers of zoo run by hand, over files of zoo itself
BY_HAND = {
    "zoo_core/plugins/known.py",
    "plugins/zoo_lenet/train.py",
    "plugins/zoo_timm/coverage.py",
    "plugins/zoo_timm/generate.py",
}

PRINTING = {"print", "pprint", "input", "getLogger", "warn", "warn_explicit"}
OF_RICH = {"Console", "Progress"}
OF_CLICK = {"echo", "secho", "confirm", "prompt", "echo_via_pager", "clear", "pause"}
OF_TRACEBACK = {"print_exc", "print_exception", "print_stack", "print_tb", "print_last"}


def printing(path: Path) -> Iterator[tuple[str, int]]:
    """The calls in a file by which something is printed, and their lines."""
    text = path.read_text(encoding="utf-8")
    names = PRINTING | OF_TRACEBACK | (OF_RICH if "from rich" in text else set())
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            *owner, name = called.split(".")
            if name in names or (name in OF_CLICK and owner == ["click"]):
                yield called, node.lineno
            if name in ("write", "writelines") and owner[:1] == ["sys"]:
                yield called, node.lineno


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_prints_but_the_doors(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    if name not in BY_HAND:
        found = {call: line for call, line in printing(path) if call not in DOORS.get(name, ())}
        assert not found, f"{name}: print with zoo_core.terminal.lines.say, or cli.output.echo"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_line_is_one_line(path: Path) -> None:
    """What goes through a door for one line has no line break of ours, which would be shown."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"echo", "note", "say"}:
            parts = [part for given in node.args for part in ast.walk(given)]
            texts = [part.value for part in parts if isinstance(part, ast.Constant)]
            assert not [text for text in texts if isinstance(text, str) and "\n" in text]


def test_the_doors_are_there() -> None:
    """A door that prints no more is no door."""
    for name, calls in DOORS.items():
        assert calls <= {call for call, _ in printing(ROOT / name)}, name

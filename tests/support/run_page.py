"""Run the code blocks of one Markdown page: `python run_page.py PAGE`.

tests/test_docs.py says what the rules are.
"""

from __future__ import annotations

import contextlib
import doctest
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FENCE = re.compile(r"^(?P<indent> *)(?P<marks>`{3,})(?P<kind>\S*)(?: +file=(?P<file>\S+))?.*$")
CHECKER = doctest.OutputChecker()
MATCHING = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and its text.

    `line`: the line of the page where the text begins. `file`: the file that it is for.
    """

    kind: str
    text: str
    line: int
    file: str | None


def main(path: str) -> int:
    page = Path(path)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page.read_text(encoding="utf-8")):
        fault = run(block, page, namespace)
        if fault:
            print(f"{page.name}, line {block.line}:\n{fault}")
            return 1
    return 0


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    opened: re.Match[str] | None = None
    start, lines = 0, []
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.match(line)
        if opened is None:
            if fence:
                opened, start, lines = fence, number + 1, []
        elif fence and fence["marks"] == opened["marks"] and not fence["kind"]:
            inside = textwrap.dedent("\n".join(lines)) + "\n"
            yield Block(opened["kind"], inside, start, opened["file"])
            opened = None
        else:
            lines.append(line)
    if opened is not None:
        raise SystemExit(f"line {start - 1}: a code block is never closed")


def run(block: Block, page: Path, namespace: dict[str, Any]) -> str:
    """Run one block, or write it to its file; what is wrong, or nothing."""
    if block.file is not None:
        return write(block, block.file)
    if block.kind == "python":
        how = run_examples if ">>> " in block.text else run_python
        return how(block, page, namespace)
    if block.kind in ("console", "bash"):
        return run_shell(block)
    return ""


def write(block: Block, file: str) -> str:
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text, encoding="utf-8")
    return ""


def run_python(block: Block, page: Path, namespace: dict[str, Any]) -> str:
    source = "\n" * (block.line - 1) + block.text  # so that a traceback names the line of the page
    exec(compile(source, str(page), "exec"), namespace)
    return ""


def run_examples(block: Block, page: Path, namespace: dict[str, Any]) -> str:
    """Doctest's own runner, on the namespace of the page."""
    parser = doctest.DocTestParser()
    test = parser.get_doctest(block.text, namespace, page.name, str(page), block.line - 1)
    said: list[str] = []
    runner = doctest.DocTestRunner(checker=CHECKER, optionflags=MATCHING)
    runner.run(test, out=said.append, clear_globs=False)
    namespace.update(test.globs)
    return "".join(said)


def run_shell(block: Block) -> str:
    """Run the commands of a block one by one; each must print what the page shows."""
    for command, expected in commands(block.text):
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return f"$ {command}\nended with {done.returncode}\n{done.stdout}{done.stderr}"
        printed = done.stdout if done.stdout.strip() else done.stderr
        if expected and not matches(expected, printed):
            return f"$ {command}\nshould print\n{expected}\nbut prints\n{printed}"
    return ""


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block with the output shown for it.

    A command ends without a backslash.
    """
    command, output = "", []
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, "\n".join(output)
            command, output = line[2:], []
        elif command.endswith("\\"):
            command += "\n" + line.removeprefix("> ")
        elif command:
            output.append(line)
    if command:
        yield command, "\n".join(output)


def matches(expected: str, printed: str) -> bool:
    return CHECKER.check_output(expected.strip() + "\n", printed.strip() + "\n", MATCHING)


if __name__ == "__main__":
    with contextlib.suppress(IndexError):
        sys.exit(main(sys.argv[1]))
    sys.exit("usage: python run_page.py PAGE")

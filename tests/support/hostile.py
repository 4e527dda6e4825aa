"""Names as an enemy writes them, and what must not come of them."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

from support.in_process import Done
from zoo_core.cli import main

# a title, the clipboard, a line of its own, a line begun again, the screen cleared by one byte, a
# colour, rich's markup and emoji, text turned around, Unicode's line end, HTML, Markdown
HOSTILE = (
    "x\x1b]0;owned\x07\x1b]52;c;aGk=\x07\nowned  lenet5\rowned\t\x9b2J\x1b[31m[red]r[/red]"
    "[link=http:e]l[/link]:smile:\u202egpj\u2028<script>alert`1`|'\"&amp;"
)
SHOWN = r"x\x1b]0;owned\x07\x1b]52;c;aGk=\x07\nowned  lenet5\rowned\t\x9b2J\x1b[31m[red]r[/red]"

OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_RICH = re.compile(r"\x1b\[[0-9;]*[mAK]|\x1b\[\?25[hl]|\r")  # colours and bars, zoo's own


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


def typed(*words: str | Path, terminal: bool = False) -> Done:
    """What a command printed, in which nothing may be obeyed that a name holds."""
    kind = Terminal if terminal else io.StringIO
    out, err = kind(), kind()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    texts = [stream.getvalue() for stream in (out, err)]
    if terminal:
        texts = [_RICH.sub("", text) for text in texts]
    for text in texts:
        assert not OBEYED.search(text), ascii(text)
        assert not re.search(r"^owned", text, re.MULTILINE), ascii(text)
        assert "unexpected" not in text, text
    return Done(code, *texts)

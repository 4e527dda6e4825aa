"""What libraries and plugins print: drawn on a terminal, and nothing more."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings

import click
import pytest
from rich.console import Console
from support.hostile import OBEYED, Terminal

from zoo_core.terminal.lines import logger, say
from zoo_core.terminal.streams import Shown, aside, shown_streams

ATTACKS = [
    "\x1b]0;title\x07", "\x1b]52;c;aGk=\x1b\\", "\x1b]8;;http://e\x07link\x1b]8;;\x07",
    "\x1bP1$r\x1b\\",
    "\x1b_x\x1b\\", "\x1b[6n", "\x1b[c", "\x1b[?1049h", "\x1bc", "\x1b[2J", "\x1b[3;1H", "\x1b[5i",
    "\x07",
    "\x9b2J", "\x9d0;title\x9c", "\x90x\x9c", "\x00", "\x08", "\x0b", "\x0c", "\x0e", "\x7f",
    "\x85",
    "\u2028", "\u202e", "\udc80", "\ud800", "\x1b", "\x1b\x1b[31m]0;x\x07", "\x1b[\x1b[31m2J",
]  # fmt: skip
DRAWN = [
    "\x1b[31mred\x1b[0m",
    "\r 50%",
    "\x1b[A",
    "\x1b[2K",
    "\x1b[?25l",
    "\x1b[38;2;1;2;3mx",
    "a\tb",
]


def through(text: str, *, draws: bool) -> str:
    stream = io.StringIO()
    print(text, file=Shown(stream, draws=draws), end="")
    return stream.getvalue()


@pytest.mark.parametrize("text", ATTACKS, ids=ascii)
@pytest.mark.parametrize("draws", [False, True])
def test_nothing_is_obeyed(text: str, draws: bool) -> None:
    left = through(f"a{text}b", draws=draws)
    if draws:
        left = left.replace("\x1b[31m", "")
    assert not OBEYED.search(left), ascii(left)
    left.encode()


def test_an_attack_in_pieces_is_none() -> None:
    stream = io.StringIO()
    shown = Shown(stream, draws=True)
    shown.writelines(["\x1b", "]0;title", "\x07"])
    assert stream.getvalue() == "\\x1b]0;title\\x07"


@pytest.mark.parametrize("text", DRAWN, ids=ascii)
def test_bars_and_colours_are_drawn_on_a_terminal_alone(text: str) -> None:
    assert through(text, draws=True) == text
    plain = through(text, draws=False)
    assert plain == text if "\x1b" not in text and "\r" not in text else not OBEYED.search(plain)


def test_the_line_ends_of_another_system_stay() -> None:
    assert through("a\r\nb\rc", draws=False) == "a\r\nb\\rc"


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_all_ways_by_which_others_print(kind: type[io.StringIO]) -> None:
    evil = "\x1b]0;title\x07\x9b2J"
    out, err = kind(), kind()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), shown_streams():
        print(evil)
        click.echo(evil)
        sys.stdout.write(evil)
        Console().print(f"[link=http://e]a[/link]{evil}")
        record = logging.LogRecord("other", logging.ERROR, "", 0, evil, (), None)
        logging.StreamHandler().emit(record)
    for text in (out.getvalue(), err.getvalue()):
        assert "title" in text and "\x07" not in text and "\x9b" not in text and "\x1b]" not in text
    assert sys.stdout is not out


def test_warnings_draw_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    err, written = Terminal(), warnings.formatwarning
    monkeypatch.setattr("sys.stderr", err)
    with shown_streams():
        said = warnings.formatwarning("\x1b[31mred", UserWarning, "\x1b[1mfile.py", 3, "")
    assert said == "\\x1b[1mfile.py:3: UserWarning: \\x1b[31mred\n"
    assert warnings.formatwarning is written


def test_what_a_plugin_prints_goes_to_stderr_as_plain_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with aside():
        print("\x1b[31mred")
        print("\x1b]0;x\x07", file=sys.stderr)
    assert tuple(capsys.readouterr()) == ("", "\\x1b[31mred\n\\x1b]0;x\\x07\n")


def test_lines_and_records_are_one_line(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    say("a\nb\x1b[31m")
    assert capsys.readouterr().err == "a\\nb\\x1b[31m\n"
    logger("zoo_core.test").warning("%s has %d", "a\nb\x1b[31m", 3)
    assert caplog.messages == ["a\\nb\\x1b[31m has 3"]
    assert len(logger("zoo_core.test").filters) == 1

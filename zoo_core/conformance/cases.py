"""A case: one check of one thing, which passes, fails, warns or is skipped on its own."""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from zoo_core.humanize import one_line

Status = Literal["pass", "fail", "warn", "skip"]


class Wish(Exception):
    """Raised by a check that finds something missing that is no fault of the contract."""


class NotHere(Exception):
    """Raised by a check that cannot look at its point, or not on this machine."""


@dataclass(frozen=True)
class Result:
    """What a case found. `found`: what does not hold and what to change, or what is worth saying.

    `error`: what was raised, where it failed. `seconds`: the time that it took.
    """

    subject: str
    check: str
    status: Status
    found: str
    seconds: float = 0.0
    error: BaseException | None = None

    @property
    def line(self) -> str:
        """What it found, on one line."""
        return one_line(self.found)

    @property
    def wish(self) -> tuple[str, str]:
        """What it asks for, whatever numbers and hashes are in it: many models may lack the same.

        >>> Result("a", "params", "warn", "write params = 1_602.").wish
        ('params', 'write params = #.')
        """
        return self.check, re.sub(r"\b[0-9a-f]{64}\b|\d[\d_,.]*\d|\d", "#", self.line)

    @property
    def traceback(self) -> str:
        return "".join(traceback.format_exception(self.error)) if self.error else ""


@dataclass(frozen=True)
class Case:
    """One check of one thing: a line of the report, and a test in pytest.

    `look` returns what is worth saying, or None. It raises AssertionError where the point does not
    hold, Wish or NotHere; whatever else it raises is a failure, too.

    >>> Case("lenet5", "stages compose", lambda: "5 stages").run().status
    'pass'
    """

    subject: str
    check: str
    look: Callable[[], str | None]

    @property
    def id(self) -> str:
        """Its name as a test.

        >>> Case("lenet5", "stages compose", lambda: None).id
        'lenet5-stages-compose'
        """
        return f"{self.subject} {self.check}".replace(" ", "-")

    def run(self) -> Result:
        """Look; nothing is raised but what ends the process."""
        start = time.perf_counter()
        status: Status = "pass"
        error: BaseException | None = None
        try:
            remark = self.look() or ""
        except (Wish, NotHere) as reason:
            status, remark = ("warn" if isinstance(reason, Wish) else "skip"), str(reason)
        except (Exception, SystemExit) as raised:  # it is a plugin's code
            status, remark, error = "fail", _fault(raised), raised
        return Result(self.subject, self.check, status, remark, time.perf_counter() - start, error)


def expect(holds: bool, message: str) -> None:
    """Raise AssertionError with the message where something does not hold."""
    if not holds:
        raise AssertionError(message)


def _fault(error: BaseException) -> str:
    """What does not hold, in its own words; of an error nobody meant, its class too."""
    from zoo_core.errors import ZooError

    text = str(error).split("\nException raised from")[0].strip()
    if text and isinstance(error, AssertionError | ZooError):
        return text
    return f"{type(error).__name__}: {text or 'no message'}"

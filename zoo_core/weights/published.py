"""config.json as typed structs: the schema of a published model."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from zoo_core.types import InputSpec

CONFIG = "config.json"
LEGACY = "pytorch_model.bin"  # what timm and transformers wrote before safetensors, and still can


CENTER = InputSpec().crop_mode


SCHEMA = 1

MULTILABEL = "multi_label_classification"  # the `problem_type` by which transformers knows it


FILES = {"whole": "model.safetensors", "delta": "delta.safetensors"}


Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


Count = Annotated[int, Meta(ge=0, le=1_000_000)]  # of classes


Channels = Annotated[int, Meta(ge=1, le=10_000)]


Side = Annotated[int, Meta(ge=1, le=16_384)]  # of a picture, in pixels


Value = (
    Annotated[str, Meta(max_length=1_000)]
    | Annotated[int, Meta(ge=-100_000, le=100_000)]
    | Annotated[float, Meta(ge=-1e9, le=1e9)]
    | bool
)


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """InputSpec, as it is written down: "center" is not, so that an older zoo reads what it can."""

    size: tuple[Channels, Side, Side]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    crop: float
    flip: bool = True
    crop_mode: str | None = None

    @property
    def spec(self) -> InputSpec:
        facts = {name: getattr(self, name) for name in self.__struct_fields__}
        return InputSpec(**facts | {"crop_mode": self.crop_mode or CENTER})


class Base(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a model was fine-tuned from: `resnet50.a1_in1k`, or `hf://owner/repository@commit`.

    `sha256`: of the file. `digest`: of its tensors. `dropped`: those that the model has no more.
    In a folder on this machine it may be `file:PATH`, another file or folder here; `beside`: the
    way from the one to the other.
    """

    name: str
    sha256: Sha256
    digest: Sha256
    dropped: tuple[str, ...] = ()
    beside: str = ""


class Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The part of config.json under `zoo`."""

    schema: int
    format: Literal["whole", "delta"]
    model: str
    distribution: str
    version: str
    num_classes: Count
    in_chans: Channels
    input: Input
    sha256: Sha256 | None = None
    config: dict[str, Value | Annotated[list[Value], Meta(max_length=1_000)]] = {}
    dtype: Literal["float32", "float16", "bfloat16", "float64"] = "float32"
    labels: tuple[str, ...] | None = None
    multilabel: bool = False
    license: str | None = None
    base: Base | None = None

    @property
    def file(self) -> str:
        """The name of the file with the tensors."""
        return FILES[self.format]

    @property
    def spec(self) -> InputSpec:
        return self.input.spec


def saved_input(spec: InputSpec) -> Input:
    """An InputSpec, to be written down."""
    return Input(**written_input(spec))


def written_input(spec: InputSpec) -> dict[str, Any]:
    """The same as a table, for a recipe."""
    return {k: v for k, v in asdict(spec).items() if (k, v) != ("crop_mode", CENTER)}

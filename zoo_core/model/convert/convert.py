"""convert(): somebody's checkpoint -> a safetensors file that fits a model of the zoo, strictly.

`unpacking.py` finds the state dict, `mapping.py` the names, and `values.py` makes what is written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from zoo_core.errors import WeightsError
from zoo_core.files import hash_of, written
from zoo_core.humanize import one_line
from zoo_core.model.convert.mapping import named
from zoo_core.model.convert.outline import gives_numbers, outline
from zoo_core.model.convert.report import Converted
from zoo_core.model.convert.unpacking import unpack
from zoo_core.model.convert.values import types, values
from zoo_core.plugins.catalogue import catalogue
from zoo_core.types import InputSpec, ModelInfo
from zoo_core.weights.pickles import PICKLES
from zoo_core.weights.tensors import read_tensors


def convert(
    file: str | Path,
    model: str,
    *,
    out: str | Path | None = None,
    weights: str | None = None,
    license: str | None = None,
    key_map: Sequence[tuple[str, str]] = (),
    drop: Sequence[str] = (),
    ema: bool = False,
    by_order: bool = False,
    force: bool = False,
) -> Converted:
    """Turn a checkpoint of torchvision, timm or Lightning into safetensors with a model's names.

    `file`: `.pth`, `.pt`, `.bin`, `.ckpt` or safetensors. `out`: by default `file` with the ending
    `.safetensors`; one that is there is replaced only with `force`. `weights`: its tag in the
    manifest table, by default the name of `out`. `key_map`: pairs of prefixes of names, old and
    new. `drop`: prefixes of names to leave out. `ema`: the averaged copy of the weights.
    `by_order`: names that stay unknown are matched by order and shape.

    Classes and input channels are those of the tensors, which keep their types. The file appears
    only when it was read again into the model and gave finite scores.

    Raises UnknownName for the model, and WeightsError for a checkpoint that cannot be read without
    running code or does not fit, and where the file cannot be written.
    """
    source = Path(file).expanduser()
    info = _model(model)
    place = _place(source, out, force)
    tag = _tag(place, weights)
    unpacked = unpack(source, averaged=ema)
    target = outline(info)
    names = named(
        unpacked.tensors, target, str(source), pairs=key_map, drop=drop, by_order=by_order
    )
    classes, channels = target.classes_in(names.tensors), target.channels_in(names.tensors)
    module = target.built(classes, channels)
    fit = values(names, module)
    spec = info.input.with_channels(channels)
    sha256 = _write(fit.tensors, place, module, spec)
    return Converted(
        path=place.absolute(),
        sha256=sha256,
        size=place.stat().st_size,
        source=source,
        under=unpacked.under,
        model=info,
        weights=tag,
        license=license,
        num_classes=classes,
        input=spec,
        tensors=len(fit.tensors),
        rules=tuple(names.rules),
        dropped=names.dropped,
        left_out=unpacked.left_out,
        filled=fit.filled,
        casts=fit.casts,
        types=types(fit.tensors),
    )


# --- what is asked for ---------------------------------------------------------------------------


def _model(name: str) -> ModelInfo:
    """The model; `resnet50.tv_in1k` means resnet50 with the input of these weights."""
    named = catalogue().find(name)
    return replace(named.model, input=named.weights.input) if named.weights else named.model


def _place(source: Path, out: str | Path | None, force: bool) -> Path:
    place = _beside(source) if out is None else Path(out).expanduser()
    if place.suffix != ".safetensors":
        raise WeightsError(f"{place} will be safetensors, and should end with .safetensors.")
    try:
        if place.exists() and source.exists() and place.samefile(source):
            raise WeightsError(
                f"{place} is the checkpoint itself.", hint="Name another: --out FILE."
            )
        if place.exists() and not place.is_file():  # --force is no reason to replace a folder
            raise WeightsError(f"{place} cannot be written: it is no regular file.")
        if place.exists() and not force:
            raise WeightsError(f"{place} is there already.", hint="--force replaces it.")
    except OSError as error:
        raise _unwritable(place, error) from error
    return place


def _beside(source: Path) -> Path:
    """`flowers.pth.tar` becomes `flowers.safetensors`."""
    while source.suffix in PICKLES:
        source = source.with_suffix("")
    return source.with_name(f"{source.name.removesuffix('.safetensors')}.safetensors")


def _tag(place: Path, weights: str | None) -> str:
    if weights is None:
        return re.sub(r"[^A-Za-z0-9_.-]+", "-", place.stem).strip("_.-") or "converted"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", weights):
        raise WeightsError(f'"{weights}" is no tag: letters, digits, "_", "-" and "." only.')
    return weights


# --- writing -------------------------------------------------------------------------------------


def _write(tensors: dict[str, Tensor], place: Path, module: nn.Module, spec: InputSpec) -> str:
    """Write, read again and run once; the file's sha256. Where that fails, nothing is left."""
    try:
        with written(place) as temporary:
            save_file(tensors, temporary, metadata={"format": "pt"})
            module.load_state_dict(read_tensors(temporary), strict=True)
            if not gives_numbers(module, spec.size):
                raise WeightsError(
                    f"With these weights a {type(module).__name__} gives NaN or infinite scores.",
                    hint="They are damaged, or overflowed in training.",
                )
            return hash_of(temporary)
    except OSError as error:
        raise _unwritable(place, error) from error
    except SafetensorError as error:  # a full disk, as safetensors says it
        raise WeightsError(f"{place} cannot be written: {one_line(error)}.") from error


def _unwritable(place: Path, error: OSError) -> WeightsError:
    return WeightsError(f"{place} cannot be written: {error.strerror}.")

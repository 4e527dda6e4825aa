"""export(): a model as a file that runs without zoo, checked against the model."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from zoo_core.errors import UnknownName, WeightsError, ZooError, did_you_mean, first_line
from zoo_core.files import written
from zoo_core.inference.export_formats import FORMATS, traced
from zoo_core.inference.inputs import inputs
from zoo_core.inference.matching import as_model
from zoo_core.inference.reading import reading
from zoo_core.model.arguments import check_count
from zoo_core.model.run import Run
from zoo_core.model.zoo_model import ZooModel
from zoo_core.version import __version__

TOLERANCE = 1e-4  # of the largest score
TELLING = 10 * TOLERANCE  # how far scores of different pictures must be apart, to be compared
BATCHES = (1, 4)  # of random pictures, where any number of them may come


@dataclass(frozen=True)
class Exported:
    """A file that export() wrote.

    `size`: its bytes. `difference`: the largest between its scores and the model's, as a share of
    the largest score, on so many `pictures`; None where nothing was compared.
    """

    path: Path
    format: str
    size: int
    difference: float | None
    pictures: int


def export(
    model: ZooModel | Run | str | Path,
    path: str | Path,
    *,
    format: str | None = None,
    batch_size: int | None = None,
    pictures: Any = None,
    check: bool = True,
    force: bool = False,
) -> Exported:
    """Write a model to a file of ONNX or of torch.export, which runs without zoo.

    `model`: a model, a run, the path of a run, or a name (its default weights). It is exported as
    it is in eval mode, in float32 and for the CPU, and stays as it was. `path`: ends with `.onnx`
    or `.pt2`, unless `format` says which; a file that is there is replaced only with `force`.

    The file takes `pictures`, float32 (N, C, H, W) of the model's `input.size` as `transform()`
    makes them, and gives `scores` (N, classes). N is `batch_size`, or any number by default. Under
    the key `zoo` it has JSON with the model's name, input, labels, and zoo's version.

    The file appears only when it was opened again and gave the model's scores, to 1e-4 of the
    largest, for random pictures and for `pictures` (whatever `predict` takes). A model whose scores
    are the same for all pictures cannot be checked so, and is refused. `check=False`: without that.

    Raises WeightsError for a model that cannot be exported, a file that disagrees with it or
    cannot be written, and where `zoo-core[export]` is missing; UnknownName for a format.

    >>> import tempfile, zoo_core as zoo
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = zoo.export("lenet5", Path(folder) / "lenet5.pt2")
    >>> done.format, done.difference < 1e-4
    ('pt2', True)
    """
    target = Path(path).expanduser()
    name = _format(target, format)
    _check_place(target, force)
    file_format = FORMATS[name]
    file_format.check_installed()
    if batch_size is not None:
        check_count("batch_size", batch_size, least=1)
    original = as_model(model)
    plain = _plain(original)
    samples = _samples(original, batch_size, pictures) if check else []
    with torch.inference_mode():
        wanted = [plain(x) for x in samples]  # with its hooks: should one change scores, it shows
    if check:
        _check_telling(torch.cat(wanted), original.origin.reference)
    _remove_hooks(plain)
    program = _graph(plain, original, batch_size)
    with _whole(target) as temporary:
        file_format.write(program, temporary, json.dumps(_facts(original), ensure_ascii=False))
        opened = file_format.open(temporary)
        difference = _difference(
            lambda x: opened(_filled(x, batch_size))[: len(x)], samples, wanted
        )
    compared = sum(len(x) for x in samples)
    return Exported(target, name, target.stat().st_size, difference if check else None, compared)


# --- what is asked for ---------------------------------------------------------------------------


def _format(path: Path, format: str | None) -> str:
    name = format or path.suffix.removeprefix(".")
    if name not in FORMATS:
        what = f'No format "{name}".' if format else f"{path} does not say its format."
        hint = "A file that ends with .onnx or .pt2 does; format= says it for another."
        raise UnknownName(f"{what} {did_you_mean(name, FORMATS)}".strip(), hint=hint)
    return name


def _check_place(path: Path, force: bool) -> None:
    if path.is_dir() or not path.parent.is_dir():
        what = "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise WeightsError(f"{path} cannot be written: {what}.")
    if path.exists() and not path.is_file():  # --force is no reason to replace /dev/null
        raise WeightsError(f"{path} cannot be written: it is no regular file.")
    if path.exists() and not force:
        raise WeightsError(f"{path} is there already.", hint="force=True (--force) replaces it.")


# --- the model -----------------------------------------------------------------------------------


def _plain(model: ZooModel) -> ZooModel:
    """A copy in float32 on the CPU, in eval mode."""
    return copy.deepcopy(model).to("cpu", torch.float32).eval()


def _remove_hooks(model: nn.Module) -> None:
    """What watches or trains a model has no place in a file."""
    for module in model.modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
        module._backward_hooks.clear()
        module._backward_pre_hooks.clear()


def _graph(plain: nn.Module, model: ZooModel, batch_size: int | None) -> ExportedProgram:
    x = torch.zeros(batch_size or 2, *model.input.size)  # for 1 the exporter would assume it
    try:
        return traced(plain, x, dynamic=batch_size is None)
    except Exception as error:  # it may say anything about a network that it cannot follow
        raise WeightsError(
            f"{model.origin.reference} cannot be exported: {first_line(error)}.",
            hint="" if batch_size else "A fixed number of pictures may help: batch_size=1.",
        ) from error


def _facts(model: ZooModel) -> dict[str, Any]:
    """What is put into the file, for who prepares pictures and names classes."""
    return {
        "version": __version__,
        "model": model.origin.reference,
        "config": dict(model.origin.config),
        "input": asdict(model.input),
        "labels": list(model.labels) if model.labels else None,
        "multilabel": model.multilabel,
    }


# --- the check -----------------------------------------------------------------------------------


def _samples(model: ZooModel, batch_size: int | None, pictures: Any) -> list[Tensor]:
    """Random pictures, then real ones."""
    generator = torch.Generator().manual_seed(0)
    sizes = BATCHES if batch_size is None else (batch_size, batch_size)
    samples = [torch.randn(size, *model.input.size, generator=generator) for size in sizes]
    if pictures is not None:
        with reading(inputs(pictures), model, batch_size or 32) as batches:
            samples += [x for _, x in batches]
    return samples


def _filled(x: Tensor, batch_size: int | None) -> Tensor:
    """As many pictures as the file takes: the last one again and again."""
    missing = max((batch_size or 0) - len(x), 0)
    return torch.cat([x, x[-1:].expand(missing, -1, -1, -1)])


def _check_telling(scores: Tensor, name: str) -> None:
    """Raises WeightsError for scores (N, classes) that agree with those of any wrong file, too.

    In a deep network with fresh weights the signal can die out; only the last bias is left then.
    """
    hint = "check=False (--no-check) writes it without comparing."
    if not scores.isfinite().all():
        raise WeightsError(f"{name} gives NaN or infinite scores: nothing to compare.", hint=hint)
    apart = (scores.amax(0) - scores.amin(0)).max()
    if apart <= TELLING * scores.abs().max():
        raise WeightsError(
            f"{name} gives the same scores for all pictures, so that a wrong file would pass, too.",
            hint=f"Is it trained? {hint}",
        )


def _difference(
    run: Callable[[Tensor], Tensor], samples: list[Tensor], wanted: list[Tensor]
) -> float:
    """The largest difference as a share of the largest score. Raises WeightsError above 1e-4."""
    if not samples:
        return 0.0
    with torch.inference_mode():
        gaps = [(run(x) - scores).abs().max() for x, scores in zip(samples, wanted, strict=True)]
    largest = torch.stack([scores.abs().max() for scores in wanted]).max()
    difference = (torch.stack(gaps).max() / largest.clamp(min=1e-30)).item()
    if not difference <= TOLERANCE:  # NaN is not, either
        raise WeightsError(
            f"The exported file gives other scores than the model: {difference:.1e} of the largest,"
            f" where {TOLERANCE:.0e} is allowed. Nothing was written.",
            hint="Hooks are not exported: has the model one that changes scores?",
        )
    return difference


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """As `files.written`; what goes wrong inside is a WeightsError."""
    try:
        with written(path) as temporary:
            yield temporary
    except ZooError:
        raise
    except OSError as error:
        raise WeightsError(f"{path} cannot be written: {error.strerror or error}.") from error
    except Exception as error:
        raise WeightsError(f"{path} cannot be made: {first_line(error)}.") from error

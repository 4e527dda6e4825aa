"""Progress in words: a line an epoch, and what a person should know."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo_core.data.pictures import Pictures, is_tensor_item, place_of
from zoo_core.errors import DataError, RecipeError
from zoo_core.humanize import duration, without_credentials
from zoo_core.model.zoo_model import ZooModel
from zoo_core.regularize.regularizer import called
from zoo_core.regularize.stack import Stack

SLOW = 0.3  # the share of an epoch spent waiting for pictures that is worth a word
LONG = 3.0  # seconds of an epoch from which on it is


def epoch_line(row: Mapping[str, Any], total: int) -> str:
    """An epoch in less than 80 characters."""
    parts = [f"epoch {row['epoch']:>{len(str(total))}}/{total}", f"loss {row['loss']:.4f}"]
    if "val_loss" in row:
        parts += [f"val loss {row['val_loss']:.4f}", f"val accuracy {row['val_accuracy']:.1%}"]
    parts += [duration(row["seconds"]), f"{row['pictures_per_second']:,.0f}/s"]
    return "  ".join(parts)


def begin_line(model: ZooModel, pictures: Pictures, epochs: int, done: int) -> str:
    """What begins; `done`: epochs from before, where it goes on."""
    name = without_credentials(model.origin.reference)
    many = f"{len(pictures):,} pictures, {epochs} epoch{'' if epochs == 1 else 's'}"
    on = f", from epoch {done + 1} on" if done else ""
    return f"training {name} on {pictures.name}: {many}{on}"


def end_line(model: ZooModel, best: Mapping[str, Any], path: Path | None) -> str:
    """What came of it."""
    parts = [f"trained {without_credentials(model.origin.reference)}"]
    if best:
        parts += [f"best epoch {best['epoch']}", f"loss {best['loss']:.4f}"]
    if "val_loss" in best:
        parts += [f"val loss {best['val_loss']:.4f}", f"val accuracy {best['val_accuracy']:.1%}"]
    return "  ".join([*parts, *([str(path)] if path else [])])


def behind_the_bar(row: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """What stands behind the bar until the next epoch ends."""
    last = {"accuracy": row["val_accuracy"]} if "val_accuracy" in row else {}
    return {**last, "memory": lambda: peak_memory(device)}


def peak_memory(device: torch.device) -> int:
    """The most bytes so far: of the GPU where there is one, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def is_slow(row: Mapping[str, Any]) -> bool:
    """Whether reading pictures, and not computing, takes the time."""
    return bool(row["waiting"] > SLOW and row["seconds"] > LONG)


def what_is_slow(row: Mapping[str, Any], workers: int) -> str:
    by = f"{workers or 'no'} worker{'' if workers == 1 else 's'}"
    share = f"{row['waiting']:.0%} of the epoch went by waiting for pictures"
    return f"{share}, read by {by}: more workers or smaller files would help."


def what_the_cache_saved(cache: Any) -> str:
    """What a cache took in all, against what was predicted; nothing where none was filled."""
    if not isinstance(cache, dict) or "predicted" not in cache:
        return ""
    predicted = f"{duration(cache['predicted'])}, and {duration(cache['without'])} without it"
    took = duration(cache["building"] + cache["training"])
    return f"With the cache it took {took}; the forecast was {predicted}."


def what_did_not_begin(stack: Stack) -> str:
    """Which regularizers never came into effect."""
    late = [called(member) for member in stack.members if not member.begun]
    return f"{' and '.join(late)} did not begin in this training." if late else ""


def are_finite(weights: Iterable[Tensor]) -> bool:
    """Whether no weight is NaN or infinite; a sum tells, and is quicker than a look at each."""
    sums = torch.stack([weight.detach().sum(dtype=torch.float64) for weight in weights])
    return bool(sums.isfinite().all())


def refuse_strange_numbers(*sets: Pictures | None) -> None:
    """Raise DataError where tensors that count as preprocessed hold NaN or infinity.

    It reads all of them, so it is asked when something has gone wrong; what is decoded by zoo
    holds none.
    """
    for pictures in filter(None, sets):
        if not is_tensor_item(pictures):
            continue
        for index in range(len(pictures)):
            item = pictures.read(index)
            if isinstance(item, Tensor) and not torch.isfinite(item).all():
                raise DataError(
                    f"Item {place_of(pictures, index)} of {pictures.name} holds NaN or infinity, "
                    "so that nothing can be learned from it; the last good weights are back.",
                    hint="Mend it, or leave it out.",
                )


def diverged(stack: Stack, epoch: int, rate: float, *, of: str = "") -> RecipeError:
    """The error for a loss that is no number; `of`: of what, before the word."""
    penalties = stack.penalties().items()
    strange = [name for name, penalty in penalties if not torch.isfinite(penalty)]
    what = f"The {of}loss"
    if strange:
        what += f" (and the penalty of {', '.join(strange)})"
    back = "training diverged, and the last good weights are back"
    return RecipeError(
        f"{what} is no number in epoch {epoch}: {back}.",
        hint=f"Try a smaller lr than {rate:g}"
        + (", or a weaker regularizer." if stack.members else "."),
    )

"""Whether a phase trains on cached activations, and why."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from zoo_core.data.samples import Samples
from zoo_core.errors import RecipeError
from zoo_core.humanize import byte_size
from zoo_core.regularize.stack import Stack
from zoo_core.training.cache.fill import Caching
from zoo_core.training.cache.forecast import Forecast
from zoo_core.training.cache.prefix import Prefix, other_pictures
from zoo_core.training.console import Console
from zoo_core.training.task import Task

Facts = dict[str, Any]


def cached(
    task: Task,
    prefix: Prefix | None,
    sets: Mapping[str, Samples],
    console: Console,
    forecast: Callable[[Caching], Forecast],
) -> Facts | str:
    """Put activations in the place of pictures, where that is wanted, right, and pays.

    `sets`: by title; what is cached is held by them then. `forecast`: of what a cache would save.
    Returns facts of the cache, or the reason why there is none. Raises RecipeError where a cache
    is insisted on and cannot be.
    """
    if task.settings.cache is False:
        return "not wanted"
    if task.train_set.streamed:
        return _not_cached(task, console, "pictures that are streamed are not kept")
    if prefix is None:
        return _not_cached(task, console, _nothing_to_cache(task))
    caching = Caching(task, prefix, sets, console)
    reason = caching.against()
    if reason:
        return _not_cached(task, console, reason)
    facts: Facts = {"boundary": prefix.boundary}
    if caching.is_mostly_there():
        facts |= _found(caching)
    else:
        predicted = forecast(caching)
        if task.settings.cache == "auto" and not task.processes.from_main(predicted.pays):
            return _not_cached(task, console, f"it would save no time ({predicted})")
        facts |= _announced(caching, predicted)
    start = time.perf_counter()
    reason = caching.fill()
    if reason:
        return _not_cached(task, console, reason)
    return facts | {"computed": caching.computed, "building": time.perf_counter() - start}


def _found(caching: Caching) -> Facts:
    """Say what is there from earlier trainings, and give it as facts."""
    there = caching.rows - caching.computed
    some = f" {there:,} of {caching.rows:,} rows," if caching.computed else ""
    boundary = caching.prefix.boundary
    caching.console.say(f"Cached: what enters {boundary},{some} from earlier trainings.")
    return {"reused": there}


def _announced(caching: Caching, predicted: Forecast) -> Facts:
    """Say what will be cached, and give it as facts."""
    some = f"{caching.computed:,} of " if caching.computed < caching.rows else ""
    rows = f"{some}{caching.rows:,} rows, {byte_size(predicted.bytes)}"
    caching.console.say(f"Caching what enters {caching.prefix.boundary}: {rows}.")
    caching.console.say(f"That takes {predicted}.")
    return {
        "bytes": predicted.bytes,
        "without": predicted.without,
        "predicted": predicted.building + predicted.training,
    }


def _nothing_to_cache(task: Task) -> str:
    names = other_pictures(task.stack)
    if names:
        return _in_each_step(names)
    return f"nothing before {next(iter(task.model.chain))} is frozen as a whole stage"


def _not_cached(task: Task, console: Console, reason: str) -> str:
    if task.settings.cache is True:
        raise _impossible(reason)
    if task.model.frozen:
        console.say(f"Not cached: {reason}.")
    return reason


def refuse_cache(stack: Stack) -> None:
    """Raise RecipeError, where a cache is insisted on, for regularizers that forbid it."""
    names = other_pictures(stack)
    if names:
        raise _impossible(_in_each_step(names))


def _impossible(reason: str) -> RecipeError:
    return RecipeError(f"cache=True cannot be: {reason}.", hint=_hint(reason))


def _in_each_step(names: list[str]) -> str:
    verb = "makes" if len(names) == 1 else "make"
    return f"{' and '.join(names)} {verb} other pictures in each step"


def _hint(reason: str) -> str:
    if "other pictures in" in reason:
        return "Take manifold-mixup, which mixes the cached activations, or leave cache out."
    if "augmented anew" in reason:
        return "Pass augment=False, or a number of fixed views: augment=8."
    if "is frozen" in reason:
        return "Freeze whole stages, norms too, with freeze_until; or leave cache out."
    return 'Leave cache out: "auto" caches where it can.'

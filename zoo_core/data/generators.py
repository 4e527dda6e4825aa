"""Random number generators that a Dataset holds: found, and made to follow the seed of a sample."""

from __future__ import annotations

import contextlib
import functools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch

DEEPEST, MOST, LONGEST = 10, 10_000, 100  # objects: how deep, how many, how long a list of them

KINDS = (np.random.Generator, np.random.RandomState, random.Random, torch.Generator)
PLAIN = (str, bytes, int, float, type(None), torch.Tensor, np.ndarray, ModuleType)


def held_generators(holder: Any) -> list[Any]:
    """Generators of numpy, Python and torch that an object can draw from.

    Looked into are attributes, lists, tuples and dicts, so also transforms and datasets in
    datasets, what a function encloses, and the globals that its code names.
    """
    found: dict[int, Any] = {}
    seen: dict[int, Any] = {}
    level = [holder]
    for _ in range(DEEPEST):
        below: list[Any] = []
        for each in level:
            if id(each) in seen or len(seen) > MOST:
                continue
            seen[id(each)] = each
            if isinstance(each, KINDS) and not isinstance(each, random.SystemRandom):
                found[id(each)] = each
            else:
                below += [value for value in _inside(each) if not isinstance(value, PLAIN)]
        level = below
    return list(found.values())


def _inside(each: Any) -> Iterable[Any]:
    if isinstance(each, list | tuple | dict):
        values = each.values() if isinstance(each, dict) else each
        return values if len(each) <= LONGEST else ()
    if isinstance(each, type):
        return ()
    if isinstance(each, FunctionType):
        return _used_by(each)
    held = list(getattr(each, "__dict__", {}).values())
    held += [getattr(each, name, None) for name in _slots(type(each))]
    held += [getattr(each, name, None) for name in ("__self__", "__func__", "func", "args")]
    own = [kind for kind in type(each).__mro__ if kind.__module__.split(".")[0] not in LIBRARIES]
    return held + [f for kind in own for f in vars(kind).values() if isinstance(f, FunctionType)]


LIBRARIES = ("builtins", "torch", "torchvision", "datasets", "PIL", "numpy")  # keep no generators


def _used_by(function: FunctionType) -> list[Any]:
    """What a function encloses, its defaults, and generators and functions of its module."""
    every = function.__globals__
    named = [every.get(name) for name in _names(function.__code__)]
    enclosed = [_content(cell) for cell in function.__closure__ or ()]
    used: list[Any] = [g for g in named if isinstance(g, KINDS)]
    used += [f for f in named if isinstance(f, FunctionType) and f.__globals__ is every]
    return [*enclosed, *(function.__defaults__ or ()), *used]


def _names(code: CodeType) -> set[str]:
    """The names that code looks up, also in functions within it."""
    inner = [_names(each) for each in code.co_consts if isinstance(each, CodeType)]
    return set(code.co_names).union(*inner)


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # of a variable that has no value yet
        return None


def _slots(kind: type) -> list[str]:
    slots = [getattr(parent, "__slots__", ()) for parent in kind.__mro__]
    return [name for names in slots for name in ([names] if isinstance(names, str) else names)]


@contextlib.contextmanager
def following(generators: Sequence[Any], seed: int) -> Iterator[None]:
    """What generators give inside depends on `seed`; outside they go on as if nothing had been."""
    with contextlib.ExitStack() as states:
        for place, generator in enumerate(generators):
            states.callback(_seeded(generator, seed + place))
        yield


def _seeded(generator: Any, seed: int) -> Callable[[], Any]:
    """Seed a generator; what puts it back."""
    if isinstance(generator, torch.Generator):
        before = generator.get_state()
        generator.manual_seed(seed % 2**63)
        return functools.partial(generator.set_state, before)
    if isinstance(generator, random.Random):
        now = generator.getstate()
        generator.seed(seed)
        return functools.partial(generator.setstate, now)
    if isinstance(generator, np.random.RandomState):
        then = generator.get_state()
        generator.seed(seed % 2**32)
        return functools.partial(generator.set_state, then)
    bits = generator.bit_generator
    state = bits.state
    bits.state = type(bits)(seed % 2**63).state
    return functools.partial(setattr, bits, "state", state)

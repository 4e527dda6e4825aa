"""What identifies the code that runs some stages, so that activations of other code are not used.

Weights are not all: a plugin's author changes a `forward`, and the weights stay.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import types
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from zoo_core.chain import reach
from zoo_core.types import Stage

HOOKS = ("_forward_pre_hooks", "_forward_hooks")


def code_digest(model: nn.Module, stages: Sequence[Stage]) -> str:
    """32 hex digits: of the classes and functions of stages, hooks too, and how they are set up.

    Of code in a file, the file counts; what that imports does not.

    >>> linear = [Stage("linear", run=("0",))]
    >>> code_digest(nn.Sequential(nn.ReLU()), linear) == code_digest(nn.Sequential(nn.ReLU()), [])
    False
    """
    digest = hashlib.blake2b(digest_size=16)
    for text in _described(model, [reach(stage) for stage in stages]):
        digest.update(text.encode("utf-8", "replace") + b"\0")
    return digest.hexdigest()


def _described(model: nn.Module, stages: Sequence[Stage]) -> Iterator[str]:
    for stage in stages:
        for step in stage.run:
            yield step if isinstance(step, str) else _function(step)
    for name, module in model.named_modules():
        if name and any(stage.has(name) for stage in stages):
            yield f"{name} {type(module).__module__} {type(module).__qualname__}"
            yield module.extra_repr()
            yield _function(type(module).forward)
            yield from _hooks(module)


def _hooks(module: nn.Module) -> Iterator[str]:
    hooks: Iterable[Any] = (hook for name in HOOKS for hook in vars(module)[name].values())
    yield from map(_function, hooks)


def _function(function: Any) -> str:
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if code is None:  # an object that is called, or one of C
        called = inspect.getattr_static(type(function), "__call__", None)
        code = getattr(called, "__code__", None)
    if code is None:
        return f"{type(function).__module__} {type(function).__qualname__}"
    return f"{_file(code.co_filename)} {_byte_code(code)}"


def _byte_code(code: types.CodeType) -> str:
    constants = " ".join(map(_constant, code.co_consts))
    return f"{code.co_name} {code.co_code.hex()} {code.co_names} {constants}"


def _constant(value: Any) -> str:
    if isinstance(value, frozenset):  # its order is another in each process
        return str(sorted(map(repr, value)))
    return _byte_code(value) if isinstance(value, types.CodeType) else repr(value)


@functools.lru_cache(maxsize=1024)
def _file(name: str) -> str:
    """A hash of a file of code, as it was when it was first asked for; "" where there is none."""
    try:
        return hashlib.blake2b(Path(name).read_bytes(), digest_size=16).hexdigest()
    except OSError:
        return ""

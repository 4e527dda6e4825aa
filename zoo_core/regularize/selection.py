"""Selecting parameters by names of stages or paths of modules: the options stages and exclude."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from zoo_core.chain import chain_of, unknown_stage
from zoo_core.errors import UnknownName, did_you_mean


def words(text: str | Sequence[str]) -> tuple[str, ...]:
    """`"layer3+layer4"` as its parts; a sequence as it is."""
    parts = text.split("+") if isinstance(text, str) else text
    return tuple(part.strip() for part in parts if part.strip())


def selected(
    model: nn.Module, names: Iterable[str], stages: Sequence[str], exclude: Sequence[str]
) -> list[str]:
    """The names (of parameters, buffers or modules) in some stages and in no excluded one.

    No `stages` means all. Raises UnknownName for a word that is neither a stage nor a module.
    """
    for word in (*stages, *exclude):
        _check(model, word)
    return [
        name
        for name in names
        if (not stages or any(_has(model, word, name) for word in stages))
        and not any(_has(model, word, name) for word in exclude)
    ]


def _has(model: nn.Module, word: str, name: str) -> bool:
    chain = chain_of(model)
    if word in chain:
        return chain[word].has(name)
    return name == word or name.startswith(word + ".")


def _check(model: nn.Module, word: str) -> None:
    chain = chain_of(model)
    if word in chain or any(word == name for name, _ in model.named_modules()):
        return
    if chain:
        raise unknown_stage(chain, word)
    children = [name for name, _ in model.named_children()]
    message = f'No module "{word}". {did_you_mean(word, children)}'.strip()
    raise UnknownName(message, hint=f"There is: {', '.join(children)}.")

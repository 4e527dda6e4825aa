"""Which class is meant by what somebody calls it."""

from __future__ import annotations

from collections.abc import Sequence

from zoo_core.errors import DataError, did_you_mean, named_closest
from zoo_core.model.zoo_model import ZooModel


def number_of(network: ZooModel, label: str | int) -> int:
    """The number of a class by its name, by itself, or by a word that only this class has."""
    names, asked = network.labels or (), str(label)
    if asked in names:
        return names.index(asked)
    if asked.isdecimal() and len(asked) < 10 and int(asked) < network.num_outputs:
        return int(asked)
    alike = [number for number, name in enumerate(names) if asked.casefold() in _words(name)]
    if len(alike) == 1:
        return alike[0]
    raise DataError(
        f'The model knows {"several classes" if alike else "no class"} "{asked}".',
        hint=_hint(asked, [names[number] for number in alike] or names, network.num_outputs),
    )


def _words(name: str) -> list[str]:
    """What else a class is called, in small letters.

    >>> _words("tabby, Tabby cat")
    ['tabby, tabby cat', 'tabby', 'tabby cat']
    """
    small = name.casefold()
    return [small, *(part.strip() for part in small.split(","))]


def _hint(asked: str, names: Sequence[str], count: int) -> str:
    """The classes that are meant, perhaps: those that contain it, else those that look like it."""
    holding = [name for name in names if asked.casefold() in name.casefold()]
    number = asked.lstrip("-").isdecimal()
    close = "" if number else named_closest(holding[:3]) or did_you_mean(asked, names)
    return close or f"Its classes are 0 to {count - 1}."

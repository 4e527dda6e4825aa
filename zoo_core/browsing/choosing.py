"""Models that fit what is asked of size, cost, accuracy, licence and place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from zoo_core.browsing.amounts import amount, percentage
from zoo_core.browsing.row import Row, all_models, rows_of
from zoo_core.errors import UnknownName, ZooError, did_you_mean
from zoo_core.types import ModelInfo


@dataclass(frozen=True)
class Wanted:
    """What is asked of models; None and empty: nothing. `licences`: one of these, in any case.

    `installed`: the weights are on this machine, so that no network is needed. `tag`: a pattern.
    """

    max_params: float | None = None
    max_gmacs: float | None = None
    min_top1: float | None = None
    max_input: float | None = None
    licences: tuple[str, ...] = ()
    installed: bool = False
    tag: str = ""

    @property
    def of_weights(self) -> bool:
        """Whether anything is asked that weights of one model differ in."""
        if self.licences or self.installed or self.tag:
            return True
        return any(most is not None for most in (self.max_gmacs, self.min_top1, self.max_input))

    def fits(self, row: Row) -> bool | None:
        """Whether a row does; None where only a figure is missing to tell."""
        if not row.tagged(self.tag):
            return False
        held = [
            _within(row.model.params, most=self.max_params),
            _within(row.gmacs, most=self.max_gmacs),
            _within(row.side, most=self.max_input),
            _within(row.top1, least=self.min_top1),
            self._may(row.licence) if row.weights else not self.licences,
        ]
        if False in held or (self.installed and not row.is_here):
            return False
        return None if None in held else True

    def _may(self, licence: str | None) -> bool | None:
        if not self.licences:
            return True
        return None if licence is None else licence.lower() in self.licences


def wanted(
    *,
    max_params: str | float | None = None,
    max_gmacs: str | float | None = None,
    min_top1: str | float | None = None,
    max_input: str | float | None = None,
    licence: str | Sequence[str] | None = None,
    installed: bool = False,
    tag: str = "",
) -> Wanted:
    """From arguments as people write them. Raises ZooError for a number or licence that is none.

    >>> asked = wanted(max_params="30M", licence="MIT")
    >>> asked.max_params, asked.licences, asked.max_gmacs
    (30000000.0, ('mit',), None)
    """
    return Wanted(
        max_params=_number("max_params", max_params, amount),
        max_gmacs=_number("max_gmacs", max_gmacs, lambda value: amount(value, unit=1e9)),
        min_top1=_number("min_top1", min_top1, percentage),
        max_input=_number("max_input", max_input, amount),
        licences=_licences(licence),
        installed=installed,
        tag=tag,
    )


def _licences(licence: str | Sequence[str] | None) -> tuple[str, ...]:
    named = () if licence is None else (licence,) if isinstance(licence, str) else licence
    several = tuple(named) if isinstance(named, Iterable) else (named,)
    if not all(isinstance(one, str) for one in several):
        example = 'Write "mit", or several: ["mit", "bsd-3-clause"].'
        raise ZooError(f"licence: {licence!r:.40} is no name. {example}")
    return tuple(one.lower() for one in several)


def _number(
    name: str, value: str | float | None, read: Callable[[str | float], float]
) -> float | None:
    if value is None:
        return None
    try:
        return read(value)
    except ZooError as error:
        raise ZooError(f"{name}: {error.message}") from error


def chosen(models: Iterable[ModelInfo], asked: Wanted) -> tuple[list[Row], int]:
    """A row for each model that fits, and how many lack a figure to tell.

    It is of the default weights; where those do not fit, of the most accurate that do. Raises
    UnknownName for a licence that no weights have.
    """
    _check_licences(asked.licences)
    rows, untold = [], 0
    for model in models:
        offered = rows_of(model) if asked.of_weights else [Row(model, model.default_weights)]
        fitting = [(asked.fits(row), row) for row in offered]
        found = next((row for fits, row in fitting if fits), None)
        if found is not None:
            rows.append(found)
        elif any(fits is None for fits, _ in fitting):
            untold += 1
    return rows, untold


def _within(
    value: float | None, *, least: float | None = None, most: float | None = None
) -> bool | None:
    """Whether a figure is in bounds; None where there is a bound and no figure."""
    if least is None and most is None:
        return True
    if value is None:
        return None
    return (least is None or value >= least) and (most is None or value <= most)


def _check_licences(licences: Sequence[str]) -> None:
    if not licences:
        return
    listed = (w.license for model in all_models() for w in model.weights.values())
    there = {license.lower() for license in listed if license}
    for licence in licences:
        if licence not in there:
            near = did_you_mean(licence, there) or f"There are: {', '.join(sorted(there))}."
            raise UnknownName(f'No weights have the licence "{licence[:40]}". {near}')

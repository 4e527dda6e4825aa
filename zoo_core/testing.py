"""Contract tests for plugin authors: call them in your own tests.

    from zoo_core.testing import plugin_tests

    test_contract = plugin_tests("zoo_mynet")

is all that `zoo plugins check zoo_mynet` looks at, one test for each point and model. Or one
architecture, or one regularizer, in a test of your own:

    from zoo_core.testing import check_architecture

    def test_contract():
        check_architecture("mynet")

Each failure is an AssertionError that says what does not hold, where, and what to change.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from zoo_core.conformance.cases import Case, Result
from zoo_core.conformance.contract import CONTRACT
from zoo_core.conformance.imports import imports_no_torch
from zoo_core.conformance.plugin import examinations, specimen_cases
from zoo_core.conformance.regularizers import check_regularizer as check_regularizer
from zoo_core.conformance.specimen import Specimen
from zoo_core.errors import ZooError
from zoo_core.humanize import readable_text
from zoo_core.model.arguments import checked_config
from zoo_core.plugins.catalogue import catalogue
from zoo_core.plugins.entry_points import installed_entries
from zoo_core.types import Architecture, InputSpec


class ConformanceWarning(UserWarning):
    """What `zoo plugins check` warns of: a missing licence, hash or description, a slow import."""


def check_architecture(
    architecture: str | Architecture, *, size: tuple[int, int, int] | None = None, **config: Any
) -> None:
    """Check that an architecture keeps the contract of stages; the weights are random.

    `architecture`: the name of an installed model, or the record itself. `size`: (channels,
    height, width) of the pictures to try, for speed; by default those of the model. `config`:
    arguments of the architecture. Raises AssertionError at the first point that does not hold.

    >>> check_architecture("lenet5")
    """
    try:
        specimen = _specimen(architecture, size, config)
    except ZooError as error:  # a name that is unknown, an argument that build() has not
        raise AssertionError(str(error)) from error
    module = specimen.architecture.build.__module__.partition(".")[0]
    if module in {entry.module.partition(".")[0] for entry in installed_entries()[0]}:
        imports_no_torch(module)
    for case in specimen_cases(specimen, CONTRACT):
        result = case.run()
        if result.status == "fail":
            raise AssertionError(result.found) from result.error


def plugin_tests(name: str) -> Callable[..., None]:
    """All that `zoo plugins check NAME` looks at, as a test function with parameters.

    `name`: a plugin, its distribution, or an architecture, model or regularizer that it offers. One
    test for each check and model, such as `test_contract[lenet5-stages-compose]`. What the report
    warns of is a ConformanceWarning, one where many models lack the same. Raises UnknownName where
    nothing of the name is installed.

    >>> test_contract = plugin_tests("zoo_files")
    """
    import pytest

    cases = [case for examination in examinations(name) for case in examination.cases]
    heard = set[tuple[str, str]]()

    @pytest.mark.parametrize("case", cases, ids=[case.id for case in cases])
    def test_plugin(case: Case) -> None:
        as_outcome(case.run(), heard)

    return test_plugin


def as_outcome(result: Result, heard: set[tuple[str, str]]) -> None:
    """A result as pytest knows them: passed, failed, skipped, or passed with a warning.

    `heard`: what was warned of before, which is not said again.
    """
    import pytest

    message = readable_text(f"{result.subject}, {result.check}: {result.found}")
    if result.status == "fail":
        pytest.fail(message, pytrace=False)
    if result.status == "skip":
        pytest.skip(message)
    if result.status == "warn" and result.wish not in heard:
        heard.add(result.wish)
        warnings.warn(message, ConformanceWarning, stacklevel=2)


def _specimen(
    architecture: str | Architecture, size: tuple[int, int, int] | None, config: dict[str, Any]
) -> Specimen:
    spec, name = InputSpec(), ""
    if isinstance(architecture, str):
        info = catalogue().find(architecture).model
        architecture, spec = catalogue().architecture(info), info.input
        config = {**info.config, **checked_config(architecture, replace(info, config={}), config)}
        name = catalogue().bare(info)
    if size is not None:
        spec = replace(spec.with_channels(size[0]), size=size)
    return Specimen(architecture, config, spec, name)

"""The plugin of pytest that comes with zoo-core: checks a plugin of zoo without a test file.

`zoo_plugins = zoo_mynet` in pytest's own settings, or `pytest --zoo-plugin zoo_mynet`, collects all
that `zoo plugins check` looks at. Every pytest run imports this module: it must stay cheap.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from zoo_core.conformance.cases import Case


def pytest_addoption(parser: pytest.Parser) -> None:
    about = "check this plugin of zoo, as `zoo plugins check` does; may be given again"
    group = parser.getgroup("zoo", "plugins of zoo")
    group.addoption("--zoo-plugin", action="append", default=[], metavar="NAME", help=about)
    parser.addini(
        "zoo_plugins", "plugins of zoo to check, as --zoo-plugin", type="args", default=[]
    )


@pytest.hookimpl(tryfirst=True)  # so that -k, -m and --lf choose among them
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    for name in _wanted(session.config):
        plugin = ZooPlugin.from_parent(session, name=name, nodeid=name)
        report = plugin.ihook.pytest_make_collect_report(collector=plugin)
        plugin.ihook.pytest_collectreport(report=report)
        items.extend(report.result)


def _wanted(config: pytest.Config) -> list[str]:
    """The names asked for, each once; those of the settings not where single tests are named."""
    named = any("::" in argument for argument in config.args)
    settings = [] if named else config.getini("zoo_plugins")
    return list(dict.fromkeys([*settings, *config.getoption("zoo_plugin")]))


class ZooPlugin(pytest.Collector):
    """The cases of one plugin."""

    def collect(self) -> Iterator[pytest.Item]:
        from zoo_core.conformance.plugin import examinations
        from zoo_core.errors import ZooError

        try:
            examined = examinations(self.name)
        except ZooError as error:
            raise self.CollectError(str(error)) from error
        heard = set[tuple[str, str]]()
        for case in [case for examination in examined for case in examination.cases]:
            yield ZooItem.from_parent(self, name=case.id, case=case, heard=heard)


class ZooItem(pytest.Item):
    """One case, as a test. `heard`: what its plugin's cases have warned of already."""

    def __init__(self, *, case: Case, heard: set[tuple[str, str]], **rest: object) -> None:
        super().__init__(**rest)  # type: ignore[arg-type]
        self.case, self.heard = case, heard

    def runtest(self) -> None:
        from zoo_core.testing import as_outcome

        as_outcome(self.case.run(), self.heard)

    def reportinfo(self) -> tuple[str, None, str]:
        return str(self.parent.name if self.parent else ""), None, self.name

"""Arguments that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from zoo_core.cli.names import MODEL


def model_argument() -> Callable[[Any], Any]:
    """The argument that names a model or a run's folder."""
    return click.argument("model", metavar="MODEL", type=MODEL)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

"""`zoo plugins check`: whether a plugin does what everybody who uses it relies on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli.arguments import json_option
from zoo_core.cli.output import echo, print_json
from zoo_core.terminal.streams import aside

if TYPE_CHECKING:
    from zoo_core.conformance.cases import Result
    from zoo_core.conformance.plugin import Examination


@click.command("check")
@click.argument("name", metavar="NAME|PATH")
@json_option
@click.pass_context
def command(ctx: click.Context, name: str, as_json: bool) -> None:
    """Check a plugin: its stages, freezing, weights, facts, and all that others rely on.

    NAME is a plugin, its distribution, or an architecture, model or regularizer that it offers.
    PATH is the folder of a package that is not installed (with ./ in front), or a manifest. Exits
    with 1 where something does not hold; what is only missing is a warning.
    """
    path = Path(name).expanduser()
    if name.startswith(("/", "./", "../", "~")) or path.suffix in (".toml", ".json"):
        if not path.exists():
            raise click.BadParameter(f"nothing is at {path}.", param_hint="NAME|PATH")
        if path.is_dir():
            ctx.exit(_in_folder(path, as_json, _debug(ctx)))
    ctx.exit(_report(name, path, as_json, _debug(ctx)))


def _in_folder(folder: Path, as_json: bool, debug: bool) -> int:
    """The same command in another process, which finds the package as if it were installed."""
    from zoo_core.conformance.folder import as_if_installed, read_package

    package = read_package(folder)
    words = [sys.executable, "-m", "zoo_core", "plugins", "check", package.name]
    words += ["--json"] * as_json + ["--debug"] * debug
    if not as_json:
        echo(f"{folder} is not installed: checked as it is, its packaging is not.")
        echo()
    sys.stdout.flush()
    with as_if_installed(package) as environment:
        return subprocess.run(words, env=environment, check=False).returncode


def _report(name: str, path: Path, as_json: bool, debug: bool) -> int:
    from zoo_core.cli.plugins.report import reported, summary
    from zoo_core.conformance.plugin import examinations, manifest_examination

    rows: list[tuple[Examination, Result]] = []
    with aside():  # what a plugin prints is no part of the report
        is_file = path.exists() and not path.is_dir()  # a pipe, too: its error says what it is
        examined = [manifest_examination(path)] if is_file else examinations(name)
        if as_json:
            rows = [(one, case.run()) for one in examined for case in one.cases]
    for examination in () if as_json else examined:
        for result in reported(examination.title, examination.cases, debug):
            rows.append((examination, result))
        if examination.note:
            echo(examination.note)
        echo()
    if as_json:
        print_json(_record(rows))
    else:
        echo(summary([result for _, result in rows]))
    return 1 if any(result.status == "fail" for _, result in rows) else 0


def _record(rows: list[tuple[Examination, Result]]) -> dict[str, Any]:
    return {
        "ok": all(result.status != "fail" for _, result in rows),
        "notes": [note for note in dict.fromkeys(e.note for e, _ in rows) if note],
        "results": [
            {
                "plugin": examination.title,
                "subject": result.subject,
                "check": result.check,
                "status": result.status,
                "found": result.line,
                "seconds": round(result.seconds, 3),
            }
            for examination, result in rows
        ],
    }


def _debug(ctx: click.Context) -> bool:
    return bool((ctx.find_root().obj or {}).get("debug"))

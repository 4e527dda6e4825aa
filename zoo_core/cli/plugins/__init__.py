"""`zoo plugins`: what is installed, and what is broken."""

from __future__ import annotations

from typing import Any

import click

from zoo_core.cli.output import known, print_json, print_table
from zoo_core.plugins import Plugin


@click.group("plugins", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List the plugins: what they add, the time that importing them takes, and what is broken."""
    if ctx.invoked_subcommand is None:
        _list(ctx, as_json)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def list_plugins(ctx: click.Context, as_json: bool) -> None:
    """The same as `zoo plugins`. With --debug, the tracebacks of what is broken follow."""
    _list(ctx, as_json)


def _list(ctx: click.Context, as_json: bool) -> None:
    root = ctx.find_root()
    if isinstance(root.command, click.Group):
        # asks every plugin for its commands, and records what fails
        root.command.list_commands(root)
    plugins = known().examine()
    if as_json:
        print_json([_record(plugin) for plugin in plugins])
        return
    header = ("plugin", "distribution", "version", "adds", "seconds", "state")
    print_table(header, [_row(plugin) for plugin in plugins], right=("seconds",))
    for plugin in plugins:
        for fault in plugin.faults:
            click.echo(f"{plugin.title()} {fault}")
    if (root.obj or {}).get("debug"):
        for plugin in plugins:
            if plugin.traceback:
                click.echo(f"\n{plugin.title()}\n{plugin.traceback}".rstrip())


def _row(plugin: Plugin) -> tuple[str, ...]:
    adds = ", ".join(hook.removeprefix("zoo_").replace("_", " ") for hook in plugin.hooks) or "-"
    state = "broken" if plugin.broken else "ok"
    return plugin.name, plugin.distribution, plugin.version, adds, f"{plugin.seconds:.3f}", state


def _record(plugin: Plugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "built_in": plugin.built_in,
        "hooks": list(plugin.hooks),
        "seconds": round(plugin.seconds, 4),
        "ok": not plugin.broken,
        "faults": plugin.faults,
        "traceback": plugin.traceback,
    }

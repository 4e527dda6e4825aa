"""`zoo plugins`: what is installed, and what is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli.output import echo, echo_lines, known, print_json, print_table
from zoo_core.cli.plugins import install, new, uninstall
from zoo_core.cli.plugins.check import command as check_command
from zoo_core.humanize import some
from zoo_core.plugins.manager import Plugin

if TYPE_CHECKING:
    from zoo_core.plugins.contributions import Offers


@click.group("plugins", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List the plugins: what they offer, the time that importing them takes, their health."""
    if ctx.invoked_subcommand is None:
        _list(ctx, as_json)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def list_plugins(ctx: click.Context, as_json: bool) -> None:
    """The same as `zoo plugins`. With --debug, the tracebacks of what is broken follow."""
    _list(ctx, as_json)


def _list(ctx: click.Context, as_json: bool) -> None:
    from zoo_core.cli import Zoo
    from zoo_core.plugins.contributions import offers

    everything = offers(known(), Zoo("zoo"))
    if as_json:
        print_json([_record(plugin, offered) for plugin, offered in everything])
        return
    header = ("plugin", "distribution", "version", "seconds", "health", "offers")
    print_table(header, [_row(*pair) for pair in everything], right=("seconds",))
    for plugin, _ in everything:
        for fault in plugin.faults:
            echo(f"{plugin.title()} {fault}")
        if plugin.changes:
            changes = some(plugin.changes, most=20)
            echo(f"{plugin.title()} changes {changes}. zoo has put it back.")
        if plugin.slow:
            advice = f'Listing the zoo waits for it; "zoo plugins check {plugin.name}" says where.'
            echo(f"{plugin.title()} {plugin.slow}. {advice}")
    if (ctx.find_root().obj or {}).get("debug"):
        for plugin, _ in everything:
            if plugin.traceback:
                echo()
                echo(plugin.title())
                echo_lines(plugin.traceback)


def _row(plugin: Plugin, offered: Offers) -> tuple[str, ...]:
    health = plugin.health
    if plugin.slow:
        health = f"slow: {plugin.slow}" if health == "slow" else f"{health}, slow: {plugin.slow}"
    name, version = plugin.name, plugin.version
    return name, plugin.distribution, version, f"{plugin.seconds:.3f}", health, offered.counted()


def _record(plugin: Plugin, offered: Offers) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "built_in": plugin.built_in,
        "hooks": list(plugin.hooks),
        "offers": offered,
        "seconds": round(plugin.seconds, 4),
        "health": plugin.health,
        "ok": not plugin.broken,
        "faults": plugin.faults,
        "slow": plugin.slow,
        "changes": plugin.changes,
        "traceback": plugin.traceback,
    }


command.add_command(check_command)


command.add_command(new.command)
command.add_command(install.command)
command.add_command(uninstall.command)

"""`zoo doctor`: what is wrong with this installation."""

from __future__ import annotations

import click

from zoo_core.cli.output import echo, known, print_json


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Check this installation, and say how to mend what is wrong. Exits with 1 if something is."""
    from zoo_core.doctor import examine

    known()
    checks = examine()
    if as_json:
        print_json(checks)
    else:
        wide = max(len(check.name) for check in checks)
        for check in checks:
            echo(f"{'ok   ' if check.ok else 'WRONG'}  {check.name:<{wide}}  {check.found}")
            if check.mend:
                echo(f"{'':<{wide + 9}}{check.mend}")
    ctx.exit(0 if all(check.ok for check in checks) else 1)

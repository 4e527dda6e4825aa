"""`zoo verify`: is every cached file still what it was?"""

from __future__ import annotations

import click

from zoo_core.cli.arguments import json_option
from zoo_core.cli.output import echo, print_json


@click.command("verify")
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Read every file of weights in the cache again and compare its sha256; needs no network.

    Exits with 1 if one is damaged.
    """
    from zoo_core.weights.fetch import Finding, verify

    findings: list[Finding] = []
    for finding in verify():
        findings.append(finding)
        if not as_json:
            echo(f"{'ok     ' if finding.ok else 'DAMAGED'}  {finding.path}")
            if not finding.ok:
                echo(f"         has sha256 {finding.found}, had {finding.expected}")
    bad = [finding for finding in findings if not finding.ok]
    if as_json:
        print_json(findings)
    elif bad:
        advice = "Remove them; they are fetched again when needed."
        echo(f"{len(bad)} of {len(findings)} damaged. {advice}")
    else:
        echo(f"{len(findings)} files, all as they were.")
    ctx.exit(1 if bad else 0)

"""`zoo verify`: is every cached file still what it was? With a place, is its signature good?"""

from __future__ import annotations

import os
from pathlib import Path

import click

from zoo_core.cli.arguments import json_option
from zoo_core.cli.output import echo, print_json


@click.command("verify")
@click.argument("place", required=False, metavar="[PATH|hf://OWNER/NAME]")
@click.option("--key", type=click.Path(path_type=Path), help="Public key, certificate, or folder.")
@json_option
@click.pass_context
def command(ctx: click.Context, place: str | None, key: Path | None, as_json: bool) -> None:
    """Read every file of weights in the cache again and compare its sha256; needs no network.

    With PATH or hf://OWNER/NAME: check the signature there (model.sig) with --key, or else with
    those in ZOO_TRUSTED_KEYS. Exits with 1 if something is damaged, or is not what was signed.
    """
    if place is not None:
        _signature(place, key, as_json)
    elif key is not None:
        raise click.UsageError(
            "--key goes with a folder, or hf://OWNER/NAME, whose signature it checks."
        )
    else:
        ctx.exit(1 if _cache(as_json) else 0)


def _signature(place: str, key: Path | None, as_json: bool) -> None:
    from zoo_core.weights.demanded import VARIABLE
    from zoo_core.weights.signatures import verify

    trusted = key or os.environ.get(VARIABLE)
    if not trusted:
        raise click.UsageError(
            "A signature is checked with --key PUBLIC, or those in ZOO_TRUSTED_KEYS."
        )
    signed = verify(place, trusted)
    if as_json:
        print_json(signed)
        return
    for name in signed.files:
        echo(f"ok       {name}")
    echo(f"{len(signed.files)} files, all as they were signed with {signed.key}.")


def _cache(as_json: bool) -> bool:
    """Whether a file of the cache is damaged."""
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
    return bool(bad)

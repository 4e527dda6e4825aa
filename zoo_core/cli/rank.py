"""`zoo rank`: which backbone suits some pictures."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from zoo_core.cli.answers import html_option, shown
from zoo_core.cli.arguments import json_option
from zoo_core.cli.names import MODEL
from zoo_core.files import name_or_path


@click.command("rank")
@click.argument("data", metavar="DATA")
@click.argument("models", metavar="[MODEL]...", type=MODEL, nargs=-1)
@click.option("--fetch", is_flag=True, help="Fetch the weights of the named models first.")
@click.option("--budget", metavar="TIME", help="At most about this long: 90s, 2m.")
@click.option("--seed", default=0, show_default=True)
@json_option
@html_option
def command(
    data: str,
    models: tuple[str, ...],
    fetch: bool,
    budget: str | None,
    seed: int,
    as_json: bool,
    html: Path | None,
) -> None:
    """Rank MODELs by how well a head on their frozen features would do on DATA.

    Without a MODEL: all whose weights are on this machine. Nothing is fetched without --fetch.
    DATA is digits, folder:DIR, csv:FILE, …, as for zoo finetune --data.
    """
    from zoo_core.advice.rank import rank
    from zoo_core.weights.fetch import prefetch

    if fetch and not models:
        raise click.UsageError("--fetch goes with the models that are to be fetched.")
    if fetch:
        prefetch(models)
    named = [name_or_path(model) for model in models] or None
    ranking = rank(data, named, budget=budget, seed=seed)
    shown(
        ranking, as_json=as_json, html=html, next=shlex.join(["zoo", "advise", ranking.best, data])
    )

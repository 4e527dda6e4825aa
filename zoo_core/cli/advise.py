"""`zoo advise`: how much of a model to keep, freeze and train."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from zoo_core.cli.answers import html_option, shown
from zoo_core.cli.arguments import config_option, json_option, model_argument
from zoo_core.cli.output import note
from zoo_core.cli.saving import OutFile, check_apart
from zoo_core.cli.weights import made
from zoo_core.files import name_or_path


@click.command("advise")
@model_argument()
@click.argument("data", metavar="DATA")
@config_option
@click.option("--val", metavar="SPEC", help="Pictures to validate with; by default a fifth.")
@click.option(
    "--budget", metavar="TIME", default="5m", show_default=True, help="About this long: 90s, 5m."
)
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--out", type=OutFile(), metavar="FILE", help="Write the recipe, for zoo finetune --recipe."
)
@json_option
@html_option
def command(
    model: str,
    data: str,
    config: dict[str, Any],
    val: str | None,
    budget: str,
    seed: int,
    out: Path | None,
    as_json: bool,
    html: Path | None,
) -> None:
    """Say how much of MODEL, a name or a run's folder, to keep, freeze and train for DATA.

    A few ways are trained for short; the last line is the command that does what is advised.
    DATA is digits, folder:DIR, csv:FILE, …, as for zoo finetune --data.
    """
    from zoo_core.advice.advise import advise

    check_apart(html=html, out=out)
    named = name_or_path(model)
    start = made(named, None, None, config) if config else named
    advice = advise(start, data, val=val, budget=budget, seed=seed)
    next = advice.command
    if out is not None:
        advice.save_recipe(out)
        note(f"The recipe is in {out}.")
        next = shlex.join(["zoo", "finetune", "--recipe", str(out)])
    shown(
        advice, as_json=as_json, html=html, next=next or "zoo finetune --recipe FILE (--out FILE)"
    )

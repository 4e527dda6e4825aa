"""`zoo push RUN OWNER/NAME`: publish what was fine-tuned."""

from __future__ import annotations

import click

from zoo_core.cli.arguments import json_option, model_argument
from zoo_core.cli.output import aligned, echo, echo_lines, print_json
from zoo_core.files import name_or_path


@click.command("push")
@model_argument()
@click.argument("repository", metavar="OWNER/NAME")
@click.option(
    "--delta/--whole", default=None, help="Only what differs from the base, or everything."
)
@click.option("--pr", "create_pr", is_flag=True, help="As a pull request.")
@click.option("--private", is_flag=True, help="A new repository is made private.")
@click.option("--license", metavar="ID", help="For weights that were trained from scratch.")
@click.option("-m", "--message", help="The commit's message.")
@click.option("--revision", metavar="BRANCH", help="A branch other than the main one.")
@click.option("--sign", metavar="KEY", help="Sign all files: a private EC key, or sigstore.")
@click.option("--dry-run", is_flag=True, help="Show what would be pushed, and push nothing.")
@json_option
def command(
    model: str,
    repository: str,
    delta: bool | None,
    create_pr: bool,
    private: bool,
    license: str | None,
    message: str | None,
    revision: str | None,
    sign: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Publish MODEL, a run's folder, as OWNER/NAME on the Hub: one commit with a tag and a card.

    A plugin's own place has its scheme in front: house://OWNER/NAME.
    """
    from zoo_core.publish.push import push

    done = push(
        name_or_path(model),
        repository,
        delta="auto" if delta is None else delta,
        create_pr=create_pr,
        private=private,
        dry_run=dry_run,
        license=license,
        message=message,
        revision=revision,
        sign=sign,
    )
    if as_json:
        print_json(done)
        return
    if dry_run:
        echo_lines(done.card)
        echo()
    rows = [[name, f"{size:,} bytes"] for name, size in done.sizes.items()]
    rows.append(["in all", f"{sum(done.sizes.values()):,} bytes"])
    for line in aligned(rows, [False, True]):
        echo(line)
    if dry_run:
        echo()
        echo(f"Nothing was pushed. Without --dry-run this goes to {done.url}.")
        return
    echo()
    commit = f", commit {done.commit}" if done.commit else ""
    echo(f"Pushed to {done.pull_request or done.url}{commit}")
    for name, digest in done.sha256.items():
        echo(f"{name} has sha256 {digest}")
    echo(f'Next: zoo.create("{done.reference}")')

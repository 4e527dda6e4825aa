"""`zoo sign FOLDER --key KEY`: a signature over all files of a folder."""

from __future__ import annotations

from pathlib import Path

import click

from zoo_core.cli.output import echo


@click.command("sign")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--key",
    required=True,
    metavar="KEY",
    help="A private EC key in PEM, with its certificates if it has any; or sigstore.",
)
def command(folder: Path, key: str) -> None:
    """Sign all files of FOLDER, an exported model or a run, and leave the signature as model.sig.

    \b
    A key: openssl ecparam -name prime256v1 -genkey -noout -out zoo.key
    Its public half: openssl pkey -in zoo.key -pubout -out zoo.pub
    """
    from zoo_core.publish.sign import sign

    echo(f"Signed: {sign(folder, key)}")
    echo(f"Next: zoo verify {folder} --key PUBLIC")

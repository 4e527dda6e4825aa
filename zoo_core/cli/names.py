"""The type of NAME arguments: completes the names of models, and their weights after a dot."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from zoo_core.cli.output import known
from zoo_core.humanize import readable_name


class ModelName(click.ParamType):
    """A model's name; any text, since what it means is the catalogue's business."""

    name = "name"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        catalogue = known()
        prefix = incomplete.rpartition("/")[0]
        models = catalogue.models(f"{prefix}/*" if prefix else None)
        names = {catalogue.bare(model): model for model in models}
        base, dot, _ = incomplete.partition(".")
        if dot and base in names:
            references = [f"{base}.{tag}" for tag in names[base].weights]
            return [CompletionItem(text) for text in references if text.startswith(incomplete)]
        fitting = [name for name in names if name.startswith(incomplete)]
        return [CompletionItem(name, help=readable_name(names[name].summary)) for name in fitting]


MODEL = ModelName()

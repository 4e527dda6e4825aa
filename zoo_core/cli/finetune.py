"""zoo finetune"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli.arguments import json_option
from zoo_core.cli.names import MODEL
from zoo_core.cli.output import echo, print_json
from zoo_core.cli.weights import check_weights, weights_options

if TYPE_CHECKING:
    from zoo_core.model.run import Run


@click.command("finetune")
@click.argument("model", metavar="MODEL", type=MODEL, required=False)
@weights_options
@click.option(
    "--data",
    metavar="SPEC",
    help="digits, folder:DIR, csv:FILE, idx:DIR, torch/NAME:DIR, hfds/DIR, wds/DIR, "
    "hf://datasets/OWNER/NAME; #train, #test.",
)
@click.option(
    "--val", metavar="SPEC", help="Pictures to validate with; by default a fifth of the data."
)
@click.option(
    "--no-val", is_flag=True, help="No validation: train on everything, keep the last weights."
)
@click.option(
    "--stream", is_flag=True, help="Read data of the Hub as training needs it, and store nothing."
)
@click.option("--skip-unreadable", is_flag=True, help="Leave out pictures that cannot be read.")
@click.option(
    "--balance", metavar="weights|sampler", help="Make classes of unequal size count alike."
)
@click.option(
    "--keep-until",
    metavar="STAGE",
    help="Keep what feeds this stage, with a pooling and a head of its own; drop the rest.",
)
@click.option(
    "--freeze-until",
    metavar="LAYER",
    help="Train this stage or module and all after it; freeze the rest.",
)
@click.option(
    "--train",
    metavar="WHAT",
    help="Train a range of stages (layer2:layer3, layer3:), or norm, bias, all.",
)
@click.option(
    "--schedule",
    metavar="WHAT=EPOCHS,…",
    help="Go deeper step by step: head=3,layer4=5; instead of --epochs.",
)
@click.option("--epochs", default=10, show_default=True)
@click.option("--batch-size", default=64, show_default=True)
@click.option("--accumulate", default=1, show_default=True, help="Compute a batch in pieces.")
@click.option("--lr", type=float, help="Learning rate; by default 1e-3 for adamw, 1e-2 for sgd.")
@click.option("--optimizer", default="adamw", show_default=True, metavar="adamw|sgd")
@click.option(
    "--lr-schedule", default="constant", show_default=True, metavar="constant|linear|cosine"
)
@click.option("--warmup", default=0.0, show_default=True, help="Epochs until the full rate.")
@click.option(
    "--layer-decay",
    type=float,
    help="The rate of a stage as a share of the next one's; 1, or 0.75 with a schedule.",
)
@click.option(
    "-r",
    "--regularizer",
    "regularizers",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="May be repeated.",
)
@click.option(
    "--augment/--no-augment",
    default=None,
    help="Random crops and mirror images; by default unless only the head trains.",
)
@click.option(
    "--mirrors/--no-mirrors",
    default=None,
    help="Mirror images among them; by default unless classes are each other's, such as arrows "
    "to the left and right.",
)
@click.option("--views", type=int, help="Augment by so many fixed views, which can be cached.")
@click.option(
    "--cache/--no-cache",
    default=None,
    help="Compute the frozen part once; by default where it saves time.",
)
@click.option(
    "--head",
    default="auto",
    show_default=True,
    metavar="auto|ridge|random",
    help="Solve the head in closed form first; auto: where it is new and trains alone.",
)
@click.option("--precision", default="auto", show_default=True, metavar="auto|no|bf16|fp16")
@click.option("--compile", is_flag=True, help="Compile the model with torch.compile.")
@click.option(
    "--channels-last/--no-channels-last",
    default=None,
    help="Memory layout of pictures; by default on a GPU.",
)
@click.option("--checkpointing", is_flag=True, help="Less memory, a third more time.")
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--workers", type=int, help="Processes that read pictures; chosen by the data by default."
)
@click.option(
    "--tracker", metavar="NAME", help="tensorboard, wandb, mlflow, …: where rows go, too."
)
@click.option(
    "--out", metavar="DIR", help="The run folder, new or empty; by default a new one in runs/."
)
@click.option("--recipe", metavar="FILE", help="Train as a recipe.toml says, and nothing else.")
@click.option(
    "--resume",
    metavar="RUN",
    help="Go on with a run that was stopped, or with more --epochs.",
)
@json_option
@click.pass_context
def command(
    context: click.Context,
    model: str | None,
    recipe: str | None,
    resume: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Fine-tune MODEL, by name (pretrained, with the classes of the data) or a run's folder.

    With --recipe or --resume, model and data are those of the recipe or of the run.
    """
    from zoo_core.training.distributed import Processes

    if recipe or resume:
        run = _replayed(context, recipe, resume, options["out"], options["epochs"])
    elif model is None or not options["data"]:
        raise click.UsageError("Give MODEL and --data, or --recipe, or --resume.")
    else:
        run = _trained(model, **options)
    if not Processes().main:  # one of them speaks
        return
    if as_json:
        print_json({"path": str(run.path), "best": run.best, "history": run.history})
        return
    if run.accuracy is not None:
        epoch = run.best["epoch"]
        when = f"after epoch {epoch}" if epoch else "with the solved head"
        echo(f"{run.accuracy:.1%} on validation {when}. ", nl=False)
    echo(f"The run is in {run.path}.")
    echo(f"Look at {run.path}/report.html. Next: zoo predict {run.path} PICTURE...")


def _trained(
    model: str,
    *,
    weights: str | None,
    val: str | None,
    no_val: bool,
    skip_unreadable: bool,
    augment: bool | None,
    views: int | None,
    **options: Any,
) -> Run:
    from zoo_core.training.finetune import finetune

    if no_val and val:
        raise click.UsageError("--val and --no-val exclude each other.")
    if views is not None and augment is not None:
        raise click.UsageError("--views and --augment exclude each other.")
    for name in ("cache", "channels_last", "mirrors", "workers"):
        options[name] = "auto" if options[name] is None else options[name]
    return finetune(
        check_weights(model, weights),
        pretrained=weights,
        val=False if no_val else val,
        unreadable="skip" if skip_unreadable else "stop",
        augment=views if views is not None else "auto" if augment is None else augment,
        **options,
    )


def _replayed(
    context: click.Context, recipe: str | None, resume: str | None, out: str | None, epochs: int
) -> Run:
    from zoo_core.training.replay import replay

    typed = click.core.ParameterSource.COMMANDLINE
    given = {name for name in context.params if context.get_parameter_source(name) is typed}
    allowed = {"resume", "epochs"} if resume else {"recipe", "out"}
    if given - allowed - {"as_json"}:
        raise click.UsageError(
            "--recipe FILE goes with --out only, and --resume RUN with --epochs only: all else is "
            "said there."
        )
    more = epochs if "epochs" in given else None
    return replay(resume or recipe or "", out=out, resume=resume is not None, epochs=more)

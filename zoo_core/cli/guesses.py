"""Options that people type first and that are called something else here."""

from __future__ import annotations

import click

_GPU = (
    "A training takes the GPU that there is; CUDA_VISIBLE_DEVICES= before the command keeps it on "
    "the CPU."
)
_CPU = 'A command works on the CPU; in Python, zoo.create(NAME, device="cuda") is on the GPU.'

_CALLED = {
    "--learning-rate": "--lr",
    "--scheduler": "--lr-schedule",
    "--batch": "--batch-size",
    "--bs": "--batch-size",
    "--num-epochs": "--epochs",
    "--n-epochs": "--epochs",
    "--output": "--out",
    "--output-dir": "--out",
    "--freeze": "--freeze-until",
    "--num-workers": "--workers",
    "--dataset": "--data",
    "--train-data": "--data",
    "--validation": "--val",
    "--val-data": "--val",
    "--amp": "--precision",
    "--fp16": "--precision fp16",
    "--bf16": "--precision bf16",
    "--img-size": "--config img_size=SIDE",
    "--image-size": "--config img_size=SIDE",
    "--topk": "--top",
    "--top-k": "--top",
    "--checkpoint": "--weights",
    "--ckpt": "--weights",
    "--classes": "--labels",
    "--class-names": "--labels",
}

_SAID = {
    "--device": _CPU,
    "--gpu": _CPU,
    "--cuda": _CPU,
    "--model": "The model stands before all options, by itself.",
    "--arch": "The model stands before all options, by itself.",
}

_OF_TRAINING = {
    "--device": _GPU,
    "--gpu": _GPU,
    "--cuda": _GPU,
    "--pretrained": "A model by name has its weights; others are --weights WHAT.",
    "--num-classes": "The classes are those of the data.",
    "--momentum": "sgd has a momentum of 0.9: --optimizer sgd.",
}


def explained(error: click.NoSuchOption) -> click.UsageError:
    """The error for an option that a command does not have, with what it may be called here."""
    typed = error.option_name.lower().replace("_", "-")
    command = error.ctx.command if error.ctx is not None else None
    trains = command is not None and command.name == "finetune"
    said = (_OF_TRAINING if trains else {}).get(typed) or _SAID.get(typed)
    called = _CALLED.get(typed) or (_regularizer(typed.lstrip("-")) if trains else None)
    has = {name for parameter in command.params for name in parameter.opts} if command else set()
    if said is None and called is not None and called.split()[0] in has:
        said = f"Here it is {called}."
    if said is None:
        return error
    return click.UsageError(f"No such option: {error.option_name}. {said}", ctx=error.ctx)


def _regularizer(word: str) -> str | None:
    """How a regularizer of this name, or called so by others, is written."""
    from zoo_core.plugins.catalogue import catalogue

    for name, spec in catalogue().regularizers().items():
        if word == name or word in spec.aliases:
            return f"-r {name}=VALUE" if spec.value else f"-r {name}"
    return None

"""create(): a name -> a model with its weights.

What name and arguments mean is decided here; `assembly.py` puts module and weights together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.errors import UnknownName, WeightsError, ZooError
from zoo_core.model.arguments import as_device, as_dtype, check_count, check_types, checked_config
from zoo_core.model.build import Built, Plan, outline, without_weights
from zoo_core.model.loading import with_weights
from zoo_core.model.zoo_model import Origin, ZooModel, as_zoo_model
from zoo_core.plugins.catalogue import catalogue
from zoo_core.types import InputSpec, ModelInfo
from zoo_core.weights.checkpoint import (
    Checkpoint,
    names_file,
    of_repository,
    published_model,
)
from zoo_core.weights.labels import label_names
from zoo_core.weights.pretrained import chosen_checkpoint, expanded, is_path
from zoo_core.weights.published import CONFIG
from zoo_core.weights.sources import MODEL_FILE
from zoo_core.weights.timm_layout import told_config


def create(
    name: str | Path,
    *,
    pretrained: bool | str | Path | None = None,
    num_classes: int | None = None,
    in_chans: int | None = None,
    freeze_until: str | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    **config: Any,
) -> ZooModel:
    """Build a model by name, with weights where asked for.

    `name`: `resnet`, `resnet50`, `resnet50.a1_in1k` (these weights), `zoo-acme:thing`,
    `hf://owner/repository[@revision]` (a published model), or a path to a run or an exported
    folder. `pretrained`: None (a name with a tag, a reference or a path brings its weights; a bare
    name does not), True (the default weights), False (never), a tag, a reference (`file:…`,
    `hf://…`) or a path to a file of weights, an exported folder or what `zoo fetch --to` filled.
    `num_classes` other than the weights' own: a new head (0: none, features). `in_chans` other than
    the weights' own: the first convolution is adapted. `dtype`: float32, float16, bfloat16 or
    float64. `config`: arguments of the architecture.

    A new head, and a model without weights, are drawn from torch's global random numbers; weights
    leave those alone. On CPU the weights are mapped from their file, which stays as it is: it may
    be removed or renamed over, but not written into.

    Raises UnknownName, WeightsError, FreezeError or another ZooError; each says what would be
    right.

    >>> create("lenet5", pretrained=True, num_classes=3).num_outputs
    3
    """
    check_types(name, pretrained, freeze_until)
    if num_classes is not None:
        num_classes = check_count("num_classes", num_classes, least=0)
    if in_chans is not None:
        in_chans = check_count("in_chans", in_chans, least=1)
    where, kind = as_device(device), as_dtype(dtype)
    model = None
    if is_path(name):
        path = expanded(Path(name))
        model = _run_at(path, pretrained, in_chans, config)
        name = f"file://{path.absolute()}"
    if model is None:
        model = _from_name(str(name), pretrained, num_classes, in_chans, where, kind, config)
    else:
        model.to(device=where, dtype=kind)
    if num_classes not in (None, model.num_outputs):
        model.reset_head(num_classes)
    if freeze_until is not None:
        model.freeze_until(freeze_until)
    return model


# --- from a name ---------------------------------------------------------------------------------


def _from_name(
    name: str,
    pretrained: bool | str | Path | None,
    num_classes: int | None,
    in_chans: int | None,
    device: torch.device,
    dtype: torch.dtype | None,
    config: dict[str, Any],
) -> ZooModel:
    info, checkpoint = _meant(name, pretrained, config)
    saved = checkpoint.saved if checkpoint else None
    architecture = catalogue().architecture(info)
    config = {**(told_config(saved, architecture) if saved else {}), **config}
    arguments = {**info.config, **checked_config(architecture, info, config)}
    kind = dtype or (getattr(torch, saved.dtype) if saved else None)
    plan = Plan(architecture, arguments, device, kind)
    if checkpoint is None:
        classes = info.num_classes if num_classes is None else num_classes
        built = without_weights(plan, classes, in_chans or info.input.size[0])
        spec, labels = info.input, None
    else:
        built, classes = _loaded(checkpoint, plan, info, in_chans)
        spec, labels = checkpoint.input, label_names(checkpoint.labels, classes)
    spec = _sized(spec, arguments.get("img_size"))
    weights, sha256 = _stands_on(checkpoint)
    return as_zoo_model(
        built.module,
        chain=built.chain,
        info=info,
        origin=Origin(
            reference=catalogue().bare(info),
            config=config,
            weights=weights,
            sha256=sha256,
            num_classes=classes,
            in_chans=in_chans or spec.size[0],
            trained=checkpoint is not None,
        ),
        input=spec.with_channels(in_chans) if in_chans else spec,
        labels=labels,
    )


def _sized(spec: InputSpec, side: Any) -> InputSpec:
    """The input of a network that is built for pictures of a size: that of its `img_size`."""
    if side is None:
        return spec
    height, width = side if isinstance(side, list | tuple) else (side, side)
    return replace(spec, size=(spec.size[0], int(height), int(width)))


def _loaded(
    checkpoint: Checkpoint, plan: Plan, info: ModelInfo, in_chans: int | None
) -> tuple[Built, int]:
    def read(module: nn.Module) -> dict[str, Tensor]:
        return checkpoint.tensors(plan.architecture, module, str(plan.device))

    return with_weights(
        plan,
        read,
        classes=info.num_classes if checkpoint.classes is None else checkpoint.classes,
        in_chans=in_chans,
        own_chans=checkpoint.input.size[0],
        where=str(checkpoint.path),
    )


def _stands_on(checkpoint: Checkpoint | None) -> tuple[str | None, str | None]:
    """What a model's weights are for others: `pretrained`, and the sha256 of its file.

    A folder on this machine is nothing for others; what it was itself tuned from is.
    """
    if checkpoint is None:
        return None, None
    if checkpoint.saved is None or not checkpoint.reference.startswith("file:"):
        return checkpoint.reference, checkpoint.sha256
    base = checkpoint.saved.base
    if base is None:
        return None, None
    return base.name if "://" in base.name else base.name.partition(".")[2], base.sha256


# --- which weights -------------------------------------------------------------------------------


def _meant(
    name: str, pretrained: bool | str | Path | None, config: Mapping[str, Any]
) -> tuple[ModelInfo, Checkpoint | None]:
    """The model and the checkpoint that a name and `pretrained` ask for."""
    if "://" not in name:
        named = catalogue().find(name)
        architecture, info = catalogue().architecture(named.model), named.model
        arguments = {**info.config, **checked_config(architecture, info, config)}
        if config and (pretrained or named.weights):  # what cannot be built need not be fetched
            plan = Plan(architecture, arguments, torch.device("cpu"))
            outline(plan, info.num_classes, info.input.size[0])
        return info, chosen_checkpoint(info, named.weights, pretrained)
    if pretrained not in (None, True):
        raise ZooError(f"{name} brings its own weights.", hint="Leave pretrained out.")
    if names_file(name):
        raise UnknownName(
            f"{name} is a file of weights, and does not say of which model.",
            hint=f'Name the model: create("resnet50", pretrained="{name}").',
        )
    checkpoint = of_repository(name)
    assert checkpoint.saved is not None
    return published_model(checkpoint.saved, name), checkpoint


# --- from a path ---------------------------------------------------------------------------------


def _run_at(
    path: Path, pretrained: bool | str | Path | None, in_chans: int | None, config: dict[str, Any]
) -> ZooModel | None:
    """The model of the run at a path; None for an exported folder, which is a published model."""
    if config or in_chans is not None or pretrained not in (None, True):
        raise ZooError(
            f"{path} brings its weights, configuration and channels with it.",
            hint="Only num_classes, freeze_until, device and dtype go with a path.",
        )
    if not path.exists():
        raise UnknownName(f"Nothing is at {path}.", hint="A name without ./ or / is a model's.")
    if (path / CONFIG).exists():
        return None
    if (path / "recipe.toml").exists():
        from zoo_core.weights.checkpoint import load_run

        with torch.random.fork_rng(devices=[]):
            return load_run(path)
    raise WeightsError(
        f"{path} is no run: it has no recipe.toml.",
        hint=f'For a weights file, name the model: create("resnet50", pretrained="{path}").'
        if path.suffix == ".safetensors" or (path / MODEL_FILE).exists()
        else "zoo finetune leaves runs.",
    )

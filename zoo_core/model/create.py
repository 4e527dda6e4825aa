"""create(): a name -> a model with its weights.

What the name and the arguments mean is decided here; `build.py` makes the module, and `loading.py`
puts weights into it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, overload

import torch
from torch import nn

from zoo_core.errors import ZooError
from zoo_core.model.arguments import (
    as_device,
    as_dtype,
    check_count,
    check_types,
    off_meta,
)
from zoo_core.model.build import Plan, outline, without_weights
from zoo_core.model.by_place import at_path, published
from zoo_core.model.facts import Origin
from zoo_core.model.features import OF_FEATURES, features
from zoo_core.model.from_checkpoint import loaded, refuse_another_part
from zoo_core.model.labelled import call_outputs
from zoo_core.model.plan import plan_of
from zoo_core.model.pretrained_cfg import tell_what_was_loaded
from zoo_core.model.sizes import NAME, plainly, refuse_size, shown, sides_of
from zoo_core.model.zoo_model import ZooModel, as_zoo_model
from zoo_core.plugins.catalogue import catalogue
from zoo_core.types import ModelInfo
from zoo_core.weights.checkpoint import Checkpoint
from zoo_core.weights.labels import chosen_labels, label_names
from zoo_core.weights.part import KEEP_UNTIL
from zoo_core.weights.pretrained import chosen_checkpoint, expanded, is_path


@overload
def create(name: str | Path, *, features_only: Literal[True], **given: Any) -> nn.Module: ...
@overload
def create(
    name: str | Path,
    *,
    pretrained: bool | str | Path | None = None,
    num_classes: int | None = None,
    in_chans: int | None = None,
    labels: str | Path | Sequence[str] | None = None,
    keep_until: str | None = None,
    freeze_until: str | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    features_only: Literal[False] = False,
    **config: Any,
) -> ZooModel: ...
@overload
def create(
    name: str | Path, *, features_only: bool = False, **given: Any
) -> ZooModel | nn.Module: ...


def create(
    name: str | Path,
    *,
    pretrained: bool | str | Path | None = None,
    num_classes: int | None = None,
    in_chans: int | None = None,
    labels: str | Path | Sequence[str] | None = None,
    keep_until: str | None = None,
    freeze_until: str | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    features_only: bool = False,
    out_indices: int | Sequence[int] | None = None,
    **config: Any,
) -> ZooModel | nn.Module:
    """Build a model by name, with weights where asked for.

    `name`: `resnet`, `resnet50`, `resnet50.a1_in1k` (these weights), `zoo-acme:thing`,
    `hf://owner/repository[@revision]` (a published model), or a path to a run or an exported
    folder. `pretrained`: None (a name with a tag, a reference or a path brings its weights; a bare
    name does not), True (the default weights), False (never), a tag, a reference (`file:…`,
    `hf://…`) or a path to a file of weights, an exported folder or what `zoo fetch --to` filled.
    `num_classes`: other than the weights' own, a new head (0: none, features). `in_chans`: other
    than the weights' own, the first convolution is adapted. `labels`: what the outputs are called,
    in order: a label set (`imagenet-1k`), the path of a text file with a name a line, or names;
    those of the weights give way. `dtype`: float32, float16, bfloat16 or float64. `features_only`:
    a module that gives the maps inside (a list of tensors) instead of scores, with the
    `feature_info` of timm's, of all stages or of `out_indices` (numbers, or how many of the last).
    `keep_until`: only what feeds this stage, with a pooling and a head of its own. `freeze_until`:
    as the method. `device`: where it shall be. `config`: arguments of the architecture, and
    `img_size`, which every model takes: a side of its pictures, or height and width.

    A new head, and a model without weights, are drawn from torch's global random numbers; weights
    leave those alone. On CPU the weights are mapped from their file, which stays as it is: it may
    be removed or renamed over, but not written into.

    Raises UnknownName, WeightsError, FreezeError or another ZooError; each says what would be
    right.

    >>> create("lenet5", pretrained=True, num_classes=3).num_outputs
    3
    """
    check_types(name, pretrained, freeze_until)
    if keep_until is not None:
        config = {KEEP_UNTIL: keep_until, **config}
    if features_only or out_indices is not None:
        given: dict[str, Any] = {"pretrained": pretrained, "in_chans": in_chans, "labels": labels}
        given |= {"device": device, "dtype": dtype}
        return _features(name, features_only, out_indices, freeze_until, {**config, **given})
    if config.get("global_pool") == "" and num_classes != 0:
        raise ZooError("Without pooling there are no scores.", hint="num_classes=0 goes with it.")
    if num_classes is not None:
        num_classes = check_count("num_classes", num_classes, least=0)
    if in_chans is not None:
        in_chans = check_count("in_chans", in_chans, least=1)
    device, dtype, config = as_device(device), as_dtype(dtype), plainly(config)
    names = None if labels is None else chosen_labels(labels)
    info, checkpoint = _meant(name, pretrained, in_chans, config)
    with off_meta():
        if checkpoint is None:
            model = _untrained(info, config, num_classes, in_chans, device, dtype)
        else:
            model = _trained(info, checkpoint, config, num_classes, in_chans, device, dtype)
    if num_classes not in (None, model.num_outputs):
        model.reset_head(num_classes)
    if names is not None:
        call_outputs(model, names)
    if freeze_until is not None:
        model.freeze_until(freeze_until)
    return model


def _features(
    name: str | Path,
    features_only: bool,
    out_indices: int | Sequence[int] | None,
    freeze_until: str | None,
    given: dict[str, Any],
) -> nn.Module:
    """The network of features of what create() makes of the other arguments."""
    if not features_only:
        raise ZooError("out_indices goes with features_only=True.")
    if freeze_until is not None:
        raise ZooError(
            "A network of features has no stages to freeze.",
            hint="zoo.freeze_until(network, layer, example=pictures) freezes any module.",
        )
    how = {key: given.pop(key) for key in OF_FEATURES if key in given}
    classes = 0 if given["pretrained"] else None  # weights need no classifier for maps
    return features(create(name, num_classes=classes, **given), out_indices, how)


# --- which model, and which weights --------------------------------------------------------------

OTHER_WEIGHTS = 'For other weights name the network, as in create("resnet50", pretrained=…).'


def _meant(
    name: str | Path,
    pretrained: bool | str | Path | None,
    in_chans: int | None,
    config: Mapping[str, Any],
) -> tuple[ModelInfo, Checkpoint | None]:
    """The model and the checkpoint that a name, or a path, and `pretrained` ask for."""
    if is_path(name):
        path = expanded(Path(name))
        brought = config.keys() - {KEEP_UNTIL, NAME} or in_chans is not None
        if brought or pretrained not in (None, True):
            raise ZooError(
                f"{path} brings its weights, configuration and channels with it.",
                hint="Only num_classes, labels, keep_until, freeze_until, img_size, device and "
                "dtype go with a path.",
            )
        return _of_size(*at_path(path), config, in_chans)
    if "://" in str(name):
        if pretrained not in (None, True):
            raise ZooError(f"{name} brings its own weights.", hint=OTHER_WEIGHTS)
        return _of_size(*published(str(name)), config, in_chans)
    named = catalogue().find(str(name))
    plan = plan_of(named.model, config, torch.device("cpu"))
    _refuse_size(named.model, plan, in_chans or named.model.input.size[0])
    if config and (pretrained or named.weights):  # what cannot be built need not be fetched
        outline(plan, named.model.num_classes, named.model.input.size[0])
    return named.model, chosen_checkpoint(named.model, named.weights, pretrained)


def _of_size(
    info: ModelInfo, checkpoint: Checkpoint, config: Mapping[str, Any], in_chans: int | None
) -> tuple[ModelInfo, Checkpoint]:
    """Both, for an `img_size` where one is asked for.

    Raises ZooError where pictures of it do not go through.
    """
    if NAME not in config:
        return info, checkpoint
    held = {**checkpoint.config(catalogue().architecture(info)), **config}
    channels = checkpoint.in_chans or info.input.size[0]
    _refuse_size(info, plan_of(info, held, torch.device("cpu")), in_chans or channels)
    return info, checkpoint.at_another_size()


def _refuse_size(info: ModelInfo, plan: Plan, channels: int) -> None:
    height, width = info.input.size[1:]
    refuse_size(plan, catalogue().bare(info), (height, width), channels)


# --- the model itself ----------------------------------------------------------------------------


def _untrained(
    info: ModelInfo,
    config: dict[str, Any],
    num_classes: int | None,
    in_chans: int | None,
    device: torch.device,
    dtype: torch.dtype | None,
) -> ZooModel:
    plan = plan_of(info, config, device, dtype)
    classes = info.num_classes if num_classes is None else num_classes
    channels = in_chans or info.input.size[0]
    built = without_weights(plan, classes, channels)
    model = as_zoo_model(
        built.module,
        chain=built.chain,
        info=info,
        origin=Origin(catalogue().bare(info), config, None, None, classes, channels),
        input=shown(info.input, plan.sides, channels),
        labels=None,
    )
    tell_what_was_loaded(model, None)
    return model


def _trained(
    info: ModelInfo,
    checkpoint: Checkpoint,
    config: dict[str, Any],
    num_classes: int | None,
    in_chans: int | None,
    device: torch.device,
    dtype: torch.dtype | None,
) -> ZooModel:
    own = checkpoint.config(catalogue().architecture(info))
    refuse_another_part(own, config, checkpoint)
    asked, is_cut = sides_of(config.get(NAME)), KEEP_UNTIL in config and KEEP_UNTIL not in own
    config = plainly({**own, **config})
    if dtype is None and checkpoint.dtype is not None:
        dtype = getattr(torch, checkpoint.dtype)
    plan = plan_of(info, config, device, dtype)
    if checkpoint.in_chans is not None:
        in_chans = check_count("in_chans", checkpoint.in_chans, least=1)
    built, classes = loaded(checkpoint, plan, info, num_classes, in_chans)
    weights, sha256 = checkpoint.stands_on
    channels = in_chans or checkpoint.input.size[0]
    exact = checkpoint.in_chans is not None  # it says itself what it wants to see
    model = as_zoo_model(
        built.module,
        chain=built.chain,
        info=info,
        origin=Origin(
            reference=catalogue().bare(info),
            config=config,
            weights=weights,
            sha256=sha256,
            num_classes=classes,
            in_chans=channels,
            trained=True,
        ),
        input=shown(checkpoint.input, asked if exact else plan.sides, channels),
        labels=None if is_cut else label_names(checkpoint.labels, classes),
        multilabel=checkpoint.multilabel and not is_cut,
        loaded_from=checkpoint.local,
    )
    tell_what_was_loaded(model, checkpoint)
    model._trained_on = checkpoint.trained_on
    if is_cut and num_classes is None and not model.num_outputs:  # as without weights
        model.reset_head(info.num_classes)
    return model

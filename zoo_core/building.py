"""create(): a name -> a model with its weights.

The fast path builds on the meta device, maps the safetensors file and assigns its tensors: nothing
is initialised only to be thrown away, and nothing is copied. A model that this cannot serve
(buffers that no checkpoint holds, tensors that torch does not know of, tied parameters) is built
plainly and its weights copied; the result is the same."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.catalogue import catalogue
from zoo_core.chain import make_chain
from zoo_core.errors import SourceError, UnknownName, WeightsError, ZooError, did_you_mean
from zoo_core.labels import label_names
from zoo_core.model import Origin, ZooModel, as_zoo_model, check_count
from zoo_core.types import Architecture, ModelInfo, Stage, WeightsInfo
from zoo_core.weights import MODEL_FILE, fitted, local_file, read_tensors

log = logging.getLogger(__name__)


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

    `name`: `resnet`, `resnet50`, `resnet50.a1_in1k` (these weights), `zoo-acme:thing`, or a path
    to a run. `pretrained`: None (a name with a tag, or a path, brings its weights; a bare name
    does not), True (the default weights), False (never), a tag, a reference (`file:…`, `hf://…`)
    or a path to a safetensors file. `num_classes` other than the weights' own: a new head (0:
    none, features). `in_chans` other than the weights' own: the first convolution is adapted.
    `config`: arguments of the architecture.

    Raises UnknownName, WeightsError, FreezeError or another ZooError; each says what would be
    right.

    >>> create("lenet5", pretrained=True, num_classes=3).num_outputs
    3
    """
    _check_counts(num_classes, in_chans)
    where, kind = _device(device), _dtype(dtype)
    if is_path(name):
        model = _from_path(Path(name), pretrained, in_chans, config)
        if num_classes not in (None, model.num_outputs):
            model.reset_head(num_classes)
        model.to(device=where, dtype=kind)
    else:
        model = _from_name(str(name), pretrained, num_classes, in_chans, where, config)
        if kind is not None:
            model.to(dtype=kind)
    if freeze_until is not None:
        model.freeze_until(freeze_until)
    return model


def is_path(name: str | Path) -> bool:
    """Whether a name is a path: a Path, or a string that starts with `/`, `./`, `../` or `~`."""
    return isinstance(name, Path) or name.startswith(("/", "./", "../", "~"))


# --- from a name ---------------------------------------------------------------------------------


def _from_name(
    name: str,
    pretrained: bool | str | Path | None,
    num_classes: int | None,
    in_chans: int | None,
    device: torch.device | None,
    config: dict[str, Any],
) -> ZooModel:
    if "://" in name:
        raise SourceError(f'Models by reference, such as "{name}", are not supported yet.')
    named = catalogue().find(name)
    info = named.model
    architecture = catalogue().architecture(info)
    weights = _weights(info, named.weights, pretrained)
    arguments = {**info.config, **checked_config(architecture, info, config)}
    if weights is None:
        classes = info.num_classes if num_classes is None else num_classes
        module, chain = _plain(
            architecture, arguments, max(classes, 1), in_chans or info.input.size[0], device
        )
        spec, labels = info.input, None
    else:
        path = local_file(weights)
        device_name = str(device) if device is not None else "cpu"
        tensors = read_tensors(path, device_name)
        own_channels = weights.input.size[0]
        channels = (own_channels, in_chans or own_channels)
        classes = weights.num_classes or _label_count(weights) or info.num_classes
        module, chain, classes = _with_weights(
            architecture, arguments, tensors, classes, channels, device, str(path)
        )
        spec, labels = weights.input, label_names(weights.labels, classes)
    model = as_zoo_model(
        module,
        chain=chain,
        info=info,
        origin=Origin(
            reference=name.partition(".")[0] if named.weights else name,
            config=config,
            weights=_origin_weights(weights),
            sha256=weights.sha256 if weights else None,
            num_classes=classes,
            in_chans=in_chans or spec.size[0],
        ),
        input=spec.with_channels(in_chans) if in_chans else spec,
        labels=labels,
    )
    if num_classes is not None and num_classes != model.num_outputs:
        model.reset_head(num_classes)
    return model


def _weights(
    info: ModelInfo, named: WeightsInfo | None, pretrained: bool | str | Path | None
) -> WeightsInfo | None:
    """Which weights are meant, or None for none."""
    if pretrained is False:
        return None
    if pretrained is None:
        return named
    if pretrained is True:
        found = named or info.default_weights
        if found is None:
            tags = f"It has: {', '.join(info.weights)}." if info.weights else "It has none."
            raise UnknownName(
                f"{info.name} has no default weights. {tags}", hint="Name one of them."
            )
        return found
    text = str(pretrained)
    if not isinstance(pretrained, Path) and text in info.weights:
        return info.weights[text]
    if "://" in text or text.startswith("file:"):
        known = next((w for w in info.weights.values() if w.source == text), None)
        return known or WeightsInfo(tag="", source=text, input=info.input)
    if is_path(pretrained) or text.endswith((".safetensors", ".pth", ".pt", ".bin", ".ckpt")):
        path = Path(text).expanduser().resolve()
        return WeightsInfo(tag="", source=f"file:{path}", input=info.input)
    return catalogue().weights(info, text)


def _origin_weights(weights: WeightsInfo | None) -> str | None:
    if weights is None:
        return None
    return weights.tag or weights.source


def _label_count(weights: WeightsInfo) -> int | None:
    names = label_names(weights.labels, None)
    return len(names) if names else None


def checked_config(
    architecture: Architecture, info: ModelInfo, config: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The given arguments of an architecture; raises UnknownName for one that it does not have,
    with those it has.
    """
    parameters = inspect.signature(architecture.build).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return config
    fixed = {"num_classes", "in_chans", *info.config}
    valid = [p.name for p in parameters if p.name not in {"num_classes", "in_chans"}]
    for key in config:
        if key not in valid and key not in fixed:
            free = [name for name in valid if name not in info.config]
            raise UnknownName(
                f'{info.name} has no option "{key}". {did_you_mean(key, free)}'.strip(),
                hint=f"It has: {', '.join(free) or 'none'}.",
            )
    return config


# --- building ------------------------------------------------------------------------------------


def _build(
    architecture: Architecture, config: Mapping[str, Any], num_classes: int, in_chans: int
) -> tuple[nn.Module, dict[str, Stage]]:
    try:
        module = architecture.build(num_classes=num_classes, in_chans=in_chans, **config)
    except (TypeError, ValueError) as error:
        text = " ".join(str(error).split())
        raise ZooError(
            f'The architecture "{architecture.name}" cannot be built: {text}.'
        ) from error
    return module, make_chain(architecture.stages(module), architecture.name)


def _plain(
    architecture: Architecture,
    config: Mapping[str, Any],
    num_classes: int,
    in_chans: int,
    device: torch.device | None,
) -> tuple[nn.Module, dict[str, Stage]]:
    module, chain = _build(architecture, config, num_classes, in_chans)
    return (module if device is None else module.to(device)), chain


def _with_weights(
    architecture: Architecture,
    config: Mapping[str, Any],
    tensors: dict[str, Tensor],
    classes: int,
    channels: tuple[int, int],
    device: torch.device | None,
    where: str,
) -> tuple[nn.Module, dict[str, Stage], int]:
    """The module with the weights in it, with as many classes as they have."""
    with torch.device("meta"):
        module, chain = _build_on_meta(architecture, config, classes, channels[1])
    tensors = _adapted(architecture, tensors, module)
    found = _classes_in(tensors, chain["head"]) or classes
    if found != classes:
        with torch.device("meta"):
            module, chain = _build_on_meta(architecture, config, found, channels[1])
    first = next(stage for stage in chain.values() if stage.owns)
    fit = fitted(tensors, module, first, channels, where)
    if _can_assign(module):
        module.load_state_dict(fit, strict=True, assign=True)
    else:
        log.debug(
            "%s is built plainly: its tensors are not all in its state dict", architecture.name
        )
        with torch.random.fork_rng(devices=[]):
            module, chain = _plain(architecture, config, found, channels[1], device)
        module.load_state_dict(fit, strict=True)
    _refuse_meta(module, architecture)
    return module, chain, found


def _build_on_meta(
    architecture: Architecture, config: Mapping[str, Any], classes: int, in_chans: int
) -> tuple[nn.Module, dict[str, Stage]]:
    return _build(architecture, config, classes, in_chans)


def _adapted(
    architecture: Architecture, tensors: dict[str, Tensor], module: nn.Module
) -> dict[str, Tensor]:
    return tensors if architecture.adapt is None else architecture.adapt(dict(tensors), module)


def _classes_in(tensors: Mapping[str, Tensor], head: Stage) -> int | None:
    """How many classes the checkpoint's own classifier has."""
    weight = tensors.get(f"{head.owns[0]}.weight")
    return int(weight.shape[0]) if weight is not None and weight.ndim else None


def _can_assign(module: nn.Module) -> bool:
    """Whether a checkpoint holds every tensor of the module, each once."""
    held = set(module.state_dict())
    if any(name not in held for name, _ in module.named_buffers()):
        return False
    once = sum(1 for _ in module.parameters())
    if once != sum(1 for _ in module.named_parameters(remove_duplicate=False)):
        return False
    return not any(isinstance(v, Tensor) for m in module.modules() for v in vars(m).values())


def _refuse_meta(module: nn.Module, architecture: Architecture) -> None:
    tensors = [*module.named_parameters(), *module.named_buffers()]
    left = [name for name, tensor in tensors if tensor.is_meta]
    if left:
        raise WeightsError(
            f'"{architecture.name}" has tensors without values: {", ".join(left[:3])}.'
        )


# --- from a path ---------------------------------------------------------------------------------


def _from_path(
    path: Path, pretrained: bool | str | Path | None, in_chans: int | None, config: dict[str, Any]
) -> ZooModel:
    path = path.expanduser()
    if config or in_chans is not None or pretrained not in (None, True):
        raise ZooError(
            f"{path} brings its weights, configuration and channels with it.",
            hint="Only num_classes, freeze_until, device and dtype go with a path.",
        )
    if not path.exists():
        raise UnknownName(f"Nothing is at {path}.", hint="A name without ./ or / is a model's.")
    if path.is_dir() and (path / "recipe.toml").exists():
        from zoo_core.runs import load_run

        return load_run(path)
    raise WeightsError(
        f"{path} is no run: it has no recipe.toml.",
        hint=f'For a weights file, name the model: create("resnet50", pretrained="{path}").'
        if path.suffix == ".safetensors" or (path / MODEL_FILE).exists()
        else "zoo finetune leaves runs.",
    )


# --- checks --------------------------------------------------------------------------------------


def _check_counts(num_classes: int | None, in_chans: int | None) -> None:
    if num_classes is not None:
        check_count("num_classes", num_classes, least=0)
    if in_chans is not None:
        check_count("in_chans", in_chans, least=1)


def _device(device: str | torch.device | None) -> torch.device | None:
    if device is None:
        return None
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, TypeError) as error:
        text = " ".join(str(error).split(";")[0].split("\n")[0].split())
        raise ZooError(f"No device {device!r} here: {text}.", hint='Run "zoo doctor".') from error
    return found


def _dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    if dtype is None:
        return None
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ZooError(
            f"dtype must be a floating type: {dtype!r}.", hint="float32, float16, bfloat16."
        )
    return found

"""`pretrained_cfg`: what was loaded into a model, in timm's words, for the tools that ask for it.

timm, fastai and others read there what pictures a model wants to see. timm itself builds a network
without its weights, and so says what its own default set wants.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_core.model.kept_parts import HEAD
from zoo_core.types import InputSpec, WeightsInfo
from zoo_core.weights.addresses import public
from zoo_core.weights.checkpoint import Checkpoint
from zoo_core.weights.part import KEEP_UNTIL
from zoo_core.weights.sources import MODEL_FILE, names_file, split_reference

# What timm says of a network, whatever weights it has; and of the pictures it does well on.
NETWORK = (
    *("architecture", "custom_load", "fixed_input_size", "min_input_size", "input_size"),
    *("pool_size", "first_conv", "classifier"),
)
PICTURES = ("test_input_size", "test_pool_size", "test_crop_pct")
NAMES = ("pretrained_cfg", "default_cfg")  # the second is what timm called it before
LOADED, SAID = "_loaded", "_said_cfg"  # attributes of a model: what was loaded, what somebody says


@dataclass(frozen=True)
class Loaded:
    """What was loaded into a model, as far as timm's tools ask for it.

    `tag`: in a manifest. `place`: a reference. `num_classes`, `labels`: of the weights.
    """

    tag: str
    place: str
    license: str | None
    num_classes: int
    labels: tuple[str, ...] | None


def tell_what_was_loaded(model: Any, checkpoint: Checkpoint | None) -> None:
    """Note what a model was loaded from, None for nothing; `told` says it when it is asked.

    A model keeps what its maker has under that name, if it is no table.
    """
    if not all(isinstance(_stored(model, name) or {}, dict) for name in NAMES):
        return
    vars(model).pop(SAID, None)
    vars(model)[LOADED] = None if checkpoint is None else _loaded(model, checkpoint)


def _loaded(model: Any, checkpoint: Checkpoint) -> Loaded:
    weights: WeightsInfo | None = model.info.weights.get(checkpoint.reference)
    elsewhere = checkpoint.local or checkpoint.pinned or checkpoint.reference
    return Loaded(
        tag=weights.tag if weights else "",
        place=weights.source if weights else elsewhere,
        license=checkpoint.license,
        num_classes=vars(model)["origin"].num_classes,  # of a model just made, nothing is replaced
        labels=vars(model)["labels"],
    )


def told(name: str) -> property:
    """The table under one of its names: of the input and the classes at the time of asking.

    Whoever puts a table of their own there is told that one.
    """

    def get(model: Any) -> Any:
        if vars(model).get(LOADED, model) is model or name in vars(model).get(SAID, {}):
            return _kept(model, name)
        return _table(model, vars(model)[LOADED])

    def say(model: Any, value: Any) -> None:
        vars(model)[SAID] = {**vars(model).get(SAID, {}), name: value}

    def forget(model: Any) -> None:
        say(model, None)

    return property(get, say, forget, "What was loaded, in the words of timm's tools.")


def _kept(model: Any, name: str) -> Any:
    """What somebody put there. Raises AttributeError for nothing; torch then looks for a layer."""
    said = vars(model).get(SAID, {})
    kept = said[name] if name in said else _stored(model, name)
    if kept is None or name in model._modules:
        raise AttributeError(f"{type(model).__name__} has no {name}")
    return kept


def _stored(model: Any, name: str) -> Any:
    """What the maker of the module has under a name: an attribute, a layer, or one of the class."""
    original = getattr(type(model)._original, name, None)
    return model._modules.get(name) or vars(model).get(name, original)


def _table(model: Any, loaded: Loaded | None) -> dict[str, Any]:
    own = _stored(model, NAMES[0]) or {}
    usual = model.info.default_weights
    if loaded is not None:
        place = _place(loaded.place)
        known = _timms(own, place)
        cfg = known or {key: own[key] for key in NETWORK if key in own}
        cfg |= {"tag": loaded.tag or cfg.get("tag") or "", **place}
        if loaded.license is not None:
            cfg["license"] = loaded.license
    else:
        known = _timms(own, _place(usual.source)) if usual else {}
        cfg = {key: value for key, value in (known or own).items() if key in NETWORK + PICTURES}
        cfg["tag"] = ""
    cfg = _fitting(cfg, model.input.size) | pictures_of(model.input) | _classes(model, loaded)
    if KEEP_UNTIL in model.origin.config:  # by its name others would build the whole network
        cfg.pop("architecture", None)
        cfg["classifier"] = HEAD
    return cfg


def _classes(model: Any, loaded: Loaded | None) -> dict[str, Any]:
    """Those of the weights, as timm has it; without any, those of the model."""
    count, labels = (model.num_outputs, model.labels)
    if loaded is not None:
        count, labels = loaded.num_classes, loaded.labels
    return {"num_classes": count} | ({"label_names": labels} if labels else {})


def pictures_of(spec: InputSpec) -> dict[str, Any]:
    """What a model wants to see, in timm's words."""
    return {
        "input_size": spec.size,
        "mean": spec.mean,
        "std": spec.std,
        "interpolation": spec.interpolation,
        "crop_pct": spec.crop,
        "crop_mode": spec.crop_mode,
    }


def _fitting(cfg: Mapping[str, Any], size: tuple[int, int, int]) -> dict[str, Any]:
    """What is said for other sizes of pictures, or other channels, as it is for these."""
    fitting = dict(cfg)
    if tuple(cfg.get("input_size", size))[1:] != size[1:]:
        fitting = {key: value for key, value in cfg.items() if not key.startswith("test_")}
        fitting["pool_size"] = None
    for key in ("test_input_size", "min_input_size"):
        if fitting.get(key):
            fitting[key] = (size[0], *fitting[key][1:])
    return fitting


# --- where it came from --------------------------------------------------------------------------


def _place(reference: str) -> dict[str, str]:
    """A reference in timm's words.

    >>> _place("hf://timm/resnet18.a1_in1k@c0ffee/model.safetensors")
    {'hf_hub_id': 'timm/resnet18.a1_in1k', 'source': 'hf-hub'}
    >>> _place("https://host/a.pth?token=x")
    {'url': 'https://host/a.pth', 'source': 'url'}
    """
    scheme, rest = split_reference(reference)
    repository = re.match(r"[^/@]+/[^/@]+", rest)
    if scheme == "hf" and repository:
        file = rest.rpartition("/")[2] if names_file(reference) else MODEL_FILE
        named = {} if file == MODEL_FILE else {"hf_hub_filename": file}
        return {"hf_hub_id": repository[0], **named, "source": "hf-hub"}
    if scheme == "file":
        return {"file": rest, "source": "local-dir" if Path(rest).is_dir() else "file"}
    address = public(reference).partition("#")[0]
    return {"url": address, "source": "url"} if scheme == "https" else {"source": address}


def _timms(own: Mapping[str, Any], place: Mapping[str, str]) -> dict[str, Any]:
    """What timm itself says of the weights that are there; nothing where it does not know them."""
    if not own.get("architecture"):
        return {}
    from timm.models import get_arch_pretrained_cfgs

    keys = ("hf_hub_id", "hf_hub_filename") if "hf_hub_id" in place else ("url",)
    for cfg in get_arch_pretrained_cfgs(own["architecture"]).values():
        said = cfg.to_dict()
        if keys[0] in place and all(said.get(key) == place.get(key) for key in keys):
            return said
    return {}

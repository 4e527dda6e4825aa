"""`pretrained_cfg`: what was loaded into a model, in timm's words, for the tools that ask for it.

timm, fastai and others read there what pictures a model wants to see. timm itself builds a network
without its weights, and so says what its own default set wants.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_core.model.kept_parts import HEAD
from zoo_core.types import InputSpec, WeightsInfo
from zoo_core.weights.addresses import public
from zoo_core.weights.checkpoint import Checkpoint
from zoo_core.weights.part import KEEP_UNTIL
from zoo_core.weights.sources import MODEL_FILE, names_file, split_reference

if TYPE_CHECKING:
    from zoo_core.model.zoo_model import ZooModel

# What timm says of a network, whatever weights it has; and of the pictures it does well on.
NETWORK = (
    *("architecture", "custom_load", "fixed_input_size", "min_input_size", "input_size"),
    *("pool_size", "first_conv", "classifier"),
)
PICTURES = ("test_input_size", "test_pool_size", "test_crop_pct")
NAMES = ("pretrained_cfg", "default_cfg")  # the second is what timm called it before


def tell_what_was_loaded(model: ZooModel, checkpoint: Checkpoint | None) -> None:
    """Give a model its `pretrained_cfg`. `checkpoint`: what it was loaded from, None for nothing.

    A model keeps what its maker has under that name, if it is no table.
    """
    if not all(isinstance(getattr(model, name, {}), dict) for name in NAMES):
        return
    own = getattr(model, NAMES[0], {})
    usual = model.info.default_weights
    if checkpoint is not None:
        tag, place = _origin(model, checkpoint)
        known = _timms(own, place)
        cfg = known or {key: own[key] for key in NETWORK if key in own}
        cfg |= {"tag": tag or cfg.get("tag") or "", **place}
        if checkpoint.license is not None:
            cfg["license"] = checkpoint.license
    else:
        known = _timms(own, _place(usual.source)) if usual else {}
        cfg = {key: value for key, value in (known or own).items() if key in NETWORK + PICTURES}
        cfg["tag"] = ""
    cfg = _fitting(cfg, model.input.size) | _facts(model)
    if KEEP_UNTIL in model.origin.config:  # by its name others would build the whole network
        cfg.pop("architecture", None)
        cfg["classifier"] = HEAD
    model.pretrained_cfg = cfg
    model.default_cfg = cfg


def _facts(model: ZooModel) -> dict[str, Any]:
    """The pictures and the classes, as zoo knows them."""
    facts = pictures_of(model.input) | {"num_classes": model.origin.num_classes}
    return facts | ({"label_names": model.labels} if model.labels else {})


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


def _origin(model: ZooModel, checkpoint: Checkpoint) -> tuple[str, dict[str, str]]:
    """The tag in a manifest, if it has one, and the place."""
    weights: WeightsInfo | None = model.info.weights.get(checkpoint.reference)
    if weights is not None:
        return weights.tag, _place(weights.source)
    return "", _place(checkpoint.local or checkpoint.pinned or checkpoint.reference)


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

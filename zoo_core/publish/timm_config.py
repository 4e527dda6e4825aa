"""The part of config.json that timm and transformers read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from zoo_core.model.pretrained_cfg import pictures_of
from zoo_core.model.zoo_model import ZooModel


def timm_name(model: ZooModel) -> str | None:
    """The name by which timm builds the same network, or None where it is not one of timm's."""
    cfg = getattr(model, "pretrained_cfg", None)
    name = cfg.get("architecture") if isinstance(cfg, dict) else None
    if name is None:
        return None
    import timm

    return name if timm.is_model(name) else None


def timm_config(model: ZooModel, path: Path) -> dict[str, Any]:
    """What timm itself writes of such a network, with the input that these weights have."""
    from timm.models._hub import save_config_for_hf

    save_config_for_hf(
        model,
        str(path),
        model_config={"label_names": list(model.labels)} if model.labels else None,
        data_config=pictures_of(model.input),
    )
    config = json.loads(path.read_text(encoding="utf-8"))
    config["pretrained_cfg"].pop("label_names", None)  # those of the weights below; ours are above
    arguments = config.pop("model_args", {})
    arguments.pop("num_classes", None)  # stands above already, and transformers takes it from there
    return config | ({"model_args": arguments} if arguments else {})

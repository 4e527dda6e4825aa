"""What the rows of a store depend on, but for the pictures: its facts, and so its name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from zoo_core.model.zoo_model import ZooModel
from zoo_core.training.cache.code import code_digest
from zoo_core.types import Stage
from zoo_core.version import __version__
from zoo_core.weights.hashes import tensor_digest
from zoo_core.weights.published import written_input


def facts_of(model: ZooModel, stages: Sequence[Stage], rows: int, **how: Any) -> dict[str, Any]:
    """The facts of what enters the stage after `stages`, computed so many `rows` at once.

    `how`: what else the numbers depend on, such as the precision.
    """
    like = next(model.parameters())
    cpu = like.device.type == "cpu"
    return {
        "model": model.origin.reference,
        "config": dict(model.origin.config),
        "boundary": list(model.chain)[len(stages)],
        "weights": _weights_digest(model, stages),
        "code": code_digest(model, stages),
        "input": written_input(model.input),
        "at_once": rows,
        "type": str(like.dtype),
        "device": "cpu" if cpu else torch.cuda.get_device_name(like.device),
        "kernels": torch.backends.cpu.get_cpu_capability() if cpu else "",
        "threads": torch.get_num_threads() if cpu else 0,
        "products": torch.get_float32_matmul_precision(),
        "versions": {"zoo": __version__, "torch": torch.__version__}
        | {name: version(name) for name in ("torchvision", "pillow", "timm")},
        "user": os.getuid() if hasattr(os, "getuid") else 0,  # another's are not believed
        "channels_last": any(map(_is_channels_last, model.parameters())),
        **how,
    }


def _weights_digest(model: ZooModel, stages: Sequence[Stage]) -> str:
    state = model.state_dict()
    state |= dict(model.named_buffers())  # also those that are not persistent
    still = [name for name in state if any(s.has(name) for s in stages)]
    return tensor_digest({name: state[name] for name in still})


def _is_channels_last(weight: Tensor) -> bool:
    return weight.ndim == 4 and not weight.is_contiguous()

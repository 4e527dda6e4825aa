"""Whether preprocessed tensors go through a model: tried with one, before a training with all."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo_core.errors import DataError
from zoo_core.model import ZooModel
from zoo_core.modes import evaluating


def refuse_wrong_size(model: ZooModel, x: Any) -> None:
    """Raise DataError where `x` is a tensor of one picture that the model cannot take.

    Pictures of another kind are made to fit by the model's own transform.

    >>> import torch, zoo_core as zoo
    >>> refuse_wrong_size(zoo.create("lenet5"), torch.zeros(1, 32, 32))
    """
    if not isinstance(x, Tensor) or tuple(x.shape) == model.input.size:
        return
    first = next(model.parameters())
    fits = x.ndim == 3 and len(x) == model.input.size[0]
    cause = None
    if fits:
        try:
            with evaluating(model), torch.inference_mode():
                model(x[None].to(first.device, first.dtype))
            return
        except (RuntimeError, AssertionError, ValueError) as error:
            cause = error
    given, wanted = _written(tuple(x.shape)), _written(model.input.size)
    raise DataError(
        f"Tensors of {given} do not go through {model.info.name}, which is made for {wanted}.",
        hint="Give PIL pictures, which zoo makes fit, or what model.transform() makes.",
    ) from cause


def _written(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))

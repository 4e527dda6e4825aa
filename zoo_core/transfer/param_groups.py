"""Optimizer groups: learning rates by depth, and no weight decay where it does not belong."""

from __future__ import annotations

from typing import Any

from torch import nn

from zoo_core.chain import chain_of, owner
from zoo_core.errors import UnknownName


def param_groups(
    model: nn.Module, lr: float, decay: float, weight_decay: float | None, no_decay: str | None
) -> list[dict[str, Any]]:
    """Groups of the trainable parameters, the last stage first; see `model.param_groups`."""
    if no_decay not in (None, "norm-and-bias"):
        raise UnknownName(f'no_decay is "norm-and-bias" or None, not {no_decay!r}.')
    decay_option = {} if weight_decay is None else {"weight_decay": weight_decay}
    groups: list[dict[str, Any]] = []
    for distance, (stage, own) in enumerate(reversed(_by_stage(model).items())):
        rate = {"lr": lr * decay**distance, "stage": stage}
        plain = [p for p in own if no_decay and p.ndim < 2]
        decayed = [p for p in own if not (no_decay and p.ndim < 2)]
        groups += [{"params": decayed, **rate, **decay_option}] if decayed else []
        groups += [{"params": plain, **rate, "weight_decay": 0.0}] if plain else []
    return groups


def _by_stage(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The trainable parameters of each stage that has any, in order; "" for those of none."""
    chain = chain_of(model)
    by_stage: dict[str, list[nn.Parameter]] = {stage: [] for stage in (*chain, "")}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            by_stage[owner(chain, name) or ""].append(parameter)
    return {stage: own for stage, own in by_stage.items() if own}

"""A model as a table of its stages."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from zoo_core.chain import run_stages
from zoo_core.humanize import readable_name
from zoo_core.transfer.eval_twin import in_eval_mode, outline_twin
from zoo_core.transfer.sharded import has_shards


def render_rows(rows: list[dict[str, Any]]) -> str:
    """Stage rows as aligned text."""
    lines = [("stage", "output", "params", "trains")]
    for row in rows:
        shape = "x".join(str(n) for n in row["output"])
        lines.append((readable_name(row["stage"]), shape, f"{row['params']:,}", _trains(row)))
    total, trained = (sum(row[key] for row in rows) for key in ("params", "trainable"))
    lines.append(("total", "", f"{total:,}", f"{trained:,}"))
    wide = [max(len(line[i]) for line in lines) for i in range(4)]
    return "\n".join(
        f"{a:<{wide[0]}}  {b:<{wide[1]}}  {c:>{wide[2]}}  {d}".rstrip() for a, b, c, d in lines
    )


def _trains(row: Mapping[str, Any]) -> str:
    if row["frozen"]:
        return "frozen"
    if not row["params"]:
        return "-"
    return "yes" if row["trainable"] == row["params"] else f"{row['trainable']:,}"


def stage_rows(model: Any) -> list[dict[str, Any]]:
    """One row per stage, from one picture of zeros in eval mode.

    A row: name, output shape without the batch, parameters, how many train, whether it is frozen.
    """
    rows = []
    frozen = set(model.frozen)
    shapes = _shapes(model)
    for stage in model.chain.values():
        own = {n: p for n, p in model.named_parameters() if stage.has(n)}
        trainable = sum(p.numel() for p in own.values() if p.requires_grad)
        rows.append(
            {
                "stage": stage.name,
                "output": shapes[stage.name],
                "params": sum(p.numel() for p in own.values()),
                "trainable": trainable,
                "frozen": bool(own) and trainable == 0 and any(n in frozen for n in own),
            }
        )
    return rows


def _shapes(model: Any) -> dict[str, list[int]]:
    """What leaves each stage for one picture, without the batch."""
    with torch.no_grad(), _counting(model) as network:
        first = next(network.parameters())
        x = torch.zeros(1, *model.input.size, device=first.device, dtype=first.dtype)
        shapes = {}
        for stage in model.chain.values():
            x = run_stages(network, [stage], x)
            shapes[stage.name] = list(x.shape[1:])
    return shapes


@contextlib.contextmanager
def _counting(model: nn.Module) -> Iterator[nn.Module]:
    """The model in eval mode; without values where this process has a part of them only."""
    if not has_shards(model):
        yield in_eval_mode(model)
        return
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True):
        yield outline_twin(model)

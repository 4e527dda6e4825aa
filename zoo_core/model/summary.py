"""A model as a table of its stages."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.chain import run_stages
from zoo_core.humanize import readable_name
from zoo_core.transfer.eval_twin import outline_twin, twin_with
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
    """A twin in eval mode; without values where this process has a part of them only."""
    if not has_shards(model):
        yield twin_with(model, {})
        return
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True):
        yield outline_twin(model)


def scores_given(model: Any, layer: str | None) -> int | None:
    """How many scores a model gives; None where they are what its layer `layer` gives, or where it
    gives none of a picture's alone.
    """
    given: list[Any] = []
    with torch.no_grad(), torch.random.fork_rng(devices=[]), _counting(model) as net:
        if layer is not None:
            last = net.get_submodule(layer)
            vars(last)["_forward_hooks"] = OrderedDict()  # of the twin alone
            last.register_forward_hook(lambda module, x, out: given.append(out))
        first = next(net.parameters())
        size = vars(model)["input"].size
        try:
            scores = net(torch.zeros(1, *size, device=first.device, dtype=first.dtype))
        except Exception:  # of whatever somebody put there: a training says it
            return None
    if not isinstance(scores, Tensor) or scores.ndim != 2 or (given and scores is given[-1]):
        return None
    return int(scores.shape[1])

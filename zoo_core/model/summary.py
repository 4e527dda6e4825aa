"""A model as a table of its stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo_core.chain import run_stages
from zoo_core.humanize import readable_name


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
    import torch

    from zoo_core.transfer.eval_twin import in_eval_mode

    first = next(model.parameters())
    x = torch.zeros(1, *model.input.size, device=first.device, dtype=first.dtype)
    rows = []
    frozen = set(model.frozen)
    network = in_eval_mode(model)
    with torch.no_grad():
        for stage in model.chain.values():
            x = run_stages(network, [stage], x)
            own = {n: p for n, p in model.named_parameters() if stage.has(n)}
            trainable = sum(p.numel() for p in own.values() if p.requires_grad)
            rows.append(
                {
                    "stage": stage.name,
                    "output": list(x.shape[1:]),
                    "params": sum(p.numel() for p in own.values()),
                    "trainable": trainable,
                    "frozen": bool(own) and trainable == 0 and any(n in frozen for n in own),
                }
            )
    return rows

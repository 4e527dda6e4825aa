"""What pages of docs/chapter say in their exercises and their words holds."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import pytest
import torch
from test_docs import ROOT

import zoo_core as zoo
from zoo_core.regularize import Verdict

CELL = re.compile(r"^```\{code-cell\} ipython3\n(?::.*\n)*(.*?)^```$", re.S | re.M)


def after(page: str, cells: int) -> dict[str, Any]:
    """What the first so many cells of a page leave behind."""
    text = (ROOT / "docs" / "chapter" / f"{page}.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for source in CELL.findall(text)[:cells]:
        exec(source, names)
    return names


def test_from_the_strength_of_the_answer_on_lasso_keeps_no_weight() -> None:
    names = after("penalties", 1)
    x, y = names["x"], names["y"]
    strength = ((x.T @ (y - y.mean())).abs().max() / len(x)).item()
    assert f"{strength:.2f}" == "0.77"
    assert not kept(x, y, 1.01 * strength)
    assert kept(x, y, 0.95 * strength)


def kept(x: torch.Tensor, y: torch.Tensor, strength: float) -> int:
    """How many weights are left after steps of the page's loop."""
    layer = torch.nn.Linear(x.shape[1], 1)
    torch.nn.init.zeros_(layer.weight)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.05)
    stack = zoo.regularizers(f"l1={strength}").attach(layer, optimizer=optimizer)
    for _ in range(300):
        optimizer.zero_grad()
        (torch.nn.functional.mse_loss(layer(x), y) / 2).backward()
        optimizer.step()
        stack.weights()
    return int(layer.weight.count_nonzero())


@pytest.mark.parametrize(("form", "tested"), [("classic", 1.0), ("inverted", 2.0)])
def test_the_eight_masks_have_the_mean_of_the_answer(form: str, tested: float) -> None:
    x, w = torch.tensor([2.0, 1.0, 4.0]), torch.tensor([1.0, -2.0, 0.5])
    sums = [float(w @ (x * torch.tensor(mask))) for mask in product((0.0, 1.0), repeat=3)]
    assert sorted(sums) == [-2, 0, 0, 0, 2, 2, 2, 4]
    scale = 2 if form == "inverted" else 1
    assert scale * sum(sums) / 8 == tested
    layer = torch.nn.Linear(3, 1, bias=False)
    layer.weight.data.copy_(w)
    zoo.regularizers(f"dropout=0.5:form={form}").attach(torch.nn.Sequential(layer))
    assert layer.eval()(x).item() == tested


@pytest.mark.parametrize(("patience", "stops", "best"), [(1, 4, 3), (2, 5, 3), (3, None, 6)])
def test_each_patience_stops_where_the_answer_says(
    patience: int, stops: int | None, best: int
) -> None:
    losses = [0.90, 0.60, 0.50, 0.52, 0.51, 0.45, 0.47, 0.48]
    stack = zoo.regularizers(f"early-stopping={patience}").attach(torch.nn.Linear(1, 1))
    verdicts = [stack.validation({"loss": loss, "accuracy": 0.0}) for loss in losses]
    ended = verdicts.index(Verdict.STOP) if Verdict.STOP in verdicts else None
    seen = verdicts[:ended]
    assert (None if ended is None else ended + 1) == stops
    assert max(n for n, verdict in enumerate(seen, 1) if verdict is Verdict.IMPROVED) == best


def test_the_noise_of_a_batch_is_what_formula_and_answer_say() -> None:
    one = torch.randn(200, 30, generator=torch.Generator().manual_seed(0))
    sigma = (one - one.mean(0)).square().sum(1).mean().sqrt()
    torch.manual_seed(0)
    for size in (5, 50, 200):
        again = torch.stack([one[torch.randint(200, (size,))].mean(0) for _ in range(2000)])
        once = torch.stack([one[torch.randperm(200)[:size]].mean(0) for _ in range(2000)])
        independent, rest = sigma / size**0.5, ((200 - size) / 199) ** 0.5
        assert off(again, one) == pytest.approx(independent.item(), rel=0.05)
        assert off(once, one) == pytest.approx((independent * rest).item(), rel=0.05, abs=1e-5)


def off(means: torch.Tensor, one: torch.Tensor) -> float:
    return float((means - one.mean(0)).square().sum(1).mean().sqrt())


def test_a_step_of_32_pictures_leads_as_far_as_one_of_all() -> None:
    walks = after("descent", 1)["walks"]
    assert {name: len(rows) for name, rows in walks.items()} == {
        "all 1,000": 300,
        "32": 320,
        "1": 1000,
    }
    for full, some in zip(walks["all 1,000"][5:], walks["32"][5:], strict=False):
        assert some[2] == pytest.approx(full[2], rel=0.15)

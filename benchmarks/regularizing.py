"""Four penalties at once on a ResNet-50, against the plain loop over parameters with autograd.

`l2 + l1 + l2-sp + max-norm` by zoo's stack, `gradients()` and `weights()`; the peer adds the first
three to the loss, weight by weight, goes backward through them, and bounds each weight's rows by
`torch.renorm`. On a CPU with all threads; on a GPU, if there is one, also what the four add to a
training step (batch 64, bf16, channels last) and the kernel launches of each penalty.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

import zoo_core as zoo
from benchmarks.measure import Row, Skipped, alternate, at_least, at_most, show
from zoo_core.regularize.stack import Stack

ROUNDS = 9
NAMES = ("l2=1e-4", "l1=1e-5", "l2-sp=0.01", "max-norm=3")
PENALTIES = ("l2", "l1", "l2-sp", "elastic-net", "max-norm", "group-lasso")
LAUNCHES = 12


def measure() -> list[Row | Skipped]:
    rows: list[Row | Skipped] = [penalties("cpu", 2.5), extra_memory()]
    if torch.cuda.is_available():
        rows += [penalties("cuda", 10), overhead(), *launches()]
    else:
        why = "no CUDA device here"
        rows.append(Skipped("four penalties on a GPU, against the plain loop (target 10x)", why))
        rows.append(Skipped("what they add to a training step on a GPU (target 2%)", why))
        rows.append(Skipped(f"kernel launches of each penalty (target {LAUNCHES})", why))
    return rows


def network(device: str) -> nn.Module:
    """A ResNet-50 with gradients, as it stands before the optimizer's step."""
    model = zoo.create("resnet50").to(device)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    return model


def attached(model: nn.Module, names: tuple[str, ...] = NAMES) -> Stack:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    start = {name: parameter.detach() for name, parameter in model.named_parameters()}
    return zoo.regularizers(names).attach(model, optimizer=optimizer, reference=start)


def penalties(device: str, target: float) -> Row:
    """Time of the four against the plain loop."""
    ours, theirs = network(device), network(device)
    stack = attached(ours)
    decayed = [p for p in theirs.parameters() if p.ndim >= 2]
    start = [p.detach().clone() for p in decayed]

    def zoos() -> None:
        stack.gradients()
        stack.weights()
        wait(device)

    def plain() -> None:
        by_autograd(decayed, start)
        wait(device)

    times = alternate({"zoo": zoos, "plain": plain}, ROUNDS)
    ratio = times.ratio("plain", "zoo")
    spent = [f"{1000 * times.median(name):.1f} ms" for name in ("zoo", "plain")]
    where = "a CPU" if device == "cpu" else "a GPU"
    return at_least(
        f"`{' + '.join(n.split('=')[0] for n in NAMES)}`, {where}", *spent, ratio, target
    )


def by_autograd(weights: list[nn.Parameter], start: list[Tensor]) -> None:
    """The plain loop: a penalty in the loss, weight by weight, and a bound after the step."""
    total = torch.zeros((), device=weights[0].device)
    for weight, first in zip(weights, start, strict=True):
        total = total + 1e-4 * (weight**2).sum() + 1e-5 * weight.abs().sum()
        total = total + 0.01 / 2 * ((weight - first) ** 2).sum()
    total.backward()
    with torch.no_grad():
        for weight in weights:
            weight.copy_(torch.renorm(weight, 2, 0, 3))


def extra_memory() -> Row:
    """What `l2-sp` keeps, in copies of the weights that train."""
    model = zoo.create("resnet50").freeze_until("layer3")
    stack = attached(model, ("l2-sp",))
    state = stack.state_dict()["members"][0]["state"]["start"]
    kept = sum(tensor.nbytes for tensor in state.values())
    trained = sum(p.nbytes for p in model.parameters() if p.requires_grad)
    spent = [f"{size / 1e6:.1f} MB" for size in (kept, trained)]
    return at_most("what `l2-sp` keeps, of the weights that train", *spent, kept / trained, 1.0)


def overhead() -> Row:
    """What the four add to a training step on a GPU."""
    model = network("cuda").to(memory_format=torch.channels_last)
    stack = attached(model)
    optimizer = stack.optimizer
    x = torch.randn(64, 3, 224, 224, device="cuda").to(memory_format=torch.channels_last)
    y = torch.randint(1000, (64,), device="cuda")

    def step(regularized: bool) -> Callable[[], None]:
        def run() -> None:
            optimizer.zero_grad()
            with torch.autocast("cuda", torch.bfloat16):
                loss = functional.cross_entropy(model(x), y)
            loss.backward()
            if regularized:
                stack.gradients()
            optimizer.step()
            if regularized:
                stack.weights()
            wait("cuda")

        return run

    times = alternate({"plain": step(False), "zoo": step(True)}, 3 * ROUNDS)
    more = 100 * (times.ratio("zoo", "plain") - 1)
    spent = [f"{1000 * times.median(name):.1f} ms" for name in ("zoo", "plain")]
    return at_most("a training step with them, over one without", *spent, more, 2.0, "%")


def launches() -> list[Row | Skipped]:
    """Kernel launches of each penalty on a ResNet-50, by the profiler."""
    rows: list[Row | Skipped] = []
    for name in PENALTIES:
        model = network("cuda")
        stack = attached(model, (name,))
        shapes = len({p.shape for p in model.parameters() if p.ndim >= 2})
        rowwise = name in ("max-norm", "group-lasso")
        target = 3 * shapes + LAUNCHES if rowwise else LAUNCHES
        stack.gradients()
        stack.weights()
        activities = [torch.profiler.ProfilerActivity.CUDA, torch.profiler.ProfilerActivity.CPU]
        with torch.profiler.profile(activities=activities) as seen:
            stack.gradients()
            stack.weights()
            wait("cuda")
        count = sum(event.count for event in seen.key_averages() if "LaunchKernel" in event.key)
        what = f"kernel launches of `{name}`"
        rows.append(at_most(what, str(count), f"{shapes} shapes", count, target, ""))
    return rows


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    show(measure())

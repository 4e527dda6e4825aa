"""Fine-tuning: what the cache saves, what the trainer costs beside PyTorch, what freezing saves.

A ResNet-50 with random weights, on pictures of noise at 224 that are in memory; AdamW and a cosine
schedule, and after each epoch validation on a fifth, except where everything trains. Each training
starts with an empty cache, so its time holds the building of it. Ten epochs of the head alone on
the cache are ten epochs; elsewhere one is measured, and ten are what was outside of it and ten
times that one. Rounds are long and few, so of each way the quickest one counts; where everything
trains they are more, and the median of their ratios counts, since little parts the two. On a
machine with a GPU all runs there, in bf16, with more pictures and larger batches; else on a CPU.

timm's loop: its loaders with zoo's transform, its optimizer and its scheduler. Its full passes: the
backbone's weights require no gradients, and the whole network runs in each step. The bare loop: a
LeNet-5 on MNIST, the same tensors in the same order by the same optimizer, without validation, and
on one thread, since it is too small for two. That both loops end with the same weights, bit for
bit, is checked on a CPU.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

import zoo_core as zoo
from benchmarks.loops import CLASSES, GPU, Noise, Training, bare, wait, with_timm
from benchmarks.measure import Row, Skipped, Times, at_least, at_most, ms, run, show
from zoo_core.cache import using_cache
from zoo_core.data.loader import Order
from zoo_core.data.opening import open_data
from zoo_core.data.pictures import Pictures

EPOCHS = 10
ROUNDS, WHOLE_ROUNDS = 2, 12
PICTURES, BATCH = (2560, 64) if GPU else (160, 8)
WORKERS = min(os.cpu_count() or 1, 8) if GPU else 0
LR = 1e-3
SMALL_ROUNDS, SMALL_EPOCHS, SMALL_BATCH = 9, 2, 64
PAIR = ("cached", "uncached")
WHERE = "on a GPU, bf16" if GPU else "on a CPU"

Way = Callable[[Noise], Training]


def measure() -> list[Row | Skipped]:
    rows = [*head_alone(), *until_layer4(), everything(), beside_bare_pytorch(), peak_memory()]
    if GPU:
        return rows
    return [*rows, Skipped("fine-tuning on a GPU in bf16", "no CUDA device here")]


# --- ResNet-50 -----------------------------------------------------------------------------------


def head_alone() -> list[Row | Skipped]:
    """The cache against full passes, by zoo and by timm."""
    ways: dict[str, Way] = {
        "cached": lambda data: zoos(data, until="head", cache=True, epochs=EPOCHS),
        "uncached": lambda data: zoos(data, until="head", cache=False, epochs=1),
        "timm": lambda data: timms(data, head_only=True, epochs=1),
    }
    found = in_turn(ways, PICTURES)
    times = of_epochs(found, EPOCHS)
    times["cached"] = min(training.seconds for training in found["cached"])
    what = f"ResNet-50, head alone, {EPOCHS} epochs, {WHERE}: cached against uncached"
    return [
        against(what, times, "cached", "uncached", 8),
        against("the same against full passes in timm's loop", times, "cached", "timm", 8),
        against("an epoch of it, once there is a cache", last_epochs(found), *PAIR, 100),
    ]


def until_layer4() -> list[Row | Skipped]:
    """The cache where the last stage of the network trains, too."""
    ways: dict[str, Way] = {
        "cached": lambda data: zoos(data, until="layer4", cache=True, epochs=1),
        "uncached": lambda data: zoos(data, until="layer4", cache=False, epochs=1),
    }
    found = in_turn(ways, PICTURES)
    epochs = last_epochs(found)
    spent, limit = [ms(epochs[name]) for name in PAIR], epochs["uncached"] / epochs["cached"]
    what = f"frozen until `layer4`, {EPOCHS} epochs: cached against uncached"
    return [
        against(what, of_epochs(found, EPOCHS), *PAIR, 2.2),
        Row("an epoch of it, once there is a cache", spent[0], spent[1], limit, "x", "-", None),
    ]


def everything() -> Row:
    """Nothing frozen, random crops and flips: whole trainings, setting up included."""
    ways: dict[str, Way] = {
        "zoo": lambda data: zoos(data, cache=False, augment=True, epochs=1, val=False),
        "timm": lambda data: timms(data, head_only=False, epochs=1),
    }
    found = in_turn(ways, PICTURES // 5 * 2, WHOLE_ROUNDS)
    times = Times({name: [t.seconds for t in trainings] for name, trainings in found.items()})
    ours, peer = (ms(times.median(name)) for name in ways)
    what = "everything trains, augmented: against timm's loop"
    return at_least(what, ours, peer, times.ratio("timm", "zoo"), 1)


def against(what: str, times: Mapping[str, float], ours: str, peer: str, target: float) -> Row:
    return at_least(what, ms(times[ours]), ms(times[peer]), times[peer] / times[ours], target)


def in_turn(
    ways: Mapping[str, Way], pictures: int, rounds: int = ROUNDS
) -> dict[str, list[Training]]:
    """Each way in turn, so many times, after a few pictures that warm up and do not count.

    Every other round goes backwards, so that none always follows the same one.
    """
    data, few = Noise(pictures), Noise(2 * max(BATCH, CLASSES))
    for way in ways.values():
        way(few)
    found: dict[str, list[Training]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in sorted(ways, reverse=number % 2 == 1):
            found[name].append(ways[name](data))
    return found


def of_epochs(found: Mapping[str, list[Training]], count: int) -> dict[str, float]:
    """Seconds of so many epochs, setting up included, in the quickest round of each way."""
    return {name: min(t.of(count) for t in trainings) for name, trainings in found.items()}


def last_epochs(found: Mapping[str, list[Training]]) -> dict[str, float]:
    """Seconds of the last epoch in the quickest round of each way."""
    return {name: min(t.epochs[-1] for t in trainings) for name, trainings in found.items()}


def zoos(data: Noise, *, until: str | None = None, augment: bool = False, **given: Any) -> Training:
    model = zoo.create("resnet50", num_classes=CLASSES)
    how: dict[str, Any] = {"batch_size": BATCH, "lr_schedule": "cosine", "workers": WORKERS}
    with tempfile.TemporaryDirectory() as folder, using_cache(Path(folder)):
        return finetuned(model, data, freeze_until=until, augment=augment, **how, **given)


def timms(data: Noise, *, head_only: bool, epochs: int) -> Training:
    """Training on as many pictures as zoo does: with the head alone, it validates on a fifth."""
    transform = zoo.create("resnet50", num_classes=CLASSES).transform(train=not head_only)
    held_out = len(data) // 5 if head_only else 0
    val = Noise(held_out) if held_out else None
    how: dict[str, Any] = {"batch": BATCH, "lr": LR, "workers": WORKERS, "epochs": epochs}
    return with_timm(Noise(len(data) - held_out), val, transform, head_only=head_only, **how)


def finetuned(model: zoo.ZooModel, data: Any, **given: Any) -> Training:
    """One training by zoo."""
    quiet: dict[str, Any] = {"head": "random", "lr": LR, "out": False, "progress": False}
    start = time.perf_counter()
    run = zoo.finetune(model, data, **quiet, **given)
    wait()
    return Training(time.perf_counter() - start, [row["seconds"] for row in run.history])


# --- LeNet-5 -------------------------------------------------------------------------------------


def beside_bare_pytorch() -> Row:
    """What the trainer adds to the steps of a small network, where it shows most."""
    pictures = open_data("mnist5k")
    transform = fresh().transform()
    held = torch.stack([transform(pictures.read(index)) for index in range(len(pictures))])
    data = Pictures(pictures.name, held.__getitem__, pictures.targets, pictures.classes)
    targets, batches = data.target_tensor(), in_order(len(data))
    times = Times(zoo=[], bare=[])
    with one_thread():
        for number in range(SMALL_ROUNDS + 1):
            ours, theirs = fresh(), fresh()
            how: dict[str, Any] = {"epochs": SMALL_EPOCHS, "batch_size": SMALL_BATCH, "val": False}
            spent = finetuned(ours, data, **how), bare(theirs, held, targets, batches, LR)
            refuse_difference(ours, theirs)
            if number:  # the first one warms up
                for name, training in zip(times, spent, strict=True):
                    times[name].append(sum(training.epochs))
    more = 100 * (times.ratio("zoo", "bare") - 1)
    what = f"LeNet-5 on MNIST, batch {SMALL_BATCH}: zoo's epochs over those of a bare loop"
    return at_most(what, ms(times.median("zoo")), ms(times.median("bare")), more, 10, "%")


def fresh() -> zoo.ZooModel:
    torch.manual_seed(0)
    return zoo.create("lenet5", num_classes=CLASSES)


def in_order(size: int) -> list[list[torch.Tensor]]:
    """The batches of each epoch as zoo draws them, so that both see the same pictures."""
    order, epochs = Order(size, SMALL_BATCH, seed=0), []
    for order.epoch in range(1, SMALL_EPOCHS + 1):
        epochs.append([part.indices for part in order.parts()])
    return epochs


def refuse_difference(ours: zoo.ZooModel, theirs: zoo.ZooModel) -> None:
    """Raise RuntimeError where two trainings were not the same."""
    pairs = zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
    if not GPU and not all(torch.equal(a, b) for a, b in pairs):
        raise RuntimeError("zoo and the bare loop end with different weights")


@contextmanager
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# --- memory --------------------------------------------------------------------------------------


def peak_memory() -> Row | Skipped:
    """Two processes: one that trains from layer4 on, one that trains everything."""
    what = "peak memory of training, frozen until `layer4`: against everything trained"
    if not GPU and not sys.platform.startswith("linux"):
        return Skipped(what, "the kernel's peak is read from /proc, which only Linux has")
    probe = "import sys; from benchmarks.finetuning import peak; print(peak(*sys.argv[1:]))"
    spent = [float(run([sys.executable, "-c", probe, *until])) for until in (["layer4"], [])]
    frozen, whole = (f"{size / 1e6:,.0f} MB" for size in spent)
    return at_most(what, frozen, whole, spent[0] / spent[1], 0.5)


def peak(until: str | None = None) -> int:
    """The most bytes that two steps need beyond what was there before: of the GPU, or of memory."""
    small = zoo.create("resnet18", num_classes=CLASSES)
    finetuned(small, Noise(2), epochs=1, val=False)  # thread pools and kernels are no part of it
    data = Noise(4 * BATCH)
    model = zoo.create("resnet50", num_classes=CLASSES)
    how: dict[str, Any] = {
        "epochs": 1,
        "batch_size": 2 * BATCH,
        "augment": False,
        "cache": False,
        "val": False,
    }
    if GPU:
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is from now on
    before = torch.cuda.memory_allocated() if GPU else resident("VmRSS")
    finetuned(model, data, freeze_until=until, **how)
    return (torch.cuda.max_memory_allocated() if GPU else resident("VmHWM")) - before


def resident(key: str) -> int:
    """Bytes of this process by the kernel: VmRSS now, VmHWM at most so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) * 1024


if __name__ == "__main__":
    show(measure())

"""Goes over every network of the installed timm, and writes what it finds to a page.

    python -m zoo_timm.coverage docs/timm.md

Without values, so that the largest is as quick as the smallest: that it builds, that its stages own
every tensor once and end with the layer that gives the scores, that pictures go through them, and,
for one network of each class and kind of chain, that they compute what `forward` does, operation by
operation. All after the line `MARK` is written anew.
"""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from zoo_core.chain import make_chain, run_stages
from zoo_core.errors import ZooError
from zoo_core.humanize import one_line
from zoo_core.types import Stage
from zoo_timm.chains import stages
from zoo_timm.networks import network

MARK = "## Coverage\n"
CLASSES = 7


@dataclass(frozen=True)
class Covered:
    """One network: its stages, or why it has none."""

    name: str
    module: str
    class_name: str
    stages: tuple[str, ...] = ()
    fault: str = ""


class Operations(TorchDispatchMode):
    """Notes each operation, with the shapes that it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[tuple[str, str]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        shape = str(tuple(out.shape)) if isinstance(out, Tensor) else ""
        self.noted.append((str(func), shape))
        return out


Pattern = tuple[type, frozenset[str]]  # a class, and the steps that it takes, whatever their number


def looked_at(name: str, module: str, compared: set[Pattern]) -> Covered:
    """One network, checked without values. `compared`: those whose operations are known."""
    from timm.models import get_pretrained_cfg

    cfg = get_pretrained_cfg(name)
    size = tuple(cfg.input_size) if cfg else (3, 224, 224)
    model: nn.Module | None = None
    try:
        with torch.device("meta"), torch.no_grad():
            model = network(name, num_classes=CLASSES).eval()
            chain = make_chain(stages(model), name)
            fault = _fault(model, chain, torch.zeros(2, *size), compared)
    except (ZooError, RuntimeError, ValueError, AssertionError, TypeError) as error:
        fault = one_line(error)[:200]
        return Covered(name, module, type(model).__name__ if model else "", (), fault)
    return Covered(name, module, type(model).__name__, tuple(chain), fault)


def _fault(model: nn.Module, chain: dict[str, Stage], x: Tensor, compared: set[Pattern]) -> str:
    """What does not hold, or nothing."""
    for name in dict.fromkeys([*model.state_dict(), *(n for n, _ in model.named_buffers())]):
        owners = [stage.name for stage in chain.values() if stage.has(name)]
        if len(owners) != 1:
            return f"{name} belongs to {' and '.join(owners) or 'no stage'}"
    layers = [part for n, part in model.named_modules() if chain["head"].has(n) and _has_own(part)]
    if not layers or not all(isinstance(part, nn.Linear | nn.Conv2d) for part in layers):
        return "the head owns more than the layers that give scores"
    pattern = type(model), _steps(chain)
    if pattern in compared:
        shape = tuple(run_stages(model, chain.values(), x).shape)
        return "" if shape == (len(x), CLASSES) else f"scores of shape {shape}"
    both = [_computed(forward, x) for forward in (model, _composed(model, chain))]
    if both[0] != both[1] and both[1] != _computed(model, x):  # a first pass may fill a cache
        return "the stages do something else than forward"
    compared.add(pattern)
    return ""


def _steps(chain: dict[str, Stage]) -> frozenset[str]:
    steps = [step for stage in chain.values() for step in stage.run]
    named = (step if isinstance(step, str) else f"@{step.__name__}" for step in steps)
    return frozenset(re.sub(r"\d+", "", name) for name in named)


def _has_own(part: nn.Module) -> bool:
    return next(part.parameters(recurse=False), None) is not None


def _composed(model: nn.Module, chain: dict[str, Stage]) -> Callable[[Tensor], Any]:
    return lambda x: run_stages(model, chain.values(), x)


def _computed(forward: Callable[[Tensor], Any], x: Tensor) -> Counter[tuple[str, str]]:
    """What is computed, apart from where tensors lie: several heads may be put side by side."""
    with Operations() as operations:
        forward(x)
    return Counter(one for one in operations.noted if one[0].split(".")[1] not in MOVES)


MOVES = (  # tensors to other places
    "alias cat clone contiguous detach select slice split split_with_sizes squeeze stack unbind "
    "unsqueeze _unsafe_view view t transpose"
).split()


# --- the page ------------------------------------------------------------------------------------


def page(networks: list[Covered]) -> str:
    """The generated part, as Markdown."""
    import timm

    passed = [covered for covered in networks if not covered.fault]
    share = len(passed) / len(networks)
    lines = [
        f"timm {timm.__version__} has {len(networks):,} networks. {len(passed):,} of them "
        f"({share:.1%}) build and keep the contract of stages; the others are below. A chain of "
        "one line stands for all networks of a class, which differ in how many stages they have.",
        "",
        "| module | networks | pass | class | stages |",
        "|---|---:|---:|---|---|",
        *_rows(networks),
        "",
        "### Exceptions",
        "",
        *_exceptions(networks),
    ]
    return "\n".join(lines) + "\n"


def _rows(networks: Iterable[Covered]) -> list[str]:
    groups: dict[tuple[str, str], list[Covered]] = {}
    for covered in networks:
        groups.setdefault((covered.module, covered.class_name), []).append(covered)
    rows = []
    for (module, class_name), group in sorted(groups.items()):
        chains = Counter(shown(covered.stages) for covered in group if not covered.fault)
        chain = chains.most_common(1)[0][0] if chains else "-"
        rows.append(f"| {module} | {len(group)} | {chains.total()} | {class_name} | {chain} |")
    return rows


def shown(names: tuple[str, ...]) -> str:
    """Names in a row, with those that are counted cut short.

    >>> shown(("stem", "block1", "block2", "block3", "block4", "head"))
    'stem, block1 … block4, head'
    """
    runs: list[list[str]] = []
    for name in names:
        stem = re.sub(r"\d+$", "", name)
        counted = runs and stem != name and re.sub(r"\d+$", "", runs[-1][-1]) == stem
        if counted:
            runs[-1].append(name)
        else:
            runs.append([name])
    return ", ".join(f"{run[0]} … {run[-1]}" if len(run) > 2 else ", ".join(run) for run in runs)


def _exceptions(networks: Iterable[Covered]) -> list[str]:
    faults: dict[str, list[str]] = {}
    for covered in networks:
        if covered.fault:
            faults.setdefault(covered.fault, []).append(f"`{covered.name}`")
    return [f"- {', '.join(names)}: {fault}" for fault, names in faults.items()]


def every() -> list[Covered]:
    """All networks of timm, module by module."""
    import timm
    from rich.console import Console
    from rich.progress import track

    listed = [
        (n, module) for module in timm.list_modules() for n in timm.list_models(module=module)
    ]
    compared: set[Pattern] = set()
    shown = track(listed, "timm", console=Console(stderr=True))
    return [looked_at(name, module, compared) for name, module in shown]


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/timm.md")
    start = time.perf_counter()
    networks = every()
    before = path.read_text(encoding="utf-8").partition(MARK)[0]
    path.write_text(f"{before}{MARK}\n{page(networks)}", encoding="utf-8")
    passed = sum(not covered.fault for covered in networks)
    print(f"{passed} of {len(networks)} pass; {time.perf_counter() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()

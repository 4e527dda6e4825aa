"""The maps inside of a model instead of its scores: what timm calls features_only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.chain import run_stages
from zoo_core.errors import ZooError
from zoo_core.humanize import one_line
from zoo_core.model.arguments import off_meta
from zoo_core.model.sizes import for_build
from zoo_core.model.summary import stage_rows
from zoo_core.plugins.catalogue import catalogue
from zoo_core.weights.part import KEEP_UNTIL

Indices = int | Sequence[int] | None

HINT = "out_indices: numbers of its maps, from 0, or how many of the last."

OF_SCORES = ("num_classes", "label_names", "classifier", "global_pool")
OF_FEATURES = ("feature_cls", "feature_cfg", "output_fmt")  # what timm's networks take besides


def forward_intermediates(
    self: Any,
    x: Tensor,
    indices: Indices = None,
    norm: bool = False,
    stop_early: bool = False,
    output_fmt: str = "NCHW",
    intermediates_only: bool = False,
) -> Any:
    """The last map and those that leave the stages before pooling, by the arguments of timm's.

    `indices`: all, the last so many, or which. `stop_early`: run no stage after the last of them.
    `intermediates_only`: the list alone. `norm` changes nothing: no stage has a norm of its own.
    """
    if output_fmt != "NCHW":
        raise ZooError(f"Maps of {self.info.name} are NCHW, and not {output_fmt!r}.")
    last = max(_numbers(indices), default=None) if stop_early else None
    maps: list[Tensor] = []
    for stage in self.chain.values():
        if stage.name in ("pool", "head") or (last is not None and len(maps) > last):
            break
        out = run_stages(self, [stage], x)
        if out.ndim != 4:
            break
        x = out
        maps.append(x)
    chosen = [maps[i] for i in taken(len(maps), _numbers(indices) if last else indices, self)]
    return chosen if intermediates_only else (x, chosen)


def _numbers(indices: Indices) -> Sequence[int]:
    """The numbers asked for, where no one of them is counted from the end."""
    if indices is None or isinstance(indices, int) or min(indices, default=-1) < 0:
        return ()
    return indices


def taken(count: int, indices: Indices, model: Any) -> list[int]:
    """The numbers of maps, of `count`, in their order. Raises ZooError for one that is not there.

    >>> taken(5, 2, None), taken(5, (0, -1), None)
    ([3, 4], [0, 4])
    """
    asked = count if indices is None else indices
    numbers = list(range(-asked, 0)) if type(asked) is int else _listed(asked)
    wrong = [n for n in numbers if type(n) is not int or not -count <= n < count]
    if wrong or not numbers:
        raise ZooError(
            f"{model.info.name} has {count} maps before its pooling, and no {asked!r} of them.",
            hint=f"out_indices: numbers from 0 to {count - 1}, or how many of the last."
            if count
            else "Only what gives maps (N, C, H, W) has such features.",
        )
    return sorted({n % count for n in numbers})


def _listed(asked: Any) -> list[Any]:
    """Numbers one by one; whatever is no list of them is one that is wrong."""
    return list(asked) if isinstance(asked, Sequence) and not isinstance(asked, str) else [asked]


class Features(nn.Module):
    """A model that gives a list of its maps; the stages after the last of them are gone.

    `feature_info`: channels, reduction and stage of each, as timm's networks of features have it.
    """

    def __init__(self, model: Any, out_indices: Indices = None) -> None:
        from timm.models import FeatureInfo

        super().__init__()
        rows = [row for row in stage_rows(model) if row["stage"] not in ("pool", "head")]
        rows = [row for row in rows if len(row["output"]) == 3]
        self.out_indices = tuple(taken(len(rows), out_indices, model))
        side = model.input.size[1]
        about = [
            {
                "num_chs": row["output"][0],
                "reduction": max(side // row["output"][1], 1),
                "module": row["stage"],
            }
            for row in rows
        ]
        self.feature_info = FeatureInfo(about, self.out_indices)
        self.model = model
        self._drop_after(rows[self.out_indices[-1]]["stage"])

    def _drop_after(self, last: str) -> None:
        stages = list(self.model.chain)
        for name in stages[stages.index(last) + 1 :]:
            for path in self.model.chain[name].owns:
                parent, _, member = path.rpartition(".")
                if isinstance(getattr(self.model.get_submodule(parent), member), nn.Module):
                    setattr(self.model.get_submodule(parent), member, nn.Identity())

    def forward(self, x: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.model.forward_intermediates(
            x, self.out_indices, stop_early=True, intermediates_only=True
        )
        return maps

    def __prepare_scriptable__(self) -> nn.Module:
        """What torch.jit.script makes of it: a trace, since stages may run functions of Python.

        It stays in the mode, and for pictures of the size, that the network has.
        """
        first = next(self.parameters())
        x = torch.zeros(2, *self.model.input.size, device=first.device, dtype=first.dtype)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            return _Traced(torch.jit.trace(self, x, strict=False, check_trace=False))


class _Traced(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.network(x)
        return maps


def features(model: Any, out_indices: Indices, how: Mapping[str, Any]) -> nn.Module:
    """The network of features of a model: its architecture's own way, or by its chain.

    It says of the pictures that it wants what the model says. Raises ZooError where there is none.
    """
    network = _network(model, out_indices, how)
    told = getattr(model, "pretrained_cfg", None)
    if isinstance(told, dict):
        cfg = {key: value for key, value in told.items() if key not in OF_SCORES}
        own = getattr(network, "pretrained_cfg", {})
        network.pretrained_cfg = network.default_cfg = {**own, **cfg}  # type: ignore[assignment]
    return network


def _network(model: Any, out_indices: Indices, how: Mapping[str, Any]) -> nn.Module:
    part = KEEP_UNTIL in model.origin.config
    if part:
        model.refuse_other_maps()
    architecture = catalogue().architecture(model.info)
    if part or architecture.features is None:
        if how:
            raise ZooError(f"{model.info.name} has no option {next(iter(how))!r} for features.")
        return Features(model, out_indices)
    given = dict(how) if out_indices is None else {**how, "out_indices": out_indices}
    config = {**model.info.config, **for_build(architecture, model.origin.config)}
    try:
        with off_meta():
            return architecture.features(model, config, given)
    except (RuntimeError, AssertionError, ValueError, TypeError, LookupError) as error:
        text = one_line(error).rstrip(".")
        raise ZooError(f"{model.info.name} gives no such features: {text}.", hint=HINT) from error

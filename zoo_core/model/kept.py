"""A network cut before one of its stages: what feeds that stage, a pooling and a new classifier."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from zoo_core.chain import before, run_stages
from zoo_core.errors import PluginError, ZooError, first_line
from zoo_core.model.boundaries import Pooling
from zoo_core.model.features import forward_intermediates
from zoo_core.model.kept_parts import DROP, HEAD, POOL, MeanPool
from zoo_core.transfer.eval_twin import in_eval_mode
from zoo_core.transfer.swap import Swapped, swap_class
from zoo_core.types import Stage


class Kept(Swapped):
    """What a network that was cut does: its stages, one after the other.

    `_dropped`: the stages that are gone. `_channels`: of its pictures. `_maps`: whether it was cut
    where maps (N, C, H, W) are.
    """

    _kept: tuple[Stage, ...] = ()
    _dropped: tuple[str, ...] = ()
    _channels: int = 0
    _maps: bool = False
    # timm's forward_features stays as it is: it is a step of some networks' stages
    _same_everywhere: ClassVar[tuple[str, ...]] = (
        "forward_intermediates",
        "get_classifier",
        "reset_classifier",
    )
    __jit_ignored_attributes__: ClassVar = ["_kept", "_dropped", "_channels", "_maps"]

    def forward(self, x: Tensor) -> Tensor:
        return run_stages(self, self._kept, x)

    def forward_intermediates(self, x: Tensor, *arguments: Any, **named: Any) -> Any:
        """As timm's: the last map, and those that leave the stages. Raises ZooError for no maps."""
        self.refuse_other_maps()
        return forward_intermediates(self, x, *arguments, **named)

    def refuse_other_maps(self) -> None:
        """Raise ZooError where the network was not cut at maps (N, C, H, W)."""
        if not self._maps:
            raise ZooError(
                "What this model keeps does not end with maps (N, C, H, W): it has no such "
                "features.",
                hint="forward_until(pictures, stage) gives what enters a stage.",
            )

    def refuse_what_is_gone(self, until: str, size: tuple[int, int, int]) -> None:
        """Raise PluginError where what was kept needs what was not. `size`: of its pictures."""
        like = next((p for p in self.parameters() if p.is_floating_point()), torch.empty(0))
        try:
            with torch.no_grad(), like.device:
                run_stages(in_eval_mode(self), self._kept, torch.zeros(1, *size, dtype=like.dtype))
        except Exception as error:  # whatever its code says that misses something
            raise PluginError(
                f'{type(self).__name__} cannot be cut before "{until}": what is before '
                f"needs what is behind: {first_line(error)}.",
            ) from error

    def get_classifier(self) -> nn.Module:
        return self.get_submodule(HEAD)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> Self:
        """timm's name for `reset_head`; the pooling stays."""
        if global_pool is not None:
            raise ZooError("What keep_until keeps is pooled by its mean, and not otherwise.")
        self.reset_head(num_classes)  # type: ignore[operator]
        return self


# --- cutting -------------------------------------------------------------------------------------


def cut(
    module: nn.Module,
    chain: Mapping[str, Stage],
    until: str,
    pooling: Pooling,
    classes: int,
    drop_rate: float,
) -> Kept:
    """Take everything from the stage `until` on off the module, and put pooling and head there."""
    kept = before(chain, until)
    dropped = list(chain)[len(kept) :]
    _drop(module, "", _paths(kept), _paths(chain[name] for name in dropped))
    last = [HEAD]
    if drop_rate:
        setattr(module, DROP, nn.Dropout(drop_rate))
        last = [DROP, HEAD]
    if pooling.axes:
        setattr(module, POOL, MeanPool(pooling.axes, pooling.skip))
        if any(stage.name == "pool" for stage in kept):
            last = [POOL, *last]
        else:
            kept = [*kept, Stage("pool", run=(POOL,))]
    setattr(module, HEAD, nn.Linear(pooling.width, classes))
    swap_class(module, Kept)
    assert isinstance(module, Kept)
    module._kept = (*kept, Stage("head", run=tuple(last), owns=(HEAD,)))
    names = {stage.name for stage in module._kept}
    module._maps = pooling.axes == (2, 3)
    module._dropped = tuple(name for name in dropped if name not in names)
    for name in ("num_features", "head_hidden_size"):  # its own record, which timm's tools read
        if isinstance(vars(module).get(name), int):
            setattr(module, name, pooling.width)
    return module.train(module.training)


def _paths(stages: Iterable[Stage]) -> list[str]:
    return [p for stage in stages for p in (*stage.owns, *stage.run) if isinstance(p, str)]


def _drop(module: nn.Module, prefix: str, kept: list[str], dropped: list[str]) -> None:
    """Remove what is at or under a dropped path and not of a kept one, and what that empties."""
    for name in list(_members(module)):
        path = f"{prefix}{name}"
        if any(_within(path, other) for other in kept):
            continue
        goes = any(_within(path, other) for other in dropped)
        if any(_within(other, path) for other in (*kept, *(() if goes else dropped))):
            part = getattr(module, name)
            _drop(part, f"{path}.", kept, [*dropped, path] if goes else dropped)
            goes = next(_members(part), None) is None
        if goes:
            delattr(module, name)


def _members(module: nn.Module) -> Iterator[str]:
    yield from module._modules
    yield from module._parameters
    yield from module._buffers


def _within(path: str, other: str) -> bool:
    """Whether a path is another one, or below it."""
    return path == other or path.startswith(f"{other}.")

"""What a run must hold: what is not in the weights that it stands on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from zoo_core.model.plan import architecture_of
from zoo_core.model.zoo_model import ZooModel
from zoo_core.weights.channels import channels_in, with_channels
from zoo_core.weights.checkpoint import Checkpoint
from zoo_core.weights.local import LocalBase, local_base
from zoo_core.weights.pretrained import checkpoint_of
from zoo_core.weights.run_checkpoint import at_path
from zoo_core.weights.tensors import COUNTER, with_ties

# Above this share of the whole, what is on this machine is looked at for a base that leaves less.
MUCH = 0.5


@dataclass(frozen=True)
class Held:
    """The tensors that a run holds, and where all others are.

    `local`: the base on this machine, if the others are there; else they are in the pinned weights
    that the model came from, or there are none.
    """

    names: tuple[str, ...]
    local: LocalBase | None = None


def held_by_run(model: ZooModel, moved: Iterable[str], folder: Path) -> Held:
    """All that training can change, or that is not as in the weights that the run stands on.

    `moved`: what training can change, at any time. `folder`: of the run. It stands on what others
    can get, else on what is on this machine where that leaves less; not on what is in the system's
    folder for temporary files, unless the run is there too.
    """
    state, changes = model.state_dict(), set(moved)
    origin = model.origin

    def apart(base: Mapping[str, Tensor]) -> tuple[str, ...]:
        return tuple(n for n, t in state.items() if n in changes or not _same(t, base.get(n)))

    def share(names: Iterable[str]) -> float:
        return sum(state[n].nbytes for n in names) / sum(t.nbytes for t in state.values())

    names = tuple(state)
    if origin.weights is not None and origin.sha256 is not None:
        names = apart(_as_loaded(model, checkpoint_of(model.info, origin.weights)))
    local = local_base(model.loaded_from) if model.loaded_from is not None else None
    if share(names) < MUCH or local is None or _passes_before(local.path, folder):
        return Held(names)
    fewer = apart(_as_loaded(model, at_path(model.info, local.path)))
    return Held(fewer, local) if share(fewer) < share(names) else Held(names)


def _passes_before(base: Path, folder: Path) -> bool:
    temporary = Path(tempfile.gettempdir()).resolve()
    inside = [path.resolve().is_relative_to(temporary) for path in (base, folder)]
    return inside == [True, False]


def _as_loaded(model: ZooModel, checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The tensors of a checkpoint as create() would give them to such a model."""
    architecture = architecture_of(model.info, model.origin.config)
    tensors = checkpoint.tensors(architecture, model, "cpu")
    first = next(stage for stage in model.chain.values() if stage.owns)
    ours = model.origin.in_chans
    theirs = channels_in(tensors, model, first) or checkpoint.input.size[0]
    fit = with_channels(with_ties(tensors, model), model, first, (theirs, ours))
    dtype = getattr(torch, checkpoint.dtype or "float32")
    fit = {n: t.to(dtype) if t.is_floating_point() else t for n, t in fit.items()}
    counters = [name for name in model.state_dict() if name.endswith(COUNTER)]
    return {**{name: torch.tensor(0) for name in counters}, **fit}


def _same(ours: Tensor, theirs: Tensor | None) -> bool:
    return (
        theirs is not None
        and ours.shape == theirs.shape
        and torch.equal(ours.cpu(), theirs.to(ours.dtype))
    )

"""A run as a checkpoint: what its recipe says of the model, and its best weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from zoo_core.errors import HashMismatch, PluginError, UnknownName, WeightsError, ZooError
from zoo_core.plugins.catalogue import catalogue
from zoo_core.plugins.known import how_to_get
from zoo_core.runs.recipe import BEST, RECIPE, read_recipe
from zoo_core.runs.sealed import seals
from zoo_core.terminal.lines import logger
from zoo_core.types import Architecture, ModelInfo
from zoo_core.weights.channels import channels_in, with_channels
from zoo_core.weights.checkpoint import Checkpoint
from zoo_core.weights.demanded import demanded_of, vouched_for
from zoo_core.weights.hashes import sha256_of
from zoo_core.weights.local import found
from zoo_core.weights.part import read_as
from zoo_core.weights.pretrained import chosen_checkpoint
from zoo_core.weights.published import CONFIG
from zoo_core.weights.run_model import RunModel, check_options, check_weights, model_of
from zoo_core.weights.run_trained import surely_trained
from zoo_core.weights.tensors import read_tensors

if TYPE_CHECKING:
    from torch import Tensor, nn

    from zoo_core.data.trained_on import TrainedOn

DEEPEST = 8  # runs on runs; a longer chain is a loop

log = logger(__name__)


@dataclass(frozen=True, kw_only=True)
class RunCheckpoint(Checkpoint):
    """The best weights of a run: a delta on what it was tuned from, where that is still to be had.

    `below`: whether another network stands on it, which may have other classes, channels or sizes.
    `seals`: the sha256s that its file may have, None where an older zoo kept none; `recipe`: whole.
    """

    model: ModelInfo
    arguments: Mapping[str, Any]
    seals: tuple[str, ...] | None
    recipe: Mapping[str, Any]
    classes: int
    in_chans: int
    below: bool = False

    @property
    def dtype(self) -> str | None:
        return self.base.dtype if self.base else None

    def at_another_size(self) -> RunCheckpoint:
        return replace(self, below=True)

    @property
    def stands_on(self) -> tuple[str | None, str | None]:
        """A file on this machine, of which no sha256 is known, is nothing for others."""
        weights, sha256 = self.base.stands_on if self.base else (None, None)
        return (weights, sha256) if sha256 else (None, None)

    @property
    def trained_on(self) -> TrainedOn | None:
        from zoo_core.data.trained_on import read_trained_on

        return read_trained_on(self.path.parent)

    def config(self, architecture: Architecture) -> dict[str, Any]:
        below = self.base.config(architecture) if self.base else {}
        return {**below, **self.arguments}

    def tensors(
        self, architecture: Architecture, model: nn.Module, device: str
    ) -> dict[str, Tensor]:
        arguments = self.config(architecture)
        architecture, model = read_as(architecture, model, arguments, self.classes, self.in_chans)
        own = read_tensors(self.path, device)
        self._check(own, model, architecture)
        whole = own if self.base is None else self._with_base(own, architecture, model, device)
        if self.below and architecture.adapt is not None:
            state = model.state_dict()
            if any(n in state and t.shape != state[n].shape for n, t in own.items()):
                return architecture.adapt(whole, model)  # such as positions, of another size
        return whole

    def _with_base(
        self, own: Mapping[str, Tensor], architecture: Architecture, model: nn.Module, device: str
    ) -> dict[str, Tensor]:
        assert self.base is not None
        below = self.base.tensors(architecture, model, device)
        first = next(stage for stage in architecture.stages(model) if stage.owns)
        theirs = channels_in(below, model, first) or self.base.input.size[0]
        rest = {name: tensor for name, tensor in below.items() if name not in own}
        return {**with_channels(rest, model, first, (theirs, self.in_chans)), **own}

    def _check(
        self, own: Mapping[str, Tensor], model: nn.Module, architecture: Architecture
    ) -> None:
        """Raise WeightsError where these are not the tensors that the run trained."""
        state = model.state_dict()
        unlike = [n for n, t in own.items() if n not in state or not _is_like(t, state[n])]
        wrong = [] if self.below else unlike
        wrong += [name for name in state if self.base is None and name not in own]
        if self.seals is None and not wrong:
            trained = surely_trained(self.recipe, model, architecture.stages(model))
            wrong = [name for name in trained if name not in own]
        if wrong or not own:
            told = ", ".join(wrong[:3]) or "it holds no tensor"
            raise WeightsError(f"{self.path} does not fit its recipe: {told}.")
        if self.seals is None:
            log.warning("%s is of an older zoo: nothing says which bytes it had.", self.path.parent)
        elif (digest := sha256_of(self.path)) not in self.seals:
            wanted = " or ".join(self.seals) or "any"
            raise HashMismatch(
                f"{self.path} has sha256 {digest}, and its run wrote {wanted}.",
                hint="It is damaged, or of another run: put its own back; a run that was stopped "
                f"writes it anew (zoo finetune --resume {self.path.parent}).",
            )


def _is_like(tensor: Tensor, wanted: Tensor) -> bool:
    """Whether a tensor has the shape of the model's, and its numbers can be taken as they are."""
    floats = tensor.is_floating_point() or wanted.is_floating_point()  # told apart later on
    return tensor.shape == wanted.shape and (floats or tensor.dtype == wanted.dtype)


def of_run(folder: Path, depth: int = 0) -> RunCheckpoint:
    """The checkpoint of a run: a delta where its recipe names weights, else whole.

    Raises RecipeError, WeightsError, and PluginError where the plugin of its model is not here.
    """
    demanded_of(f"file:{folder}")
    recipe = read_recipe(folder)
    if not (folder / BEST).exists():
        raise WeightsError(
            f"{folder} has no {BEST}: the run was stopped before its first epoch ended."
        )
    facts = model_of(recipe["model"], folder)
    try:
        model = catalogue().find(facts.reference).model
    except UnknownName as error:
        raise without_plugin(recipe["model"], folder, error) from error
    check_options(facts, model, folder)
    with vouched_for(facts.base is not None or facts.sha256 is not None):
        base = _base(model, facts, folder, depth)
    checkpoint = RunCheckpoint(
        reference=f"file:{folder.absolute()}",
        path=folder / BEST,
        sha256=None,
        in_chans=facts.in_chans,
        input=facts.spec,
        classes=facts.num_classes,
        labels=facts.labels or None,
        multilabel=facts.multilabel,
        base=base,
        model=model,
        arguments=facts.config,
        seals=_seals(recipe, folder),
        recipe=recipe,
        local=f"file:{folder.absolute()}",
    )
    _check_base(checkpoint, facts.sha256, folder)
    return checkpoint


def _seals(recipe: Mapping[str, Any], folder: Path) -> tuple[str, ...] | None:
    """The sha256s that the best weights may have: of a finished run one, else those noted last."""
    told = recipe.get("best")
    return seals(folder, BEST) if told is None else (str(told.get("sha256")),)


def at_path(model: ModelInfo, path: Path, depth: int = 0) -> Checkpoint:
    """The checkpoint of what is on this machine: a run, an exported folder, or a file."""
    if (path / RECIPE).exists() and not (path / CONFIG).exists():
        return replace(of_run(path, depth), below=True)
    checkpoint = chosen_checkpoint(model, None, path)
    assert checkpoint is not None
    return checkpoint


def _base(model: ModelInfo, facts: RunModel, folder: Path, depth: int) -> Checkpoint | None:
    if facts.base is not None:
        if depth >= DEEPEST:
            raise WeightsError(f"{folder} stands on a run on a run on …, more than {DEEPEST} deep.")
        return at_path(model, found(msgspec.structs.asdict(facts.base), folder), depth + 1)
    check_weights(facts, model, folder)
    return chosen_checkpoint(model, None, facts.weights or False)


def without_plugin(facts: Mapping[str, Any], folder: Path, error: UnknownName) -> ZooError:
    """The error for a run whose model is unknown: its plugin may be gone. `facts`: [model]."""
    distribution, _, its_version = str(facts.get("plugin", "")).partition(" ")
    if not distribution:
        return error
    return PluginError(
        f'{folder} is a run of "{facts["reference"]}" of {distribution} {its_version}, '
        "which is not installed here.",
        hint=how_to_get(str(facts["reference"]), distribution),
    )


def _check_base(checkpoint: RunCheckpoint, expected: str | None, folder: Path) -> None:
    weights, sha256 = checkpoint.stands_on
    if expected is not None and sha256 != expected:
        raise WeightsError(
            f"{folder} stands on weights with sha256 {expected}, and "
            f"{catalogue().bare(checkpoint.model)}.{weights} now has {sha256}.",
            hint="Install the version of zoo that the recipe names.",
        )

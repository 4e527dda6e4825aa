"""A run as a checkpoint: what its recipe says of the model, and its best weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_core.errors import PluginError, RecipeError, UnknownName, WeightsError, ZooError
from zoo_core.plugins.catalogue import catalogue
from zoo_core.plugins.known import how_to_get
from zoo_core.runs.recipe import BEST, RECIPE, read_recipe
from zoo_core.types import Architecture, InputSpec, ModelInfo
from zoo_core.weights.channels import channels_in, with_channels
from zoo_core.weights.checkpoint import Checkpoint
from zoo_core.weights.local import found
from zoo_core.weights.pretrained import chosen_checkpoint
from zoo_core.weights.published import CONFIG
from zoo_core.weights.tensors import read_tensors

if TYPE_CHECKING:
    from torch import Tensor, nn

    from zoo_core.data.trained_on import TrainedOn


@dataclass(frozen=True, kw_only=True)
class RunCheckpoint(Checkpoint):
    """The best weights of a run: a delta on what it was tuned from, where that is still to be had.

    `below`: whether it is the base of another run, which may have other classes or channels.
    """

    model: ModelInfo
    arguments: Mapping[str, Any]
    classes: int
    in_chans: int
    below: bool = False

    @property
    def dtype(self) -> str | None:
        return self.base.dtype if self.base else None

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
        own = read_tensors(self.path, device)
        self._check(own, model)
        if self.base is None:
            return own
        below = self.base.tensors(architecture, model, device)
        first = next(stage for stage in architecture.stages(model) if stage.owns)
        theirs = channels_in(below, model, first) or self.base.input.size[0]
        rest = {name: tensor for name, tensor in below.items() if name not in own}
        return {**with_channels(rest, model, first, (theirs, self.in_chans)), **own}

    def _check(self, own: Mapping[str, Tensor], model: nn.Module) -> None:
        state = model.state_dict()
        unlike = [n for n, t in own.items() if n not in state or state[n].shape != t.shape]
        wrong = [] if self.below else unlike
        wrong += [name for name in state if self.base is None and name not in own]
        if wrong:
            raise WeightsError(f"{self.path} does not fit its recipe: {', '.join(wrong[:3])}.")


def of_run(folder: Path) -> RunCheckpoint:
    """The checkpoint of a run: a delta where its recipe names weights, else whole.

    Raises RecipeError, WeightsError, and PluginError where the plugin of its model is not here.
    """
    facts = read_recipe(folder)["model"]
    if not (folder / BEST).exists():
        raise WeightsError(
            f"{folder} has no {BEST}: the run was stopped before its first epoch ended."
        )
    try:
        model = catalogue().find(facts["reference"]).model
        base = _base(model, facts, folder)
        labels = facts.get("labels")
        checkpoint = RunCheckpoint(
            reference=f"file:{folder.absolute()}",
            path=folder / BEST,
            sha256=None,
            in_chans=facts["in_chans"],
            input=_input(facts["input"]),
            classes=facts["num_classes"],
            labels=tuple(labels) if labels else None,
            multilabel=bool(facts.get("multilabel", False)),
            base=base,
            model=model,
            arguments=dict(facts.get("config", {})),
            local=f"file:{folder.absolute()}",
        )
    except UnknownName as error:
        raise without_plugin(facts, folder, error) from error
    except (KeyError, TypeError) as error:
        raise RecipeError(f"{folder / RECIPE} lacks something in [model]: {error}.") from error
    _check_base(checkpoint, facts.get("sha256"), folder)
    return checkpoint


def at_path(model: ModelInfo, path: Path) -> Checkpoint:
    """The checkpoint of what is on this machine: a run, an exported folder, or a file."""
    if (path / RECIPE).exists() and not (path / CONFIG).exists():
        return replace(of_run(path), below=True)
    checkpoint = chosen_checkpoint(model, None, path)
    assert checkpoint is not None
    return checkpoint


def _base(model: ModelInfo, facts: Mapping[str, Any], folder: Path) -> Checkpoint | None:
    if "base" in facts:
        return at_path(model, found(facts["base"], folder))
    return chosen_checkpoint(model, None, facts.get("weights", False))


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


def _input(table: Mapping[str, Any]) -> InputSpec:
    fields: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in table.items()
    }
    return InputSpec(**fields)


def _check_base(checkpoint: RunCheckpoint, expected: str | None, folder: Path) -> None:
    weights, sha256 = checkpoint.stands_on
    if expected is not None and sha256 != expected:
        raise WeightsError(
            f"{folder} stands on weights with sha256 {expected}, and "
            f"{catalogue().bare(checkpoint.model)}.{weights} now has {sha256}.",
            hint="Install the version of zoo that the recipe names.",
        )

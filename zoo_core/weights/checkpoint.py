"""A checkpoint: tensors from somewhere, and what they were trained for.

create() fits it into a model. Three kinds: a file (a manifest's weights, or a path), a published
model (a repository or an exported folder with a config.json) that is whole, and one that is a delta
on another checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo_core.errors import PluginError, RecipeError, UnknownName, WeightsError, ZooError
from zoo_core.model.zoo_model import ZooModel
from zoo_core.plugins.catalogue import catalogue
from zoo_core.plugins.known import how_to_get
from zoo_core.runs.recipe import BEST, RECIPE, read_recipe
from zoo_core.types import Architecture, InputSpec, ModelInfo, WeightsInfo
from zoo_core.weights.config_json import read_config
from zoo_core.weights.hashes import remembered_digest, tensor_digest
from zoo_core.weights.labels import label_names
from zoo_core.weights.lock import pin_of
from zoo_core.weights.pickles import PICKLES
from zoo_core.weights.published import CONFIG, Base, Saved
from zoo_core.weights.sources import local_file, split_reference, verified_file
from zoo_core.weights.tensors import read_tensors

if TYPE_CHECKING:
    from torch import Tensor, nn

DEEPEST = 8  # deltas on deltas; a longer chain is a loop, or should be pushed whole


@dataclass(frozen=True)
class Checkpoint:
    """Where tensors come from, and what they fit. `files`: the sha256 of every file behind them.

    `reference`: what `pretrained` would be to get them again. `classes`: None where only the
    tensors themselves tell. `base`: the checkpoint that a delta stands on.
    """

    reference: str
    path: Path
    sha256: str | None
    input: InputSpec
    classes: int | None = None
    labels: tuple[str, ...] | None = None
    license: str | None = None
    saved: Saved | None = None
    base: Checkpoint | None = None
    pinned: str | None = None

    @property
    def files(self) -> tuple[str, ...]:
        own = (self.sha256,) if self.sha256 else ()
        return own if self.base is None else (*self.base.files, *own)

    def tensors(
        self, architecture: Architecture, model: nn.Module, device: str
    ) -> dict[str, Tensor]:
        """All tensors by name, in the layout of `model`; on CPU mapped from their files.

        Raises WeightsError where a file is broken, or the base is not the one that was named.
        """
        own = read_tensors(self.path, device)
        if self.base is None:
            return own if architecture.adapt is None else architecture.adapt(own, model)
        assert self.saved is not None and self.saved.base is not None
        below = self.base.tensors(architecture, model, device)
        _check_base(below, self.base, self.saved.base, self.reference)
        kept = {n: t for n, t in below.items() if n not in self.saved.base.dropped}
        return {**kept, **own}


def of_weights(weights: WeightsInfo) -> Checkpoint:
    """The checkpoint of a manifest's weights, or of a reference to a file: fetched and verified."""
    fetched = local_file(weights)
    own_file = weights.sha256 is None and split_reference(weights.source)[0] == "file"
    names = label_names(weights.labels, None)
    return Checkpoint(
        reference=weights.tag or fetched.pinned or weights.source,
        path=fetched.path,
        sha256=None if own_file else fetched.sha256,  # a file of one's own may change at any time
        input=weights.input,
        classes=len(names) if weights.num_classes is None and names else weights.num_classes,
        labels=names,
        license=weights.license,
        pinned=fetched.pinned,
    )


def of_repository(reference: str, depth: int = 0) -> Checkpoint:
    """The checkpoint of a published model: `hf://owner/repository[@revision]`, or `file:FOLDER`.

    Raises WeightsError for a config.json that is none, and as `local_file` for each file.
    """
    pin = pin_of(reference)
    config = verified_file(pin.pinned if pin else reference, CONFIG)
    saved = read_config(config.path, reference)
    pinned = config.pinned or reference
    tensors = verified_file(pinned, saved.file, pin.sha256 if pin else saved.sha256)
    base = _base(saved.base, reference, depth) if saved.format == "delta" and saved.base else None
    return Checkpoint(
        reference=pinned,
        path=tensors.path,
        sha256=tensors.sha256,
        input=saved.spec,
        classes=saved.num_classes,
        labels=saved.labels,
        license=saved.license,
        saved=saved,
        base=base,
    )


def names_file(reference: str) -> bool:
    """Whether a reference means a file of weights; otherwise it means a published model."""
    suffix = PurePosixPath(reference.partition("@")[2].partition("/")[2] or reference).suffix
    return suffix.lower() in (".safetensors", *PICKLES)


def published_model(saved: Saved, reference: str) -> ModelInfo:
    """The installed model that a config.json names. Raises PluginError with what to install."""
    of_timm = saved.distribution == "timm"
    for name in [saved.model, f"timm/{saved.model}"] if of_timm else [saved.model]:
        try:
            found = catalogue().find(name).model
        except UnknownName as error:
            missing = error
        else:
            if found.official or not of_timm or name != saved.model:
                return found
    raise PluginError(
        f'{reference} is a "{saved.model}" of {saved.distribution} {saved.version}, which is not '
        "installed here.".replace("  ", " "),
        hint=how_to_get(saved.model, saved.distribution),
    ) from missing


def _base(base: Base, reference: str, depth: int) -> Checkpoint:
    if depth >= DEEPEST:
        raise WeightsError(f"{reference} is a delta on a delta on …, more than {DEEPEST} deep.")
    if "://" in base.name:
        _same_place(base.name, reference)
        if names_file(base.name):
            below = of_weights(WeightsInfo(tag="", source=base.name, sha256=base.sha256))
        else:
            below = of_repository(base.name, depth + 1)
    else:
        named = catalogue().find(base.name)
        if named.weights is None:
            raise WeightsError(f"{reference} stands on {base.name!r:.80}, which names no weights.")
        below = of_weights(replace(named.weights, sha256=base.sha256))
    if below.sha256 != base.sha256:
        expected = f"{base.name} with sha256 {base.sha256}"
        raise WeightsError(f"{reference} stands on {expected}; it now has {below.sha256}.")
    return below


def _same_place(base: str, reference: str) -> None:
    """A config.json may lead to another repository of its own source, and to nothing else."""
    scheme = split_reference(base)[0]
    published = split_reference(reference)[0]
    if catalogue().publisher(scheme) is None or published not in (scheme, "file"):
        raise WeightsError(f"{reference} stands on {base!r:.80}, which a config.json may not name.")


def _check_base(
    tensors: Mapping[str, Tensor], found: Checkpoint, wanted: Base, reference: str
) -> None:
    digest = remembered_digest(found.files, lambda: tensor_digest(tensors))
    if digest != wanted.digest:
        expected = f"{wanted.name} with the digest {wanted.digest[:16]}…"
        raise WeightsError(
            f"{reference} stands on {expected}, and what is here has {digest[:16]}….",
            hint="It was made with another version of zoo, or of the plugin: see its card.",
        )


def published_files(saved: Saved) -> tuple[str, ...]:
    """The files of a published model that create() needs."""
    return (CONFIG, saved.file)


def without_plugin(told: Mapping[str, Any], where: Path, error: UnknownName) -> ZooError:
    """The error for a run whose model is unknown: its plugin may be gone. `told`: its [model]."""
    distribution, _, its_version = str(told.get("plugin", "")).partition(" ")
    if not distribution:
        return error
    return PluginError(
        f'{where} is a run of "{told["reference"]}" of {distribution} {its_version}, which is not '
        "installed here.",
        hint=how_to_get(str(told["reference"]), distribution),
    )


def load_run(folder: Path) -> ZooModel:
    """The model of a run, with its best weights. Raises RecipeError, WeightsError."""
    from zoo_core.model.create import create

    recipe = read_recipe(folder)["model"]
    if not (folder / BEST).exists():
        raise WeightsError(
            f"{folder} has no {BEST}: the run was stopped before its first epoch ended."
        )
    try:
        model = create(
            recipe["reference"],
            pretrained=recipe.get("weights", False),
            in_chans=recipe["in_chans"],
            **recipe.get("config", {}),
        )
        given: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in recipe["input"].items()
        }
        spec = InputSpec(**given)
        count, labels = recipe["num_classes"], recipe.get("labels")
    except UnknownName as error:
        raise without_plugin(recipe, folder, error) from error
    except (KeyError, TypeError) as error:
        raise RecipeError(f"{folder / RECIPE} lacks something in [model]: {error}.") from error
    _same_base(model, recipe.get("sha256"), folder)
    if count != model.num_outputs:
        model.reset_head(count)
    model.labels, model.input = (tuple(labels) if labels else None), spec
    model.origin = replace(model.origin, new_head=False, trained=True)
    _put(model, read_tensors(folder / BEST), folder, complete="weights" not in recipe)
    return model


def _same_base(model: ZooModel, expected: str | None, folder: Path) -> None:
    if expected is not None and model.origin.sha256 != expected:
        raise WeightsError(
            f"{folder} stands on weights with sha256 {expected}, and {model.origin.reference}."
            f"{model.origin.weights} now has {model.origin.sha256}.",
            hint="Install the version of zoo that the recipe names.",
        )


@torch.no_grad()
def _put(model: ZooModel, tensors: Mapping[str, Tensor], folder: Path, *, complete: bool) -> None:
    state = model.state_dict()
    wrong = [n for n, t in tensors.items() if n not in state or state[n].shape != t.shape]
    wrong += [name for name in state if complete and name not in tensors]
    if wrong:
        raise WeightsError(f"{folder / BEST} does not fit its recipe: {', '.join(wrong[:3])}.")
    for name, tensor in tensors.items():
        state[name].copy_(tensor)

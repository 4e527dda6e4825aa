"""push(): a model as a repository, whole or only as what differs from its base; and as a folder.

What is pushed is first staged as a folder, loaded again from there, and compared: a push whose
weights do not come back bit for bit does not happen.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import tomli_w
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from zoo_core import card
from zoo_core.catalogue import catalogue
from zoo_core.chain import owner
from zoo_core.checkpoint import Checkpoint
from zoo_core.digest import remembered_digest, tensor_digest
from zoo_core.errors import PublishError, WeightsError
from zoo_core.model import ZooModel
from zoo_core.runs import RECIPE, Run, read_recipe, without_none
from zoo_core.saved import CONFIG, FILES, SCHEMA, Base, Saved, saved_input
from zoo_core.stamps import read_sha256
from zoo_core.types import Pushed, Upload, WeightSource
from zoo_core.weights import split_reference

# Below this share of the whole, what differs is worth a delta that needs its base to load.
WORTHWHILE = 0.5
Delta = bool | Literal["auto"]


@dataclass(frozen=True)
class Staged:
    """A model as files in a folder, checked. `files`: all but the card, by name."""

    folder: Path
    saved: Saved
    files: Mapping[str, Path]
    card: Callable[[str | None, str], str]  # from the card that is there, and the reference


def push(
    model: Run | ZooModel | str | Path,
    repository: str,
    *,
    delta: Delta = "auto",
    create_pr: bool = False,
    private: bool = False,
    dry_run: bool = False,
    license: str | None = None,
    message: str | None = None,
) -> Pushed:
    """Publish a model, a run or a run's folder as `OWNER/NAME`, in one commit with a tag.

    `delta`: "auto" pushes only the tensors that differ from the weights it was tuned from, where
    those can be had by everybody and the difference is less than half; True insists, False pushes
    everything (which timm and transformers can load, where the network is timm's). `create_pr`: as
    a pull request. `private`: for a repository that is new. `dry_run`: stage, check and show, and
    change nothing. `license`: for weights that were trained from scratch; tuned ones keep that of
    their base.

    Raises PublishError where it must not or cannot happen; nothing is then half pushed.

        >> run = zoo.finetune("resnet50", "folder:flowers", freeze_until="head")
        >> zoo.push(run, "me/flowers-resnet50").url
    """
    subject, recipe = _subject(model)
    source, name = _destination(repository)
    with tempfile.TemporaryDirectory(prefix="zoo-push-") as folder:
        staged = stage(subject, Path(folder), delta=delta, recipe=recipe, license=license)
        upload = Upload(
            files=staged.files,
            card=lambda old: staged.card(old, f"{source.scheme}://{name}"),
            message=message or f"{subject.info.name}, {staged.saved.format}, by zoo",
            obsolete=tuple({*FILES.values(), RECIPE} - set(staged.files)),
        )
        assert source.push is not None
        how = {"private": private, "create_pr": create_pr, "dry_run": dry_run}
        done = source.push(name, upload, **how)
        return replace(done, sha256={staged.saved.file: str(staged.saved.sha256)})


def save_pretrained(model: ZooModel, folder: str | Path, *, delta: Delta = False) -> Path:
    """Write a model to a folder as `push` would publish it; `zoo.create(Path(folder))` loads it.

    Raises PublishError where the folder cannot be written.
    """
    path = Path(folder).expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path, prefix=".zoo-") as aside:
            staged = stage(model, Path(aside), delta=delta, recipe=None, license=None)
            for name, file in staged.files.items():
                file.replace(path / name)
            (path / "README.md").write_text(staged.card(None, f"./{path.name}"), encoding="utf-8")
    except OSError as error:
        raise PublishError(f"{path} cannot be written: {error.strerror or error}.") from error
    for name in {*FILES.values()} - set(staged.files):
        (path / name).unlink(missing_ok=True)
    return path


def stage(
    model: ZooModel,
    folder: Path,
    *,
    delta: Delta,
    recipe: Mapping[str, Any] | None,
    license: str | None,
) -> Staged:
    """Write a model's files to a folder, load them again, and compare. Raises PublishError."""
    below = _base_of(model)
    state = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    moved, dropped = _difference(state, below.tensors if below else {})
    as_delta = _decided(delta, below, state, moved)
    saved = _saved(model, as_delta, below, dropped, _inherited(below, license))
    names = moved if as_delta else list(state)
    _write_tensors({name: state[name] for name in names}, folder / saved.file)
    saved = msgspec.structs.replace(saved, sha256=read_sha256(folder / saved.file))
    timm = timm_name(model)
    _write_config(model, saved, timm if not as_delta else None, folder / CONFIG)
    files = {name: folder / name for name in (saved.file, CONFIG)}
    if recipe is not None:
        files[RECIPE] = folder / RECIPE
        files[RECIPE].write_text(tomli_w.dumps(without_none(recipe)), encoding="utf-8")
    _check_round_trip(model, state, folder)
    stages = _stage_rows(model, set(moved))
    parent = _repository_of(below.checkpoint.reference) if below else None

    def make_card(old: str | None, reference: str) -> str:
        title = reference.rpartition("/")[2]
        own = reference.partition("://")[2]
        told = dict(recipe or {})
        data = str(told.get("data", {}).get("spec", ""))
        facts = card.metadata(
            saved,
            title,
            told.get("result", {}),
            data,
            parent if parent != own else None,
            bool(timm),
        )
        body = card.text(saved, model.info, reference, stages, recipe, bool(timm))
        return card.merged_card(old, facts, body, title)

    return Staged(folder, saved, files, make_card)


# --- what to push, and where ---------------------------------------------------------------------


def _subject(model: Run | ZooModel | str | Path) -> tuple[ZooModel, dict[str, Any] | None]:
    from zoo_core.building import create

    if isinstance(model, Run):
        return model.model, _shareable(model.recipe)
    if isinstance(model, ZooModel):
        return model, None
    path = Path(model).expanduser()
    recipe = read_recipe(path) if (path / RECIPE).exists() else None
    return create(path), _shareable(recipe) if recipe else None


def _shareable(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe without the folders of this machine: their names alone."""
    told = dict(recipe)
    told["data"] = {key: _no_folders(value) for key, value in recipe.get("data", {}).items()}
    return told


def _no_folders(value: Any) -> Any:
    """
    >>> _no_folders("folder:/home/me/flowers/")
    'folder:flowers'
    """
    if not isinstance(value, str) or "/" not in value:
        return value
    kind, colon, path = value.rpartition(":")
    return f"{kind}{colon}{path.rstrip('/').rpartition('/')[2]}"


def _destination(repository: str) -> tuple[WeightSource, str]:
    """The source to push to and the name there: `OWNER/NAME`, or `hf://OWNER/NAME`."""
    able = {scheme: s for scheme, s in catalogue().sources().items() if s.push is not None}
    scheme, name = split_reference(repository) if "://" in repository else ("", repository)
    if not scheme and len(able) == 1:
        scheme = next(iter(able))
    if scheme not in able:
        raise PublishError(
            f'"{repository}" is no place to push to.', hint=f"One can push to: {', '.join(able)}://"
        )
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise PublishError(f'"{name}" is no name of a repository.', hint="Write OWNER/NAME.")
    return able[scheme], name


# --- whole or delta ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Below:
    """The base of a model: its checkpoint, its name for others, and its tensors."""

    checkpoint: Checkpoint
    name: str
    tensors: dict[str, Tensor]

    @property
    def digest(self) -> str:
        return remembered_digest(self.checkpoint.files, lambda: tensor_digest(self.tensors))


def _base_of(model: ZooModel) -> _Below | None:
    """The pinned weights that a model started from, or None where nobody else could have them."""
    from zoo_core.building import checkpoint_of

    origin = model.origin
    if origin.weights is None or origin.sha256 is None:
        return None
    checkpoint = checkpoint_of(model.info, origin.weights)
    if checkpoint.sha256 != origin.sha256:
        raise PublishError(
            f"{origin.weights} of {model.info.name} has sha256 {checkpoint.sha256} now, and had "
            f"{origin.sha256} when this model was made from it."
        )
    bare = catalogue().bare(model.info)
    name = origin.weights if "://" in origin.weights else f"{bare}.{origin.weights}"
    tensors = checkpoint.tensors(catalogue().architecture(model.info), model, "cpu")
    return _Below(checkpoint, name, tensors)


def _difference(
    state: Mapping[str, Tensor], base: Mapping[str, Tensor]
) -> tuple[list[str], list[str]]:
    """Names of the tensors that are not the base's bit for bit, and of the base's that are gone."""
    moved = [name for name, tensor in state.items() if not _equal(tensor, base.get(name))]
    return moved, [name for name in base if name not in state]


def _equal(ours: Tensor, theirs: Tensor | None) -> bool:
    if theirs is None or ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        return False
    return torch.equal(_bytes(ours), _bytes(theirs))  # as bytes: a NaN equals itself


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def _decided(
    delta: Delta, below: _Below | None, state: Mapping[str, Tensor], moved: list[str]
) -> bool:
    if delta is False:
        return False
    if below is None:
        if delta is True:
            raise PublishError(
                "There is nothing that a delta could stand on: "
                "this model does not come from weights that others can get.",
                hint="Push it whole: delta=False.",
            )
        return False
    share = sum(state[name].nbytes for name in moved) / sum(t.nbytes for t in state.values())
    return delta is True or share < WORTHWHILE


def _inherited(below: _Below | None, license: str | None) -> str | None:
    """The licence of what is pushed: the base's, which may also forbid it."""
    theirs = below.checkpoint.license if below else None
    if theirs is None:
        return license
    if license is not None and license != theirs:
        raise PublishError(
            f"This model was tuned from weights under {theirs}; it cannot be given {license}.",
            hint="Leave license out.",
        )
    if re.search(r"(^|[-_ ])nd([-_ ]|$)", theirs.lower()):
        raise PublishError(
            f"{below.name if below else ''} is under {theirs}, "
            "which does not allow to publish what is made from it.",
            hint="Start from other weights: zoo list --json has their licences.",
        )
    return theirs


# --- writing -------------------------------------------------------------------------------------


def _saved(
    model: ZooModel, as_delta: bool, below: _Below | None, dropped: list[str], license: str | None
) -> Saved:
    from importlib.metadata import PackageNotFoundError, version

    try:
        installed = version(model.info.distribution)
    except PackageNotFoundError:
        installed = ""
    base = None
    if below is not None:
        assert below.checkpoint.sha256 is not None
        gone = tuple(dropped) if as_delta else ()
        base = Base(below.name, below.checkpoint.sha256, below.digest, gone)
    kinds = {str(p.dtype)[6:] for p in model.parameters()}
    if len(kinds) != 1:
        raise PublishError(
            f"The model mixes types: {', '.join(sorted(kinds))}.", hint="model.float()"
        )
    return msgspec.convert(
        {
            "schema": SCHEMA,
            "format": "delta" if as_delta else "whole",
            "model": catalogue().bare(model.info),
            "distribution": model.info.distribution,
            "version": installed,
            "num_classes": model.num_outputs,
            "in_chans": model.origin.in_chans,
            "input": saved_input(model.input),
            "config": dict(model.origin.config),
            "dtype": kinds.pop(),
            "labels": list(model.labels) if model.labels else None,
            "license": license,
            "base": base,
        },
        Saved,
        from_attributes=True,
    )


def _write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    apart = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    try:
        save_file(apart, path, metadata={"format": "pt"})
        path.chmod(0o644)
    except (SafetensorError, OSError) as error:
        raise PublishError(f"The weights cannot be written to {path.parent}: {error}.") from error


def _write_config(model: ZooModel, saved: Saved, timm: str | None, path: Path) -> None:
    config: dict[str, Any] = {}
    if timm is not None:
        config = _timm_config(model, path)
    elif saved.format == "whole":
        config = {"num_classes": saved.num_classes, "label_names": saved.labels}
    config["zoo"] = msgspec.to_builtins(saved)
    shown = {key: value for key, value in config.items() if value is not None}
    path.write_text(json.dumps(shown, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def timm_name(model: ZooModel) -> str | None:
    """The name by which timm builds the same network, or None where it is not one of timm's."""
    cfg = getattr(model, "pretrained_cfg", None)
    name = cfg.get("architecture") if isinstance(cfg, dict) else None
    if name is None:
        return None
    import timm

    return name if timm.is_model(name) else None


def _timm_config(model: ZooModel, path: Path) -> dict[str, Any]:
    """What timm itself writes of such a network, with the input that these weights have."""
    from timm.models._hub import save_config_for_hf

    spec = model.input
    save_config_for_hf(
        model,
        str(path),
        model_config={"label_names": list(model.labels)} if model.labels else None,
        data_config={
            "input_size": spec.size,
            "mean": spec.mean,
            "std": spec.std,
            "interpolation": spec.interpolation,
            "crop_pct": spec.crop,
        },
    )
    config = json.loads(path.read_text(encoding="utf-8"))
    arguments = config.pop("model_args", {})
    arguments.pop("num_classes", None)  # stands above already, and transformers takes it from there
    return config | ({"model_args": arguments} if arguments else {})


def _check_round_trip(model: ZooModel, state: Mapping[str, Tensor], folder: Path) -> None:
    """Load what was staged, as anybody will, and compare every tensor and one picture's scores."""
    from zoo_core.building import create

    try:
        again = create(folder)
    except WeightsError as error:
        raise PublishError(f"What was staged does not load again: {error.message}") from error
    theirs = again.state_dict()
    wrong = [name for name, tensor in state.items() if not _equal(tensor, theirs.get(name))]
    if wrong or len(theirs) != len(state):
        raise PublishError(f"What was staged comes back different: {', '.join(wrong[:3])}.")
    if model.input != again.input or model.labels != again.labels:
        raise PublishError("What was staged comes back with another input or other labels.")
    device = next(model.parameters()).device
    x = torch.rand(1, *model.input.size, generator=torch.Generator().manual_seed(0))
    x = x.to(device, next(model.parameters()).dtype)
    from zoo_core.modes import evaluating

    again = again.to(device)
    with evaluating(model), evaluating(again), torch.no_grad():
        if not torch.equal(model(x), again(x)):
            raise PublishError(
                "What was staged gives other scores, with the same weights: "
                "the network holds something that is in no state dict.",
                hint="Create it with the same arguments that it was changed to afterwards.",
            )


def _stage_rows(model: ZooModel, moved: set[str]) -> list[tuple[str, int, bool]]:
    rows = []
    for name, part in model.chain.items():
        count = sum(p.numel() for n, p in model.named_parameters() if part.has(n))
        if count:
            rows.append((name, count, any(owner(model.chain, n) == name for n in moved)))
    return rows


def _repository_of(reference: str) -> str | None:
    """OWNER/NAME of a reference to the Hub, for the card's base_model; None for other places."""
    scheme, rest = split_reference(reference)
    source = catalogue().sources().get(scheme)
    if source is None or source.push is None:
        return None
    return "/".join(rest.partition("@")[0].split("/")[:2])

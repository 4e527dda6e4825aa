"""A model as files in a folder: written, loaded again from there as anybody will, and compared.

What does not come back bit for bit is an error here, before anything of it leaves the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import tomli_w
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from zoo_core.chain import owner
from zoo_core.errors import PublishError, WeightsError
from zoo_core.humanize import one_line, readable_json
from zoo_core.model.base import Below, base_here, base_of, difference, equal
from zoo_core.model.head import is_quantised
from zoo_core.model.rebuilt import other_answers
from zoo_core.model.zoo_model import ZooModel
from zoo_core.plugins.catalogue import catalogue
from zoo_core.publish import card
from zoo_core.publish.delta import WORTHWHILE, Delta, decided, inherited_license, share_of
from zoo_core.publish.timm_config import timm_config, timm_name
from zoo_core.runs.recipe import RECIPE
from zoo_core.runs.writing import without_none
from zoo_core.transfer.eval_twin import in_eval_mode
from zoo_core.transfer.wrappers import uncompiled
from zoo_core.weights.demanded import vouched_for
from zoo_core.weights.hashes import read_sha256
from zoo_core.weights.published import CONFIG, MULTILABEL, SCHEMA, Base, Saved, saved_input
from zoo_core.weights.sources import split_reference


@dataclass(frozen=True)
class Staged:
    """A model as files in a folder, checked. `files`: all but the card, by name."""

    folder: Path
    saved: Saved
    files: Mapping[str, Path]
    card: Callable[[str | None, str], str]  # from the card that is there, and the reference


def stage(
    model: ZooModel,
    folder: Path,
    *,
    delta: Delta,
    recipe: Mapping[str, Any] | None,
    license: str | None,
    home: Path | None = None,
) -> Staged:
    """Write a model's files to a folder, load them again, and compare.

    Raises PublishError, and OSError where the folder takes no more.

    `home`: where they go on this machine, if nowhere else: what a delta stands on may be here too.
    """
    state = {name: tensor.detach().cpu() for name, tensor in _tensors(model).items()}
    below = _below(model, state, home if delta is True else None)
    moved, dropped = difference(state, below.tensors if below else {})
    as_delta = decided(delta, below, state, moved)
    saved = _saved(model, as_delta, below, dropped, inherited_license(below, license))
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

    def make_card(old: str | None, reference: str) -> str:
        title = reference.rpartition("/")[2]
        parent = _parent_of(below.checkpoint.reference, reference) if below else None
        run = dict(recipe or {})
        data = str(run.get("data", {}).get("spec", ""))
        facts = card.metadata(
            saved,
            title,
            run.get("result", {}),
            data,
            parent,
            bool(timm),
        )
        body = card.text(saved, model.info, reference, stages, recipe, bool(timm))
        return card.merged_card(old, facts, body, title)

    return Staged(folder, saved, files, make_card)


def _tensors(model: ZooModel) -> dict[str, Tensor]:
    """The state dict, also where a part is compiled. Raises PublishError for a quantised one."""
    for name, part in model.named_modules():
        if is_quantised(part):
            raise PublishError(
                f"{name} is quantised, a {type(part).__name__}: its weights are no tensors now.",
                hint="Publish the model as it was before, and quantise what create() gives.",
            )
    state = model.state_dict()
    return {uncompiled(name): tensor for name, tensor in state.items()}


def _below(model: ZooModel, state: Mapping[str, Tensor], home: Path | None) -> Below | None:
    """What others can get, or what is here where that leaves less to write."""
    below = base_of(model)
    if home is None or (below is not None and _share(state, below) < WORTHWHILE):
        return below
    here = base_here(model, home)
    if here is None or (below is not None and _share(state, below) <= _share(state, here)):
        return below
    return here


def _share(state: Mapping[str, Tensor], below: Below) -> float:
    return share_of(state, difference(state, below.tensors)[0])


# --- writing -------------------------------------------------------------------------------------


def _saved(
    model: ZooModel, as_delta: bool, below: Below | None, dropped: list[str], license: str | None
) -> Saved:
    try:
        installed = version(model.info.distribution)
    except PackageNotFoundError:
        installed = ""
    base = None
    if below is not None:
        assert below.checkpoint.sha256 is not None
        gone = tuple(dropped) if as_delta else ()
        base = Base(below.name, below.checkpoint.sha256, below.digest, gone, below.beside)
    dtypes = {str(p.dtype)[6:] for p in model.parameters()}
    if len(dtypes) != 1:
        raise PublishError(
            f"The model mixes types: {', '.join(sorted(dtypes))}.", hint="model.float()"
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
            "dtype": dtypes.pop(),
            "labels": list(model.labels) if model.labels else None,
            "multilabel": model.multilabel,
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
    except SafetensorError as error:  # a full disk, as safetensors says it
        raise OSError(one_line(error)) from error


def _write_config(model: ZooModel, saved: Saved, timm: str | None, path: Path) -> None:
    config: dict[str, Any] = {}
    if timm is not None:
        config = timm_config(model, path)
    elif saved.format == "whole":
        config = {"num_classes": saved.num_classes, "label_names": saved.labels}
    if config and saved.multilabel:
        config["problem_type"] = MULTILABEL
    config["zoo"] = msgspec.to_builtins(saved)
    shown = {key: value for key, value in config.items() if value is not None}
    path.write_text(readable_json(shown) + "\n", encoding="utf-8")


def _check_round_trip(model: ZooModel, state: Mapping[str, Tensor], folder: Path) -> None:
    """Load what was staged, as anybody will, and compare every tensor and one picture's scores."""
    from zoo_core.model.create import create

    try:
        with vouched_for():  # what was just written
            again = create(folder)
    except WeightsError as error:
        raise PublishError(f"What was staged does not load again: {error.message}") from error
    theirs = again.state_dict()
    wrong = [name for name, tensor in state.items() if not equal(tensor, theirs.get(name))]
    if wrong or len(theirs) != len(state):
        raise PublishError(f"What was staged comes back different: {', '.join(wrong[:3])}.")
    facts = ("input", "labels", "multilabel")
    if any(getattr(model, fact) != getattr(again, fact) for fact in facts):
        raise PublishError("What was staged comes back with another input or other labels.")
    device = next(model.parameters()).device
    x = torch.rand(1, *model.input.size, generator=torch.Generator().manual_seed(0))
    x = x.to(device, next(model.parameters()).dtype)
    again = again.to(device)
    with torch.no_grad():
        scores = in_eval_mode(model)(x)
    if not scores.isfinite().all():
        raise PublishError(
            "The scores of the model are no numbers, so it is not written.",
            hint="Its weights hold NaN or infinity: train it again with a smaller lr.",
        )
    other = other_answers(model, again)
    if other:
        raise PublishError(
            "What was staged gives other scores, with the same weights: "
            f"the network holds something that is in no state dict ({other}).",
            hint="Create it with the same arguments that it was changed to afterwards.",
        )


def _stage_rows(model: ZooModel, moved: set[str]) -> list[tuple[str, int, bool]]:
    rows = []
    for name, part in model.chain.items():
        count = sum(p.numel() for n, p in model.named_parameters() if part.has(n))
        if count:
            rows.append((name, count, any(owner(model.chain, n) == name for n in moved)))
    return rows


def _parent_of(base: str, reference: str) -> str | None:
    """OWNER/NAME of the base, for the card's base_model: where it is another of the same place.

    A card on the Hub names repositories of the Hub, and one in a place of a plugin's those there.
    """
    (scheme, rest), (here, own) = split_reference(base), split_reference(reference)
    name = "/".join(rest.partition("@")[0].split("/")[:2])
    return name if scheme == here and catalogue().publisher(scheme) and name != own else None

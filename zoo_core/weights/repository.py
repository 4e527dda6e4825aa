"""A published model as a checkpoint: a repository, or an exported folder, with a config.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_core.errors import (
    NotCached,
    PluginError,
    SourceError,
    UnknownName,
    WeightsError,
    ZooError,
)
from zoo_core.humanize import readable_name
from zoo_core.plugins.catalogue import catalogue
from zoo_core.plugins.known import how_to_get
from zoo_core.types import Architecture, Fetched, ModelInfo, WeightsInfo
from zoo_core.weights.checkpoint import Checkpoint, of_weights
from zoo_core.weights.config_json import LARGEST, read_config
from zoo_core.weights.demanded import demanded_of, vouched_for
from zoo_core.weights.hashes import remembered_digest, tensor_digest
from zoo_core.weights.local import found, weights_in
from zoo_core.weights.lock import pin_of
from zoo_core.weights.openssf import SIGNATURE
from zoo_core.weights.published import CONFIG, LEGACY, Base, Saved
from zoo_core.weights.sources import absolute, names_file, obtain, split_reference
from zoo_core.weights.tensors import read_tensors
from zoo_core.weights.timm_layout import config_of

if TYPE_CHECKING:
    from torch import Tensor, nn

DEEPEST = 8  # deltas on deltas; a longer chain is a loop, or should be pushed whole


@dataclass(frozen=True, kw_only=True)
class PublishedCheckpoint(Checkpoint):
    """The weights of a published model: whole, or a delta on its base.

    `signed`: the files that its signature is over, and itself, where one was demanded.
    """

    saved: Saved
    signed: tuple[str, ...] = ()

    @property
    def dtype(self) -> str:
        return self.saved.dtype

    @property
    def stands_on(self) -> tuple[str | None, str | None]:
        """A folder on this machine is nothing for others; what it was itself tuned from is."""
        if not self.reference.startswith("file:"):
            return super().stands_on
        base = self.saved.base
        if base is None:
            return None, None
        if base.name.startswith("file:"):
            return self.base.stands_on if self.base is not None else (None, None)
        return base.name if "://" in base.name else base.name.partition(".")[2], base.sha256

    def config(self, architecture: Architecture) -> dict[str, Any]:
        return config_of(self.saved, architecture)

    def tensors(
        self, architecture: Architecture, model: nn.Module, device: str
    ) -> dict[str, Tensor]:
        if self.base is None:
            return super().tensors(architecture, model, device)
        own = read_tensors(self.path, device)
        assert self.saved.base is not None
        below = self.base.tensors(architecture, model, device)
        _check_base(below, self.base, self.saved.base, self.reference)
        kept = {n: t for n, t in below.items() if n not in self.saved.base.dropped}
        return {**kept, **own}


def of_repository(reference: str, depth: int = 0) -> PublishedCheckpoint:
    """The checkpoint of a published model: `hf://owner/repository[@revision]`, or `file:FOLDER`.

    Raises WeightsError for a config.json that is none, or without a good signature where one is
    demanded; and as `obtain` for each file.
    """
    _refuse_large(reference)
    config = obtain(reference, CONFIG)
    saved = read_config(config.path, reference)
    pinned = config.pinned or reference
    pin = pin_of(reference)
    sha256 = pin.sha256 if pin else saved.sha256
    signed = demanded_of(pinned)
    if signed is not None:
        signed.check_holds(CONFIG)
        sha256 = signed.check_holds(saved.file)
    tensors = _tensors(pinned, saved, sha256)
    base = None
    if saved.format == "delta" and saved.base:
        with vouched_for():  # this names its sha256
            base = _base(saved.base, reference, depth)
    return PublishedCheckpoint(
        reference=pinned,
        path=tensors.path,
        sha256=tensors.sha256,
        input=saved.spec,
        classes=saved.num_classes,
        labels=saved.labels,
        multilabel=saved.multilabel,
        license=saved.license,
        saved=saved,
        signed=() if signed is None else (*signed.files, SIGNATURE),
        base=base,
        local=absolute(reference) if split_reference(reference)[0] == "file" else None,
    )


def _tensors(reference: str, saved: Saved, sha256: str | None) -> Fetched:
    """The file with the tensors; a pickle where nothing else is there, which comes as safetensors.

    Raises as `obtain`; where a folder here has weights under other names, with these.
    """
    try:
        return obtain(reference, saved.file, sha256)
    except (SourceError, NotCached) as error:
        if saved.format == "delta" or saved.sha256 is not None:
            raise
        try:
            return obtain(legacy(reference), None, sha256)
        except (SourceError, NotCached):
            raise _with_others(error, reference) from None


def legacy(reference: str) -> str:
    """The pickle of a repository that has no other weights."""
    return f"{reference}/{LEGACY}"


def _with_others(error: ZooError, reference: str) -> ZooError:
    """The error, with what a folder on this machine has under other names."""
    scheme, _ = split_reference(reference)
    folder = Path(split_reference(absolute(reference))[1])
    found = weights_in(folder) if scheme == "file" else []
    if not found:
        return error
    return SourceError(
        f"{error.message} It has {readable_name(found[0].name)}.",
        hint=f'Name the model and the file: create(NAME, pretrained="{found[0]}").',
    )


def _refuse_large(reference: str) -> None:
    """Raise WeightsError for a description on this machine that would only be hashed for long."""
    scheme, _ = split_reference(reference)
    path = Path(split_reference(absolute(reference))[1]) / CONFIG
    if scheme == "file" and path.is_file() and path.stat().st_size > LARGEST:
        size = path.stat().st_size
        raise WeightsError(f"{path} has {size:,} bytes, more than any description of a model.")


def published_model(saved: Saved, reference: str) -> ModelInfo:
    """The installed model that a config.json names. Raises PluginError with what to install."""
    of_timm = saved.distribution == "timm"
    for name in [saved.model, f"timm/{saved.model}"] if of_timm else [saved.model]:
        try:
            model = catalogue().find(name).model
        except UnknownName as error:
            missing = error
        else:
            if model.official or not of_timm or name != saved.model:
                return model
    facts = (saved.model, saved.distribution, saved.version)
    name, distribution, version = (readable_name(fact)[:100] for fact in facts)
    raise PluginError(
        f'{reference} is a "{name}" of {" ".join((distribution, version)).strip()}, '
        "which is not installed here.",
        hint=how_to_get(saved.model, saved.distribution),
    ) from missing


def published_files(saved: Saved) -> tuple[str, ...]:
    """The files of a published model that create() needs."""
    return (CONFIG, saved.file)


# --- the base of a delta -------------------------------------------------------------------------


def _base(base: Base, reference: str, depth: int) -> Checkpoint:
    if depth >= DEEPEST:
        raise WeightsError(f"{reference} is a delta on a delta on …, more than {DEEPEST} deep.")
    if split_reference(base.name)[0] == "file" and split_reference(reference)[0] == "file":
        below = _here(base, reference, depth)
    elif "://" in base.name:
        _check_place(base.name, reference)
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


def _here(base: Base, reference: str, depth: int) -> Checkpoint:
    """A base on this machine, of a folder on this machine: a file, or an exported folder."""
    folder = Path(split_reference(absolute(reference))[1])
    was = split_reference(base.name)[1]
    path = found({"path": was, "beside": base.beside, "sha256": base.sha256}, folder)
    if (path / CONFIG).is_file():
        return of_repository(f"file:{path}", depth + 1)
    return replace(of_weights(WeightsInfo(tag="", source=f"file:{path}")), sha256=base.sha256)


def _check_place(base: str, reference: str) -> None:
    """A config.json may lead to another repository of its own source, and to nothing else."""
    scheme = split_reference(base)[0]
    published = split_reference(reference)[0]
    if catalogue().publisher(scheme) is None or published not in (scheme, "file"):
        raise WeightsError(f"{reference} stands on {base!r:.80}, which a config.json may not name.")


def _check_base(
    tensors: Mapping[str, Tensor], below: Checkpoint, wanted: Base, reference: str
) -> None:
    digest = remembered_digest(below.files, lambda: tensor_digest(tensors))
    if digest != wanted.digest:
        expected = f"{wanted.name} with the digest {wanted.digest[:16]}…"
        raise WeightsError(
            f"{reference} stands on {expected}, and what is here has {digest[:16]}….",
            hint="It was made with another version of zoo, or of the plugin: see its card.",
        )

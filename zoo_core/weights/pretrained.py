"""Which weights `pretrained` means: a tag, a reference, a path or the default."""

from __future__ import annotations

import os
import re
from pathlib import Path

from zoo_core.cache import using_cache
from zoo_core.errors import UnknownName, WeightsError
from zoo_core.humanize import readable_name
from zoo_core.plugins.catalogue import catalogue
from zoo_core.plugins.unknown import as_zoo_writes
from zoo_core.types import ModelInfo, WeightsInfo
from zoo_core.weights.checkpoint import Checkpoint, of_weights
from zoo_core.weights.local import weights_in
from zoo_core.weights.published import CONFIG
from zoo_core.weights.repository import PublishedCheckpoint, of_repository, published_model
from zoo_core.weights.sources import MODEL_FILE, names_file

_ENDINGS = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")


def is_path(name: str | Path) -> bool:
    """Whether a name is a path: a Path, or a string that starts with `/`, `./`, `../` or `~`."""
    return isinstance(name, Path) or name.startswith(("/", "./", "../", "~"))


def brings_weights(name: str | Path) -> bool:
    """Whether a name is a path or a reference, which have weights of their own."""
    return is_path(name) or "://" in str(name)


def checkpoint_of(info: ModelInfo, weights: str) -> Checkpoint:
    """The checkpoint behind the `weights` of an Origin."""
    checkpoint = chosen_checkpoint(info, None, weights)
    assert checkpoint is not None
    return checkpoint


def chosen_checkpoint(
    info: ModelInfo, named: WeightsInfo | None, pretrained: bool | str | Path | None
) -> Checkpoint | None:
    """Which weights are meant, or None for none."""
    if pretrained is False or (pretrained is None and named is None):
        return None
    if pretrained is None or pretrained is True:
        return of_weights(named or _default(info))
    text = str(pretrained)
    if not isinstance(pretrained, Path) and text in info.weights:
        return of_weights(info.weights[text])
    if not isinstance(pretrained, Path) and as_zoo_writes(text):
        message = f'No weights "{text}" of {info.name}.'
        raise UnknownName(message, hint=f'zoo writes "{as_zoo_writes(text)}".')
    if "://" in text or text.startswith("file:"):
        return _by_reference(info, named, text)
    if is_path(pretrained) or "/" in text or text.endswith(_ENDINGS):  # a tag has no slash
        return _by_path(info, named, expanded(Path(text)).absolute())
    try:
        return of_weights(catalogue().weights(info, text))
    except UnknownName as error:
        if not os.path.exists(text):  # noqa: PTH110, a Path may raise here
            raise
        what = "folder" if Path(text).is_dir() else "file"
        raise UnknownName(error.message, hint=f'For the {what} here: "./{text}".') from error


def _default(info: ModelInfo) -> WeightsInfo:
    if info.default_weights is None:
        tags = f"It has: {', '.join(info.weights)}." if info.weights else "It has none."
        hint = "Name one of them." if info.weights else "Leave pretrained out."
        raise UnknownName(f"{info.name} has no default weights. {tags}", hint=hint)
    return info.default_weights


def _by_reference(info: ModelInfo, named: WeightsInfo | None, reference: str) -> Checkpoint:
    known = next((w for w in info.weights.values() if w.source == reference), None)
    if known is not None or reference.startswith("file:") or names_file(reference):
        of = {_any_revision(w.source): w.input for w in info.weights.values()}
        usual = named.input if named is not None else info.input
        seen = of.get(_any_revision(reference), usual)
        return of_weights(known or WeightsInfo(tag="", source=reference, input=seen))
    return _of_model(info, of_repository(reference))


def _any_revision(reference: str) -> str:
    """Other revisions of the same file want to see the same pictures.

    >>> _any_revision("hf://timm/resnet18.tv_in1k@c0ffee/model.safetensors")
    'hf://timm/resnet18.tv_in1k/model.safetensors'
    """
    return re.sub(r"^(hf://[^/@]+/[^/@]+)@[^/]+", r"\1", reference)


def _by_path(info: ModelInfo, named: WeightsInfo | None, path: Path) -> Checkpoint:
    """A file of weights, an exported folder, or a folder that `zoo fetch --to` filled."""
    if (path / "recipe.toml").exists() and not (path / CONFIG).exists():
        raise WeightsError(
            f"{path} is a run, not weights alone.", hint=f'Use create("{path}"): it has both.'
        )
    if (path / CONFIG).exists():
        return _of_model(info, of_repository(f"file:{path}"))
    if (path / "fetched").is_dir() or (path / "converted").is_dir():
        with using_cache(path):
            return of_weights(named or _default(info))
    if path.is_dir() and not (path / MODEL_FILE).exists() and (found := weights_in(path)):
        if len(found) > 1:
            names = ", ".join(readable_name(file.name) for file in found[:5])
            raise WeightsError(f"{path} has several files of weights: {names}.", hint="Name one.")
        path = found[0]
    seen = named.input if named is not None else info.input
    return of_weights(WeightsInfo(tag="", source=f"file:{path}", input=seen))


def _of_model(info: ModelInfo, checkpoint: PublishedCheckpoint) -> Checkpoint:
    other = published_model(checkpoint.saved, checkpoint.reference)
    if (other.name, other.distribution) != (info.name, info.distribution):
        raise WeightsError(
            f"{checkpoint.reference} holds a {other.name}, not a {info.name}.",
            hint=f'create("{checkpoint.reference}") builds what it holds.',
        )
    return checkpoint


def expanded(path: Path) -> Path:
    """The path with `~` replaced. Raises UnknownName where none can be there."""
    try:
        path = path.expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise UnknownName(f"Nothing can be at {str(path)[:200]}: {reason}.") from error
    return path

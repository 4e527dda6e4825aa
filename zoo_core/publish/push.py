"""push(): a model as a repository, whole or only as what differs from its base; and as a folder."""

from __future__ import annotations

import inspect
import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from zoo_core.cache import is_offline
from zoo_core.errors import PublishError
from zoo_core.model.hub_habits import renamed
from zoo_core.model.run import Run
from zoo_core.model.zoo_model import ZooModel
from zoo_core.plugins.catalogue import catalogue
from zoo_core.publish.delta import Delta
from zoo_core.publish.sign import SIGSTORE, signer
from zoo_core.publish.sign import sign as signed_folder
from zoo_core.publish.staging import Staged, stage
from zoo_core.publish.swap import replaced_folder
from zoo_core.runs.recipe import BEST, RECIPE, read_recipe
from zoo_core.transfer.wrappers import unwrapped
from zoo_core.types import Pushed, Upload, WeightSource
from zoo_core.weights.demanded import vouched_for
from zoo_core.weights.openssf import SIGNATURE
from zoo_core.weights.published import CONFIG, FILES
from zoo_core.weights.sources import split_reference

CARD = "README.md"


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
    token: str | bool | None = None,
    revision: str | None = None,
    sign: str | Path | None = None,
) -> Pushed:
    """Publish a model, a run or a run's folder as `OWNER/NAME`, in one commit with a tag.

    `model`: one of these; `repository`: that name. `delta`: "auto" pushes only the tensors that
    differ from the weights it was tuned from, where those can be had by everybody and the
    difference is less than half; True insists, False pushes everything (which timm and transformers
    can load, where the network is timm's). `create_pr`: as a pull request. `private`: for a
    repository that is new. `dry_run`: stage, check and show, and change nothing. `message`: of the
    commit. `license`: for weights that were trained from scratch; tuned ones keep that of their
    base. `token`: whose push it is, where it is not who is signed in. `revision`: the branch, which
    is made where it is not there; only what goes to the main one is tagged. `sign`: the key that
    signs all files of the push, as in `zoo.sign`.

    Raises PublishError where it must not or cannot happen; nothing is then half pushed.

    >>> import zoo_core as zoo
    >>> zoo.push(zoo.create("lenet5"), "no repository")
    Traceback (most recent call last):
    zoo_core.errors.PublishError: ...
    """
    if is_offline():
        raise PublishError(
            "zoo is offline: ZOO_OFFLINE or HF_HUB_OFFLINE is set.",
            hint="A push asks what is there, also a dry one; save_pretrained(folder) needs nobody.",
        )
    if sign is not None and str(sign) != SIGSTORE:
        signer(sign)  # said before the work begins
    subject, recipe = _subject(model)
    source, name = _destination(repository)
    asked = _taken(source, token=token, revision=revision)
    key = None if dry_run and str(sign) == SIGSTORE else sign  # its log is for ever
    with tempfile.TemporaryDirectory(prefix="zoo-push-") as folder:
        try:
            staged = stage(subject, Path(folder), delta=delta, recipe=recipe, license=license)
        except OSError as error:
            raise PublishError(
                f"{folder} cannot be written: {error.strerror or error}.",
                hint="Free some space, or set TMPDIR to a folder with more.",
            ) from error
        upload = Upload(
            files={**staged.files, **({SIGNATURE: staged.folder / SIGNATURE} if key else {})},
            card=lambda old: _card(staged, old, _reference(source, name, revision), key),
            message=message or f"{subject.info.name}, {staged.saved.format}, by zoo",
            obsolete=tuple(
                {*FILES.values(), RECIPE, SIGNATURE} - {*staged.files, SIGNATURE if sign else ""}
            ),
        )
        assert source.push is not None
        how = {"private": private, "create_pr": create_pr, "dry_run": dry_run}
        done = source.push(name, upload, **how, **asked)
        at = done.tag or done.commit
        reference = f"{source.scheme}://{name}" + (f"@{at}" if at else "")
        digests = {staged.saved.file: str(staged.saved.sha256)}
        return replace(done, sha256=digests, reference=reference)


def save_pretrained(
    model: Run | ZooModel | str | Path,
    save_directory: str | Path | None = None,
    *,
    delta: Delta = False,
    **old: Any,
) -> Path:
    """Write a model, or a run, to a folder as `push` would publish it; `zoo.create(Path)` loads it.

    `delta=True`: only what differs from the weights that it came from; where others cannot get
    those, from the file or exported folder on this machine, which must then stay. `old`: the folder
    under its older name, `folder`.

    The folder changes at once from an export that is there to the new one; other files stay.

    Raises PublishError where the folder cannot be written, or is a run.
    """
    path = Path(renamed(save_directory, old, "folder", "save_directory")).expanduser()
    if old:
        raise TypeError(f"save_pretrained has no argument {next(iter(old))!r}.")
    plain, recipe = _subject(model)
    if recipe is not None and (path / BEST).exists():
        raise PublishError(f"{path} is a run, which stays as it is.", hint="Name another folder.")
    files = {*FILES.values(), CONFIG, CARD, SIGNATURE} | (
        set() if (path / BEST).exists() else {RECIPE}
    )
    try:
        with replaced_folder(path, files) as draft:
            staged = stage(plain, draft, delta=delta, recipe=recipe, license=None, home=path)
            (draft / CARD).write_text(staged.card(None, f"./{path.name}"), encoding="utf-8")
    except OSError as error:
        raise PublishError(f"{path} cannot be written: {error.strerror or error}.") from error
    return path


def _card(staged: Staged, old: str | None, reference: str, key: str | Path | None) -> str:
    """The card; with it the push is whole, and is signed."""
    card = staged.card(old, reference)
    if key is not None:
        (staged.folder / CARD).write_text(card, encoding="utf-8", newline="")
        signed_folder(staged.folder, key)
    return card


# --- what to push, and where ---------------------------------------------------------------------


def _subject(model: Run | nn.Module | str | Path) -> tuple[ZooModel, dict[str, Any] | None]:
    from zoo_core.model.create import create

    if isinstance(model, Run):
        return _plain(model.model), _shareable(model.recipe)
    if not isinstance(model, str | Path):
        return _plain(model), None
    path = Path(model).expanduser()
    recipe = read_recipe(path) if (path / RECIPE).exists() else None
    with vouched_for():  # by whoever publishes it
        return create(path), _shareable(recipe) if recipe else None


def _plain(model: Any) -> ZooModel:
    """A model without what torch has wrapped it in. Raises PublishError for what is none of zoo."""
    inner = unwrapped(model) if isinstance(model, nn.Module) else model
    if not isinstance(inner, ZooModel):
        raise PublishError(
            f"A {type(inner).__name__} is no model of zoo.",
            hint="Give what zoo.create or zoo.finetune made, or a run's folder.",
        )
    return inner


def _shareable(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe without the folders of this machine: their names alone."""
    shareable = {name: table for name, table in recipe.items() if name != "best"}  # its own file's
    model = recipe.get("model", {})
    shareable["model"] = {key: value for key, value in model.items() if key != "base"}
    for table in ("data", "start"):
        shareable[table] = {key: _no_folders(value) for key, value in recipe.get(table, {}).items()}
    return shareable


def _no_folders(value: Any) -> Any:
    """
    >>> _no_folders("folder:/home/me/flowers/")
    'folder:flowers'
    >>> _no_folders("hf://me/flowers")
    'hf://me/flowers'
    """
    if not isinstance(value, str) or "/" not in value or "://" in value:
        return value
    scheme, colon, path = value.rpartition(":")
    return f"{scheme}{colon}{path.rstrip('/').rpartition('/')[2]}"


def _destination(repository: str) -> tuple[WeightSource, str]:
    """The source to push to and the name there: `OWNER/NAME`, or with the scheme in front."""
    able = {scheme: s for scheme, s in catalogue().sources().items() if s.push is not None}
    scheme, name = split_reference(repository) if "://" in repository else ("", repository)
    if not scheme:
        scheme = _usual(able)
    if scheme not in able:
        places = ", ".join(f"{able_scheme}://{name}" for able_scheme in able)
        raise PublishError(
            f'"{repository}" is no place to push to.',
            hint=f"Write {places}." if places else "No installed plugin can publish.",
        )
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise PublishError(f'"{name}" is no name of a repository.', hint="Write OWNER/NAME.")
    return able[scheme], name


def _taken(source: WeightSource, **asked: Any) -> dict[str, Any]:
    """Those that are asked for. Raises PublishError for one that the source's push does not take.

    They came later than the first sources, which know nothing of them.
    """
    assert source.push is not None
    asked = {name: value for name, value in asked.items() if value is not None}
    takes = inspect.signature(source.push).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values()):
        return asked
    for name in asked:
        if name not in takes:
            raise PublishError(f"A push to {source.scheme}:// takes no {name}.")
    return asked


def _reference(source: WeightSource, name: str, revision: str | None) -> str:
    """How create() gets it: at the branch, but for a pull request's, which is to be merged."""
    branch = revision is not None and not revision.startswith("refs/")
    return f"{source.scheme}://{name}" + (f"@{revision}" if branch else "")


def _usual(able: Mapping[str, WeightSource]) -> str:
    """The scheme of a name without one: that of zoo's own source, whatever else is installed."""
    offered = catalogue().plugins.results("zoo_weight_sources", WeightSource)
    own = [source.scheme for plugin, source in offered if plugin.built_in]
    return next(iter([scheme for scheme in own if scheme in able] or able), "")

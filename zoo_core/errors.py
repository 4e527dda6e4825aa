"""Every error that zoo raises on purpose.

    ZooError ├── UnknownName no model, layer, regularizer or option of that name ├── ManifestError a
    manifest (registry.toml) that does not follow its schema ├── PluginError a plugin that is
    broken, or two that clash ├── WeightsError weights that do not fit, or a file that is not what
    it says │ ├── HashMismatch the bytes are not the pinned ones │ ├── NotCached offline, and the
    file is not here │ └── SourceError the source does not answer, or has no such file │ └──
    NotInstalled a package that carries the file is not installed ├── FreezeError nothing to freeze,
    or a cut that cannot be made ├── DataError images or labels that cannot be used ├── RecipeError
    arguments of a fine-tune that make no sense together └── PublishError a push that must not or
    cannot happen

A message says what, where, the closest right thing, and what to do next. `hint` is that last part;
the command line prints it on a line of its own. Names in both are other people's: a message is one
line, and control characters are shown.
"""

import difflib
import re
from collections.abc import Iterable, Mapping

from zoo_core.humanize import one_line, readable_name, without_credentials


class ZooError(Exception):
    """Base of all errors that zoo raises on purpose; no password in an address gets into one.

    >>> error = ZooError("There is no such picture.", hint="Look at the folder.")
    >>> error.message, error.hint
    ('There is no such picture.', 'Look at the folder.')
    >>> print(ZooError("https://me:secret@host/a is not there."))
    https://host/a is not there.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = _readable(without_credentials(message))
        super().__init__(self.message)
        self.hint = readable_name(one_line(without_credentials(hint)))

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def __reduce__(self) -> tuple:
        return _rebuild, (type(self), self.message, self.hint)


def _rebuild(error: type[ZooError], message: str, hint: str) -> ZooError:
    return error(message, hint=hint)


def _readable(text: str) -> str:
    """On one line. A library's own error may have several, indented; other line ends are shown."""
    return readable_name(re.sub(r"[ \t\r]*\n[ \t]+", " ", text.strip()))


class UnknownName(ZooError):
    """Raised when no model, layer, regularizer or option has the given name.

    >>> import zoo_core as zoo
    >>> zoo.info("resnet51")
    Traceback (most recent call last):
    zoo_core.errors.UnknownName: No model "resnet51". Closest: "resnet50"...
    """


class ManifestError(ZooError):
    """Raised when a manifest does not follow the schema.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from zoo_core.plugins.manifest import read_manifest
    >>> path = Path(tempfile.mkdtemp()) / "registry.toml"
    >>> _ = path.write_text("schema = 2")
    >>> read_manifest(path)
    Traceback (most recent call last):
    zoo_core.errors.ManifestError: ...registry.toml: schema is 2, this version of zoo reads ...
    """


class PluginError(ZooError):
    """Raised when a plugin is broken, or when two plugins offer the same name.

    >>> import click
    >>> from zoo_core.cli import Zoo
    >>> Zoo("zoo").add_command(click.Command("list"))
    Traceback (most recent call last):
    zoo_core.errors.PluginError: the command "list" is taken
    """


class WeightsError(ZooError):
    """Raised when weights do not fit the model, or a file is not a weights file.

    >>> import tempfile, zoo_core as zoo
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> _ = path.write_text("no weights")
    >>> zoo.create("lenet5", pretrained=path)
    Traceback (most recent call last):
    zoo_core.errors.WeightsError: ...
    """


class HashMismatch(WeightsError):
    """Raised when the bytes of a file do not have the pinned sha256.

    >>> raise HashMismatch("model.safetensors has sha256 00…, and ff… is pinned.")
    Traceback (most recent call last):
    zoo_core.errors.HashMismatch: model.safetensors has sha256 00…, and ff… is pinned.
    >>> issubclass(HashMismatch, WeightsError)
    True
    """


class NotCached(WeightsError):
    """Raised when zoo is offline and the file is not in the cache.

    >>> raise NotCached("house://digits is not here: zoo is offline.", hint="Unset ZOO_OFFLINE.")
    Traceback (most recent call last):
    zoo_core.errors.NotCached: house://digits is not here: zoo is offline. Unset ZOO_OFFLINE.
    """


class SourceError(WeightsError):
    """Raised when a weight source does not answer or does not have the file.

    >>> import zoo_core as zoo
    >>> zoo.create("lenet5", pretrained="pkg://zoo_lenet/weights/none.safetensors")
    Traceback (most recent call last):
    zoo_core.errors.SourceError: ...
    """


class NotInstalled(SourceError):
    """Raised when the file comes with a package, and that is not installed.

    >>> import zoo_core as zoo
    >>> zoo.create("lenet5", pretrained="pkg://nobodys_package/model.safetensors")
    Traceback (most recent call last):
    zoo_core.errors.NotInstalled: ...
    """


class FreezeError(ZooError):
    """Raised when there is nothing to freeze, or when the cut cannot be made.

    >>> import zoo_core as zoo
    >>> zoo.create("lenet5").freeze_until("conv1")
    Traceback (most recent call last):
    zoo_core.errors.FreezeError: ...
    """


class DataError(ZooError):
    """Raised when images or labels cannot be used.

    >>> import zoo_core as zoo
    >>> zoo.evaluate("lenet5", "folder:nowhere", progress=False)
    Traceback (most recent call last):
    zoo_core.errors.DataError: ...
    """


class RecipeError(ZooError):
    """Raised when the arguments of a fine-tune make no sense together.

    >>> import zoo_core as zoo
    >>> zoo.finetune("lenet5", "digits", epochs=0, out=False)
    Traceback (most recent call last):
    zoo_core.errors.RecipeError: epochs must be a whole number, 1 or more: 0...
    """


class PublishError(ZooError):
    """Raised when a push must not or cannot happen.

    >>> import zoo_core as zoo
    >>> zoo.push(zoo.create("lenet5"), "no repository", dry_run=True)
    Traceback (most recent call last):
    zoo_core.errors.PublishError: ...
    """


def closest(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """Up to `count` of `names` that look most like `name`, best first.

    >>> closest("resnet81", ["resnet18", "alexnet", "lenet5"], count=1)
    ['resnet18']
    """
    plain = {_plain(other): other for other in sorted(names, reverse=True)}
    near = difflib.get_close_matches(_plain(name), sorted(plain), n=count, cutoff=0.5)
    return [plain[other] for other in near]


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def did_you_mean(name: str, names: Iterable[str], synonyms: Mapping[str, str] | None = None) -> str:
    """`Closest: "a", "b".`, or nothing when no name is close.

    `synonyms`: other words for some of the names, which are nobody's typing error.

    >>> did_you_mean("heed", ["head", "layer4"])
    'Closest: "head".'
    >>> did_you_mean("weight_decay", ["l2", "ema"], {"weight-decay": "l2"})
    'Closest: "l2".'
    """
    meant = (synonyms or {}).get(_plain(name)) or (synonyms or {}).get(name)
    return named_closest([meant] if meant else closest(name, names))


def named_closest(names: Iterable[str]) -> str:
    """`Closest: "a", "b".`, or nothing where there are no names."""
    near = ", ".join(f'"{name}"' for name in names)
    return f"Closest: {near}." if near else ""


def described(error: BaseException) -> str:
    """Somebody else's error on one line, with its class.

    >>> described(KeyError("seed"))
    "KeyError: 'seed'"
    """
    return f"{type(error).__name__}: {one_line(error) or 'no message'}"


def first_line(error: BaseException) -> str:
    """What an error says before it goes into details, without the full stop; else its class.

    >>> first_line(RuntimeError("Cannot trace this.\\nSee the log"))
    'Cannot trace this'
    """
    text = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return text.rstrip(".")

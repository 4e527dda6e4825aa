"""new_plugin(): a package that is a plugin at once, from the files in `templates/`.

    kinds.toml    what there is to make
    shared/       files of every kind
    KIND/         those of one; the folder `package` becomes `zoo_NAME`

`x.jinja` becomes x, with its names filled in. `x.copy` holds a reference, as manifests have them,
and becomes a copy of the file that it means.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import shlex
import shutil
import tempfile
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from zoo_core.cache import cache_folder
from zoo_core.errors import PluginError, did_you_mean
from zoo_core.plugins.catalogue import catalogue
from zoo_core.plugins.names import PluginName, plugin_name, refuse_taken
from zoo_core.version import __version__

TEMPLATES = Path(__file__).parent / "templates"
_FACTS = tomllib.loads((TEMPLATES / "kinds.toml").read_text(encoding="utf-8"))
KINDS = tuple(_FACTS)


@dataclass(frozen=True)
class Made:
    """A new plugin: its folder, its files by their path in there, and what to type next."""

    folder: Path
    adds: str
    files: tuple[str, ...]
    commands: tuple[str, ...]


def new_plugin(
    name: str,
    *,
    kind: str = "architecture",
    to: str | Path = ".",
    commands: Collection[str] = (),
) -> Made:
    """Write the package `zoo-NAME`, a plugin that works as it is.

    `name`: lower-case letters, digits and "-" or "_" between them. `kind`: architecture,
    regularizer, weights (a manifest and a file), command, or source (of a scheme of its own). `to`:
    the folder to make it in. `commands`: names that a command cannot have, since the command line
    has them. It is there whole or not at all, and nothing is ever overwritten. Raises PluginError
    for a name that cannot be or is taken, and where the folder cannot be written.

    >>> import tempfile
    >>> made = new_plugin("my-net", to=tempfile.mkdtemp())
    >>> made.folder.name, made.files[-1], made.commands[1]
    ('zoo-my-net', 'zoo_my_net/registry.toml', 'zoo plugins check my_net')
    """
    if kind not in KINDS:
        near = did_you_mean(kind, KINDS)
        raise PluginError(
            f'No kind "{kind}" of plugin. {near}'.strip(), hint=f"There is: {', '.join(KINDS)}."
        )
    words = plugin_name(name)
    refuse_taken(words, kind, commands)
    folder = Path(to).expanduser() / words.distribution
    known = _context(words, kind)
    with _put_in_place(folder) as draft:
        for template in ("shared", kind):
            _fill(TEMPLATES / template, draft, known)
        files = sorted(p.relative_to(draft).as_posix() for p in draft.rglob("*") if p.is_file())
    return Made(folder, known["adds"], tuple(files), _commands(folder, known))


def _context(words: PluginName, kind: str) -> dict[str, str]:
    """The names that templates use, and what kinds.toml says with those filled in."""
    names = {
        "identifier": words.identifier,
        "dashed": words.dashed,
        "class_name": words.class_name,
        "distribution": words.distribution,
        "package": words.package,
        "zoo_version": __version__,
        "year": str(datetime.date.today().year),
    }
    return names | {key: _rendered(text, names) for key, text in _FACTS[kind].items()}


def _commands(folder: Path, known: Mapping[str, str]) -> tuple[str, ...]:
    path = str(folder) if folder.is_absolute() or str(folder)[0] == "." else f"./{folder}"
    install = f"zoo plugins install {shlex.quote(path)}"
    return install, f"zoo plugins check {known['identifier']}", known["use"]


# --- writing -------------------------------------------------------------------------------------


@contextlib.contextmanager
def _put_in_place(folder: Path) -> Iterator[Path]:
    """An empty folder beside `folder`: becomes it when all went well, and is gone when not."""
    if os.path.lexists(folder):
        hint = "Choose another name, or another place with --to DIR."
        raise PluginError(f"{folder} is there already.", hint=hint)
    if not folder.parent.is_dir():
        raise PluginError(f"There is no folder {folder.parent} to make {folder.name} in.")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as place:
            draft = Path(place) / folder.name
            draft.mkdir()
            yield draft
            draft.rename(folder)
    except OSError as error:
        raise PluginError(f"{folder} cannot be written: {error.strerror}.") from error


def _fill(template: Path, draft: Path, known: Mapping[str, str]) -> None:
    for source in sorted(path for path in template.rglob("*") if path.is_file()):
        parts = source.relative_to(template).with_suffix("").parts
        target = draft.joinpath(
            *(known["package"] if part == "package" else part for part in parts)
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text(encoding="utf-8")
        if source.suffix == ".copy":
            shutil.copyfile(_meant(text.strip()), target)
        else:
            target.write_text(_rendered(text, known), encoding="utf-8")


def _rendered(text: str, known: Mapping[str, str]) -> str:
    from jinja2 import Environment, StrictUndefined

    plain = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    return plain.from_string(text).render(known)


def _meant(reference: str) -> Path:
    """The file here that a reference such as `pkg://package/path` means."""
    scheme, _, rest = reference.partition("://")
    source = catalogue().source(scheme)
    return source.fetch(rest, None, cache=cache_folder(), offline=True, progress=False).path

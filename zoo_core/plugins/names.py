"""How a new plugin is called: one name as distribution, package, model, class and command."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution

from zoo_core.errors import PluginError, UnknownName
from zoo_core.plugins.catalogue import Catalogue, catalogue
from zoo_core.plugins.known import known_plugins

LONGEST = 30
_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
_IN_TEMPLATES = ("Any", "Block", "Regularizer", "Tensor")  # classes that stand beside the new one


@dataclass(frozen=True)
class PluginName:
    """The name of a plugin in all its forms.

    >>> name = PluginName("my_net")
    >>> name.dashed, name.package, name.distribution, name.class_name
    ('my-net', 'zoo_my_net', 'zoo-my-net', 'MyNet')
    """

    identifier: str

    @property
    def dashed(self) -> str:
        return self.identifier.replace("_", "-")

    @property
    def package(self) -> str:
        return f"zoo_{self.identifier}"

    @property
    def distribution(self) -> str:
        return f"zoo-{self.dashed}"

    @property
    def class_name(self) -> str:
        return "".join(word.capitalize() for word in self.identifier.split("_"))


def plugin_name(typed: str) -> PluginName:
    """The name that somebody typed. Raises PluginError with one to type instead.

    >>> plugin_name("my-net").identifier
    'my_net'
    """
    name = PluginName(typed.replace("-", "_"))
    fault = ""
    if re.match(r"zoo[-_]", typed):
        fault = 'Leave out "zoo": the package gets it'
    elif not _NAME.fullmatch(typed):
        fault = 'A name has lower-case letters, digits, and "-" or "_" between them'
    elif len(typed) > LONGEST:
        fault = f"A name has at most {LONGEST} characters"
    elif keyword.iskeyword(name.class_name) or name.class_name in _IN_TEMPLATES:
        fault = f"Its class would be {name.class_name}, which is another one"
    if fault:
        hint = f"Type: zoo plugins new {_suggested(typed)}"
        raise PluginError(f'"{typed}" cannot be the name of a plugin. {fault}.', hint=hint)
    return name


def _suggested(typed: str) -> str:
    """A name that can be, as near as may be to what was typed.

    >>> _suggested("zoo-MyNet 2"), _suggested("2net"), _suggested("!")
    ('my_net_2', 'net', 'mynet')
    """
    plain = unicodedata.normalize("NFKD", typed).encode("ascii", "ignore").decode()
    apart = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", plain).lower()
    words = "_".join(re.findall(r"[a-z0-9]+", apart.removeprefix("zoo_").removeprefix("zoo-")))
    name = words.lstrip("0123456789_")[:LONGEST].rstrip("_") or "mynet"
    taken = PluginName(name).class_name
    return f"{name}_net" if keyword.iskeyword(taken) or taken in _IN_TEMPLATES else name


def refuse_taken(name: PluginName, kind: str, commands: Collection[str] = ()) -> None:
    """Raise PluginError where the package is installed, or what it would add is there already.

    `commands`: those of the command line.
    """
    known = catalogue()
    holder = _installed(name)
    if not holder and kind == "command" and name.dashed in commands:
        holder = f'zoo has the command "{name.dashed}"'
    if not holder and kind == "regularizer" and name.dashed in known.regularizers():
        holder = f'There is a regularizer "{name.dashed}"'
    if not holder and kind == "source" and name.dashed in known.sources():
        holder = f'There is a weight source "{name.dashed}:"'
    if not holder and kind in ("architecture", "weights"):
        holder = _model(name.identifier, known)
    if holder:
        raise PluginError(
            f'The name "{name.identifier}" is taken. {holder}.',
            hint=f"Choose another, such as my_{name.identifier}.",
        )


def _installed(name: PluginName) -> str:
    for plugin in catalogue().plugins.all:
        if plugin.name == name.package:
            return f"{plugin.title()} is installed"
    if any(plugin.distribution == name.distribution for plugin in known_plugins()):
        return f"{name.distribution} is a plugin of others"
    try:
        return f"{name.distribution} {distribution(name.distribution).version} is installed"
    except PackageNotFoundError:
        return ""


def _model(name: str, known: Catalogue) -> str:
    try:
        model = known.find(name).model
    except PluginError:
        return "More than one plugin offers it"
    except UnknownName:
        return ""
    what = "model" if model.name == name else "family of models"
    return f'{model.distribution} has a {what} "{name}"'

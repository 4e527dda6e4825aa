"""What to say of a name that nothing installed has: the closest one, and who might have it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from zoo_core.errors import PluginError, UnknownName, did_you_mean, named_closest
from zoo_core.plugins.manager import Plugin
from zoo_core.plugins.model_index import ListedModels
from zoo_core.plugins.neighbours import begin_of_many, neighbours
from zoo_core.types import ModelInfo, RegularizerSpec


def unknown_model(name: str, listed: ListedModels, broken: Iterable[Plugin]) -> UnknownName:
    """`listed`: the models there are; `broken`: plugins that might have had it."""
    if name and os.path.isdir(name):  # noqa: PTH112, a Path may raise here
        return UnknownName(f'No model "{name}".', hint=f'For the folder here, write "./{name}".')
    if as_zoo_writes(name):
        return UnknownName(f'No model "{name}".', hint=f'zoo writes "{as_zoo_writes(name)}".')
    distribution, _, rest = name.rpartition(":")
    wanted = name.removesuffix("." + rest.partition(".")[2])
    names = _comparable_names(wanted, listed, full=bool(distribution))
    near = neighbours(wanted, names, listed)
    suspects = [plugin.title() for plugin in broken if _may_have_had_models(plugin)]
    message = [f'No model "{name}".', named_closest(near)]
    message += [f"The plugin {title} is broken and might have had it." for title in suspects]
    hint = _who_has(wanted, "models", "architectures") or _where_to_look(
        wanted, near, listed, bool(suspects)
    )
    return UnknownName(" ".join(part for part in message if part), hint=hint)


def as_zoo_writes(name: str) -> str:
    """What zoo calls that to which timm gives a prefix; "" for other names.

    >>> as_zoo_writes("hf-hub:me/flowers@v1"), as_zoo_writes("local-dir:runs/1")
    ('hf://me/flowers@v1', './runs/1')
    """
    prefix, _, rest = name.partition(":")
    if prefix in ("hf-hub", "hf_hub"):
        return f"hf://{rest.removeprefix('//')}"
    if prefix in ("local-dir", "local_dir"):
        return rest if rest.startswith(("/", "./", "../", "~")) else f"./{rest}"
    return ""


def _comparable_names(wanted: str, listed: ListedModels, *, full: bool) -> set[str]:
    """What one may have meant: models and families; `full`: with their distributions as well."""
    names = {listed.bare(key) for key in listed}
    names |= {listed.architecture(key) for key in listed.defaults()}
    if full:
        names |= {":".join(key) for key in listed}
    return {name for name in names if _comparable(name, wanted)}


def _comparable(name: str, wanted: str) -> bool:
    """Whether a model may be meant by another name: those with a prefix, if it has the same one."""
    prefix, slash, _ = name.rpartition("/")
    return not slash or wanted.startswith(f"{prefix}/")


def _may_have_had_models(plugin: Plugin) -> bool:
    told = ("has a broken manifest", "zoo_manifests", "zoo_architectures")
    return not plugin.hooks or any(words in fault for fault in plugin.faults for words in told)


def similar_to(pattern: str, listed: ListedModels) -> str:
    """What may be meant by a pattern that matches nothing: `Closest: "a", "b".`, or nothing."""
    wanted = pattern.strip("*?")
    names = {*_comparable_names(wanted, listed, full=False), *listed.prefixes()}
    return named_closest(neighbours(wanted, names, listed))


def _where_to_look(wanted: str, near: list[str], listed: ListedModels, broken: bool) -> str:
    prefix = wanted if wanted in listed.prefixes() else wanted.rpartition("/")[0]
    pattern = f"{prefix}/*" if prefix in listed.prefixes() else ""
    if not pattern and any("/" in name for name in near):
        pattern = begin_of_many(wanted, listed)
    command = f"zoo list '{pattern}'" if pattern else "zoo list"
    more = ', "zoo plugins" for what is broken.' if broken else "."
    return f'Run "{command}" for all models{more}'


def unknown_weights(model: ModelInfo, tag: str) -> UnknownName:
    """The error for weights that a model does not have, with those it has."""
    have = f"It has: {', '.join(model.weights)}." if model.weights else "It has none."
    near = did_you_mean(tag, model.weights)
    return UnknownName(f'{model.name} has no weights "{tag}". {near}'.strip(), hint=have)


def unknown_architecture(model: ModelInfo, names: Iterable[str]) -> PluginError:
    """An error of the plugin that lists the model: whoever asked for it wrote no wrong name."""
    name = model.architecture
    near = did_you_mean(name, names)
    return PluginError(
        f'No installed plugin builds the architecture "{name}" of {model.name}. {near}'.strip(),
        hint=_who_has(name, "architectures")
        or 'Run "zoo plugins" to see what is installed and what is broken.',
    )


def unknown_regularizer(name: str, known: Mapping[str, RegularizerSpec]) -> UnknownName:
    """`known`: the regularizers there are, by name."""
    names = list(known)
    aliases = {alias: own for own, spec in known.items() for alias in spec.aliases}
    message = f'No regularizer "{name}". {did_you_mean(name, names, aliases)}'.strip()
    hint = _who_has(name, "regularizers") or f"There is: {', '.join(names)}."
    return UnknownName(message, hint=hint)


def unknown_source(scheme: str, sources: Sequence[str]) -> UnknownName | PluginError:
    """`sources`: those there are, `distribution:scheme` where two plugins offer one."""
    clash = [name.partition(":")[0] for name in sources if name.endswith(f":{scheme}")]
    if clash:
        return PluginError(
            f'The weight source "{scheme}:" is offered by {" and ".join(clash)}.',
            hint="Uninstall one of them, or name the plugins to load in ZOO_PLUGINS.",
        )
    have = ", ".join(f"{name}:" for name in sources)
    return UnknownName(f'No installed plugin fetches from "{scheme}:". Installed: {have}.')


def _who_has(name: str, *lists: str) -> str:
    """A plugin that would have had a name: the directory of known ones is read only now."""
    from zoo_core.plugins.known import who_has

    return who_has(name, *lists)

"""Where in a model the regularizers of activations put their hooks: modules, by dotted path."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from zoo_core.chain import chain_of
from zoo_core.regularize import Regularizer, selected


def modules_of(model: nn.Module, word: str) -> list[str]:
    """The paths of the modules that a stage runs, in order; a path stands for itself.

    A function in the stage's `run` stands for the modules that the stage owns.
    """
    stage = chain_of(model).get(word)
    if stage is None:
        return [word]
    known = {name for name, _ in model.named_modules()}
    owned = [name for name in stage.owns if name in known]
    steps = [[step] if isinstance(step, str) else owned for step in stage.run]
    return list(dict.fromkeys(path for step in steps for path in step))


def head_of(model: nn.Module) -> str | None:
    """The stage `head`, or in a module without stages the path of its last linear layer."""
    if chain_of(model):
        return "head"
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    return linear[-1] if linear else None


def kept_in_eval(model: nn.Module) -> set[str]:
    """The paths of the modules that freezing keeps in eval mode."""
    freezing = getattr(model, "_freezing", None)
    return set(freezing.modules) if freezing is not None else set()


def places(regularizer: Regularizer, words: Iterable[str]) -> list[str]:
    """The stages and paths among `words` that are not excluded.

    Raises RecipeError where one is frozen, or none is left. One without weights, such as a pooling,
    counts as frozen where it is kept in eval mode.
    """
    model = regularizer.model
    left = [w for w in words if selected(model, modules_of(model, w), (), regularizer.exclude)]
    for word in left:
        if not _learns(regularizer, word):
            raise regularizer.nothing_to_act_on(f'trained weights in "{word}"')
    if not left:
        raise regularizer.nothing_to_act_on("stage that is not excluded")
    return left


def trained_layers(
    regularizer: Regularizer, *kinds: type[nn.Module], largest_only: bool = False
) -> list[str]:
    """The paths of the layers of some kinds that train, in order.

    `largest_only`: without 1x1 convolutions.
    """
    still = kept_in_eval(regularizer.model)
    return [
        name
        for name, module in regularizer.model.named_modules()
        if isinstance(module, kinds)
        and name not in still
        and holds(name, regularizer.trained)
        and not (largest_only and isinstance(module, nn.Conv2d) and max(module.kernel_size) == 1)
    ]


def holds(path: str, names: Iterable[str]) -> bool:
    """Whether one of the dotted names is `path` or lies inside; all lie inside the root."""
    return any(not path or name == path or name.startswith(f"{path}.") for name in names)


def _learns(regularizer: Regularizer, word: str) -> bool:
    model, still = regularizer.model, kept_in_eval(regularizer.model)
    if all(path in still for path in modules_of(model, word)):
        return False
    weights = selected(model, dict(model.named_parameters()), [word], ())
    return not weights or any(name in regularizer.trained for name in weights)

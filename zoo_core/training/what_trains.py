"""What trains, where a prefix is not enough: some stages in the middle, norms, or biases.

A new head always trains: nobody has trained it yet.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from zoo_core.chain import before, reach, unknown_stage
from zoo_core.errors import RecipeError
from zoo_core.model.zoo_model import ZooModel
from zoo_core.transfer.freezing import hold, norm_modules

WORDS = ("all", "norm", "bias")


def train_only(model: ZooModel, what: str) -> ZooModel:
    """Train what a word or a range of stages says, and freeze all else. Returns the model.

    `"layer3:"`: from a stage on, as `freeze_until`. `"layer2:layer3"`: from one stage to another,
    both inclusive (surgical fine-tuning, Lee et al., 2022, https://arxiv.org/abs/2210.11466).
    `"norm"`: scales, shifts and statistics of normalisation, and the head (Frankle et al., 2020,
    https://arxiv.org/abs/2003.00152). `"bias"`: biases and the head, with statistics as they are
    (BitFit, Zaken et al., 2021, https://arxiv.org/abs/2106.10199). `"all"`: nothing is frozen.
    Raises UnknownName for a stage that is not there, RecipeError for a range that holds none.

    >>> import zoo_core as zoo
    >>> model = train_only(zoo.create("lenet5"), "conv2:fc1")
    >>> sorted({n.split(".")[0] for n, p in model.named_parameters() if p.requires_grad})
    ['conv2', 'fc1']
    """
    if what == "all":
        return model.unfreeze()
    if what in WORDS:
        return _only(model, what)
    first, _, last = (part.strip() for part in what.partition(":"))
    names = list(model.chain)
    for name in filter(None, (first, last)):
        if name not in model.chain:
            raise unknown_stage(model.chain, name)
    start = names.index(first) if first else 0
    end = names.index(last) + 1 if last else len(names)
    if start >= end:
        raise RecipeError(f'"{what}" holds no stage.', hint=f"In order: {' '.join(names)}.")
    if end == len(names):
        return model.freeze_until(names[start]) if start else model.unfreeze()
    chosen = set(names[start:end]) | ({"head"} if model.origin.new_head else set())
    return _hold_stages(model, what, chosen)


def _hold_stages(model: ZooModel, what: str, chosen: set[str]) -> ZooModel:
    inside = [reach(stage) for name, stage in model.chain.items() if name in chosen]

    def trains(name: str) -> bool:
        return any(stage.has(name) for stage in inside)

    return _hold(model, what, trains, trains)


def _only(model: ZooModel, what: str) -> ZooModel:
    norms = norm_modules(model)
    head = reach(model.chain["head"])  # its dropout, too
    if what == "norm" and not norms:
        raise RecipeError(
            f'{model.info.name} has no normalisation, so train="norm" would train the head alone.',
            hint='Write freeze_until="head", or train="bias".',
        )

    def trains(name: str) -> bool:
        module, _, own = name.rpartition(".")
        return head.has(name) or (module in norms if what == "norm" else own == "bias")

    def moves(name: str) -> bool:
        return head.has(name) or (what == "norm" and name in norms)

    return _hold(model, what, trains, moves)


def _hold(
    model: ZooModel, what: str, trains: Callable[[str], bool], moves: Callable[[str], bool]
) -> ZooModel:
    """Freeze the parameters that `trains` denies, and the modules that `moves` denies.

    A container that holds something that moves is left alone: its mode is that of its parts.
    """
    params = [n for n, _ in model.named_parameters(remove_duplicate=False) if not trains(n)]
    modules = [n for n, m in model.named_modules() if n and not _any_moves(n, m, moves)]
    hold(model, what, tuple(params), tuple(modules))
    return model


def _any_moves(name: str, module: nn.Module, moves: Callable[[str], bool]) -> bool:
    return any(moves(f"{name}.{part}".rstrip(".")) for part, _ in module.named_modules())


def is_subset(what: object) -> bool:
    """Whether it is a word or a range for `train_only`, and not the name of a layer."""
    return isinstance(what, str) and (what in WORDS or ":" in what)


def apply(model: ZooModel, what: str) -> ZooModel:
    """Make a model train what a step of a schedule says: a layer to freeze until, or a subset."""
    if is_subset(what):
        return train_only(model, what)
    if model.chain and what == next(iter(model.chain)):
        return model.unfreeze()  # nothing comes before the first stage
    return model.freeze_until(what)


def freeze(model: ZooModel, what: str) -> None:
    """Make a model train what a phase says; "": what trains already.

    Raises RecipeError where nothing trains.
    """
    if what:
        apply(model, what)
    if not any(p.requires_grad for p in model.parameters()):
        raise RecipeError(
            "Nothing trains: every parameter is frozen.", hint="Call model.unfreeze() first."
        )


def first_trained(model: ZooModel) -> str:
    """The name of the first stage that trains."""
    learns = [name for name, p in model.named_parameters() if p.requires_grad]
    return next((s.name for s in model.chain.values() if any(map(s.has, learns))), "")


def trained_range(model: ZooModel) -> str:
    """What trains, for people: `head`, `layer4 to head`, or `all`."""
    first = first_trained(model)
    if not before(model.chain, first):
        return "all"
    return first if first == "head" else f"{first} to head"

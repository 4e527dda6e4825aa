"""An architecture and its arguments -> a module, with values or as an outline without.

Weights need an outline only: it is built on the meta device, and the tensors of the mapped file are
assigned to it, so that nothing is initialised only to be thrown away, and nothing is copied. A
module that this cannot serve (tensors that no checkpoint holds or that torch does not know of, tied
parameters, values asked for while it is built) is built plainly and its weights are copied; the
result is the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from zoo_core.chain import make_chain
from zoo_core.errors import PluginError, WeightsError, ZooError, did_you_mean
from zoo_core.model.answers import answers_fault
from zoo_core.model.head import put_head
from zoo_core.terminal.lines import logger
from zoo_core.types import Architecture, Stage

if TYPE_CHECKING:
    from zoo_core.plugins.manager import Plugin

log = logger(__name__)


@dataclass(frozen=True)
class Plan:
    """What to build: an architecture with its arguments, on a device, in a type (None: its own).

    `maker`: the third party's plugin that the architecture comes from, for messages. `size`: height
    and width of its pictures; then it is asked what it makes of one, if it is a third party's.
    `sides`: those that were asked for, where they are not the weights' own.
    """

    architecture: Architecture
    config: Mapping[str, Any]
    device: torch.device
    dtype: torch.dtype | None = None
    maker: Plugin | None = None
    size: tuple[int, int] | None = None
    sides: tuple[int, int] | None = None


class Built(NamedTuple):
    module: nn.Module
    chain: dict[str, Stage]


def without_weights(plan: Plan, classes: int, in_chans: int) -> Built:
    """The module as its architecture initialises it."""
    return _plainly(plan, classes, in_chans)


# --- building ------------------------------------------------------------------------------------


def outline(plan: Plan, classes: int, in_chans: int) -> Built:
    """The module without values; with values where it needs some to be built at all."""
    try:
        built = on_meta(plan, classes, in_chans)
    except ZooError:
        return unseen(plan, classes, in_chans)  # which raises again if this was not the reason
    built.module.to(dtype=plan.dtype)
    return built


def on_meta(plan: Plan, classes: int, in_chans: int) -> Built:
    """The module without values. Raises ZooError where it cannot be built so."""
    with torch.device("meta"):
        return _build(plan, classes, in_chans)


def unseen(plan: Plan, classes: int, in_chans: int) -> Built:
    """The module with random values that weights replace: no random number is missed later."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        return _plainly(plan, classes, in_chans)


def _plainly(plan: Plan, classes: int, in_chans: int) -> Built:
    built = _build(plan, classes, in_chans)
    check_values(plan, built.module, others=_unlisted(built.module))
    built.module.to(device=plan.device, dtype=plan.dtype)
    return built


def _build(plan: Plan, classes: int, in_chans: int) -> Built:
    architecture = plan.architecture
    try:
        with _leaving_torch_alone(plan.maker):
            module = architecture.build(
                num_classes=max(classes, 1), in_chans=in_chans, **plan.config
            )
        if not isinstance(module, nn.Module):
            raise ValueError(f"build() returns {_result(module)}, not a module")
        listed: Any = architecture.stages(module)
        listed = list(listed) if isinstance(listed, Iterable) else listed
        if not isinstance(listed, list) or not all(isinstance(s, Stage) for s in listed):
            raise ValueError(f"stages() returns {_result(listed)}, not a list of Stage")
        chain = make_chain(listed, architecture.name)
    except ZooError:
        raise
    except (Exception, SystemExit) as error:  # it is a plugin's code, with a person's arguments
        if plan.maker is None and _while_importing(error):
            raise
        raise _cannot_build(plan, error) from error
    _check_paths(module, chain, architecture.name)
    _check_answers(plan, module, chain, in_chans)
    if classes == 0:
        chain = put_head(module, chain, 0)
    return Built(module, chain)


@contextlib.contextmanager
def _leaving_torch_alone(maker: Plugin | None) -> Iterator[None]:
    """A third party's code imports its network in here: it must not change torch for all others."""
    if maker is None:
        yield
        return
    from zoo_core.plugins.calling import note_changes
    from zoo_core.plugins.shared_state import settings_of_torch
    from zoo_core.plugins.surroundings import kept

    changed: list[str] = []
    try:
        with kept(changed, settings_of_torch):
            yield
    finally:
        note_changes(maker, changed, "when it builds a model")


def _result(returned: object) -> str:
    """What a function of a plugin returned, for a message; mostly somebody forgot `return`."""
    return "nothing" if returned is None else f"a {type(returned).__name__}"


def _cannot_build(plan: Plan, error: BaseException) -> ZooError:
    """What went wrong, and in whose code where it is not zoo's own."""
    text = " ".join(str(error).split("\nException raised from")[0].split()).rstrip(".")
    what = f'The architecture "{plan.architecture.name}"'
    if plan.maker is None:
        return ZooError(f"{what} cannot be built: {text}.")
    return ZooError(
        f"{what} of {plan.maker.title()} cannot be built: "
        f"{type(error).__name__}: {text or 'no message'}.",
        hint=f'"zoo plugins check {plan.maker.name}" says more, --debug shows where.',
    )


def _check_answers(
    plan: Plan, module: nn.Module, chain: Mapping[str, Stage], in_chans: int
) -> None:
    """What is no classifier of pictures in a chain of tensors would fail later, and not say why."""
    if plan.maker is None or plan.size is None:
        return
    fault = answers_fault(module, chain, (in_chans, *plan.size))
    if fault:
        raise PluginError(
            f'The architecture "{plan.architecture.name}" of {plan.maker.title()}: {fault}',
            hint=f'"zoo plugins check {plan.maker.name}" says more.',
        )


def _while_importing(error: BaseException) -> bool:
    """Whether an import failed: the installation is at fault then, and no argument."""
    names = [frame.f_code.co_name for frame, _ in walk_tb(error.__traceback__)]
    return isinstance(error, ImportError) or "<module>" in names


def _check_paths(module: nn.Module, chain: Mapping[str, Stage], architecture: str) -> None:
    for stage in chain.values():
        for path in (*stage.run, *stage.owns):
            if isinstance(path, str) and not _has(module, path):
                raise PluginError(
                    f'The stage "{stage.name}" of "{architecture}" names {path}, which its '
                    f"{type(module).__name__} does not have. "
                    f"{did_you_mean(path, [name for name, _ in module.named_modules()])}".rstrip()
                )


def _has(module: nn.Module, path: str) -> bool:
    parent, _, name = path.rpartition(".")
    try:
        return hasattr(module.get_submodule(parent), name)
    except AttributeError:
        return False


# --- what the module is --------------------------------------------------------------------------


def why_plain(module: nn.Module) -> str:
    """Why a checkpoint cannot give the module every tensor, each once; "" where it can."""
    state = module.state_dict(keep_vars=True)
    buffers = {name for name, _ in module.named_buffers(remove_duplicate=False)}
    unsaved = sorted(buffers - state.keys())
    if unsaved:
        return f"the buffer {unsaved[0]} is in no checkpoint"
    if len({id(tensor) for tensor in state.values()}) < len(state):
        return "parameters are tied"
    if next(_unlisted(module), None) is not None:
        return "a tensor is neither parameter nor buffer"
    return ""


def _unlisted(module: nn.Module) -> Iterator[Tensor]:
    """Tensors that are neither parameter nor buffer: plain attributes, also in lists and dicts."""
    for part in module.modules():
        for name, value in vars(part).items():
            if isinstance(value, Tensor):
                yield value
            elif isinstance(value, dict | list | tuple) and name not in _LISTED and value:
                yield from (leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor))


_LISTED = ("_parameters", "_buffers", "_modules")


def check_values(plan: Plan, module: nn.Module, others: Iterable[Tensor]) -> None:
    named = [*module.named_parameters(), *module.named_buffers()]
    named += [("an attribute", tensor) for tensor in others]
    left = [name for name, tensor in named if tensor.is_meta]
    if left:
        raise WeightsError(
            f'"{plan.architecture.name}" has tensors without values: {", ".join(left[:3])}.',
            hint="Its build() puts them on the meta device.",
        )

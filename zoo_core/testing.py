"""Contract tests for plugin authors: call them in your own tests.

    from zoo_core.testing import check_architecture

    def test_contract():
        check_architecture("mynet")

Each failure is an AssertionError that says what does not hold, where, and what to change.
"""

from __future__ import annotations

import copy
import functools
import pickle
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.assembly import Plan, without_weights
from zoo_core.building import checked_config
from zoo_core.catalogue import catalogue
from zoo_core.chain import owner, run_stages
from zoo_core.errors import FreezeError, ZooError
from zoo_core.model import Origin, ZooModel, as_zoo_model
from zoo_core.regularizer_checks import check_regularizer as check_regularizer
from zoo_core.types import Architecture, InputSpec, ModelInfo, Stage

CLASSES = 7


def check_architecture(
    architecture: str | Architecture, *, size: tuple[int, int, int] | None = None, **config: Any
) -> None:
    """Check that an architecture keeps the contract of stages; the weights are random.

    `architecture`: the name of an installed model, or the record itself. `size`: (channels,
    height, width) of the pictures to try, for speed; by default those of the model. `config`:
    arguments of the architecture.

    >>> check_architecture("lenet5")
    """
    imports_no_torch()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            _check(architecture, size, config)
        except ZooError as error:  # a chain that is none, a name that is taken
            raise AssertionError(str(error)) from error


def _check(
    architecture: str | Architecture, size: tuple[int, int, int] | None, config: dict[str, Any]
) -> None:
    spec = InputSpec()
    if isinstance(architecture, str):
        info = catalogue().find(architecture).model
        architecture, spec = catalogue().architecture(info), info.input
        config = {**info.config, **checked_config(architecture, info, config)}
    if size is not None:
        spec = replace(spec.with_channels(size[0]), size=size)
    channels = spec.size[0]
    other = spec.with_channels(1 if channels != 1 else 4)
    arguments_reach_the_layers(_model(architecture, other, config))
    model = _model(architecture, spec, config)
    arguments_reach_the_layers(model)
    x = torch.randn(2, *spec.size)
    stages_own_everything_once(model)
    _show_everything(model, x)
    stages_compose(model, x)
    freezing_equals_autograd(model, x)
    frozen_stages_stand_still(model, x)
    copies_are_equal(model, x)
    heads_are_replaced(model, x)


def _model(architecture: Architecture, spec: InputSpec, config: dict[str, Any]) -> ZooModel:
    """What create() would make of it, but of `build` alone: create() itself changes heads."""
    name, channels = architecture.name, spec.size[0]
    plan = Plan(architecture, config, torch.device("cpu"))
    built = without_weights(plan, CLASSES, channels)
    return as_zoo_model(
        built.module,
        chain=built.chain,
        info=ModelInfo(name, name),
        origin=Origin(name, config, None, None, CLASSES, channels),
        input=spec,
        labels=None,
    )


def _show_everything(model: ZooModel, x: Tensor) -> None:
    """Values that hide no difference, as a head of zeros or signals that fade on their way would.

    Constant parameters get noise, and running statistics those of these pictures.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
    momenta = [norm.momentum for norm in norms]
    with torch.no_grad():
        for parameter in model.parameters():
            if bool((parameter == parameter.flatten()[:1]).all()):
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
        for norm in norms:
            norm.momentum = 1.0
        model.train()(x.clone())
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)


# --- the contract, point by point ----------------------------------------------------------------


@functools.cache
def imports_no_torch() -> None:
    """Reading the catalogue imports neither torch nor timm, so that listing the zoo is quick."""
    code = "import sys; from zoo_core.catalogue import catalogue; catalogue(); "
    code += "print(*{'torch', 'timm'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = done.stdout.strip()
    _expect(not heavy, f"A plugin's __init__ imports {heavy}: import it inside functions.")


def arguments_reach_the_layers(model: ZooModel) -> None:
    """build() does what num_classes and in_chans say."""
    given = f"in_chans={model.input.size[0]}, num_classes={CLASSES}"
    try:
        with torch.no_grad():
            scores = model.eval()(torch.randn(2, *model.input.size))
    except (RuntimeError, ValueError) as error:
        shape = tuple(model.input.size)
        fault = f"build({given}) takes no pictures of shape {shape}: {error}"
        raise AssertionError(f"{fault}\nPass in_chans on to the first layer.") from error
    one = isinstance(scores, Tensor)
    _expect(one, f"forward() must give one tensor of scores, not a {type(scores).__name__}.")
    shape = tuple(scores.shape)
    fault = f"build({given}) gives scores of shape {shape} for two pictures"
    _expect(shape == (2, CLASSES), f"{fault}: pass num_classes on to the last layer.")


def stages_own_everything_once(model: ZooModel) -> None:
    """Every parameter and every buffer belongs to exactly one stage."""
    buffers = [name for name, _ in model.named_buffers()]  # also those that are not persistent
    for name in dict.fromkeys([*model.state_dict(), *buffers]):
        owners = [stage.name for stage in model.chain.values() if stage.has(name)]
        _expect(bool(owners), f"{name} belongs to no stage: add it to the `owns` of one.")
        _expect(len(owners) == 1, f"{name} belongs to {' and '.join(owners)}: leave it in one.")


def stages_compose(model: ZooModel, x: Tensor) -> None:
    """The stages one after the other are the forward pass, bit for bit.

    In eval mode, and with one seed in train mode.
    """
    buffers = {name: tensor.clone() for name, tensor in model.named_buffers()}
    for training in (False, True):
        model.train(training)
        results = []
        for forward in (model, lambda t: run_stages(model, model.chain.values(), t)):
            torch.manual_seed(0)
            with torch.no_grad():
                results.append(forward(x.clone()))
        _expect(
            isinstance(results[1], Tensor) and torch.equal(*results),
            f"In {'train' if training else 'eval'} mode the stages do not compose to forward(): "
            f"compare forward() with {' -> '.join(model.chain)}, dropout and flattening included.",
        )
    with torch.no_grad():
        for name, tensor in model.named_buffers():
            tensor.copy_(buffers[name])


def freezing_equals_autograd(model: ZooModel, x: Tensor) -> None:
    """For every stage, what the declaration freezes is what autograd says feeds it.

    Each stage, run alone, uses no other's parameters; then what feeds one is what is before it.
    The head has one layer.
    """
    model.eval()
    feeding: set[str] = set()
    used: set[str] = set()
    for stage in model.chain.values():
        if feeding:
            model.freeze_until(stage.name)
            missing = ", ".join(sorted(feeding - set(model.frozen))[:3])
            _expect(not missing, f'freeze_until("{stage.name}") leaves {missing} to train.')
        used, x = _uses(model.unfreeze(), stage, x)
        for name in sorted(used):
            other = f"{name} belongs to {owner(model.chain, name)}"
            _expect(stage.has(name), f'{other}, but autograd says that "{stage.name}" uses it.')
        feeding |= used
    layers = {name.rpartition(".")[0] for name in used}  # of the last stage
    kinds = [model.get_submodule(layer) for layer in layers]
    owned = ", ".join(sorted(layers)) or "nothing"
    _expect(
        len(kinds) == 1 and isinstance(kinds[0], nn.Linear | nn.Conv2d),
        f"The head must own the last linear layer (or convolution) alone, not {owned}.",
    )


def _uses(model: ZooModel, stage: Stage, x: Tensor) -> tuple[set[str], Tensor]:
    """The parameters that autograd finds behind the output of a stage alone, and that output."""
    learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
    x = run_stages(model, [stage], x.detach().requires_grad_().clone())
    if not x.requires_grad:
        return set(), x
    gradients = torch.autograd.grad(  # a stage that goes round a boundary needs an earlier's graph
        x.sum(), list(learning.values()), retain_graph=True, allow_unused=True
    )
    return {n for n, gradient in zip(learning, gradients, strict=True) if gradient is not None}, x


def frozen_stages_stand_still(model: ZooModel, x: Tensor) -> None:
    """What is frozen computes in train mode what it does in eval mode, and no buffer moves."""
    expected = _boundaries(model.eval(), x)
    for stage in list(model.chain)[1:]:
        try:
            model.freeze_until(stage)
        except FreezeError:
            continue
        model.train()
        frozen = {n: b for n, b in model.named_buffers() if _frozen_buffer(model, n, stage)}
        before = _copied(frozen)
        with torch.no_grad():
            found = model.forward_until(x.clone(), stage)
        fault = "something is random, or else, in train mode although it is frozen"
        advice = "make it a module, not a function"
        _expect(torch.equal(found, expected[stage]), f'Before "{stage}" {fault}: {advice}.')
        moved = _moved(model.named_buffers(), before)
        _expect(not moved, f'{", ".join(moved[:3])} moves although it is before "{stage}".')
    model.unfreeze()


def _boundaries(model: ZooModel, x: Tensor) -> dict[str, Tensor]:
    """The tensor that enters each stage."""
    entering = {}
    with torch.no_grad():
        for stage in model.chain.values():
            entering[stage.name] = x.clone()  # the stage may work in place
            x = run_stages(model, [stage], x.clone())
    return entering


def _frozen_buffer(model: ZooModel, name: str, stage: str) -> bool:
    order, own = list(model.chain), owner(model.chain, name)
    return own is not None and order.index(own) < order.index(stage)


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _moved(tensors: Iterable[tuple[str, Tensor]], before: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that are no longer as they were."""
    return [name for name, t in tensors if name in before and not torch.equal(t, before[name])]


def copies_are_equal(model: ZooModel, x: Tensor) -> None:
    """A deep copy computes the same, and the stages can be pickled with the model."""
    try:
        pickle.dumps(model.chain)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        advice = "the functions in `run` must be those of a module"
        raise AssertionError(f"The stages cannot be pickled: {advice} ({error}).") from error
    model.eval()
    with torch.no_grad():
        equal = torch.equal(copy.deepcopy(model)(x), model(x))
    _expect(equal, "A deep copy of the model computes something else.")


def heads_are_replaced(model: ZooModel, x: Tensor) -> None:
    """Without a head the features come out, and a new head fits them."""
    model.eval()
    with torch.no_grad():
        features = tuple(model.reset_head(0)(x).shape)
        expected = len(features) == 2 and features[0] == 2
        _expect(expected, f"Without a head, {features} comes out.")
        scores = tuple(model.reset_head(CLASSES + 1)(x).shape)
        fault = "A new head does not give as many scores as it has classes."
        _expect(scores == (2, CLASSES + 1), fault)

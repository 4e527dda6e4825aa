"""Contract tests for plugin authors: call them in your own tests.

    from zoo_core.testing import check_architecture

    def test_contract():
        check_architecture("mynet")

Each failure is an AssertionError that says what does not hold, where, and what to change.
"""

from __future__ import annotations

import copy
import functools
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.building import create
from zoo_core.chain import make_chain, owner, run_stages
from zoo_core.errors import FreezeError
from zoo_core.model import Origin, ZooModel, as_zoo_model
from zoo_core.regularize import Regularizer, Stack, regularizers
from zoo_core.transfer import Freezable
from zoo_core.types import Architecture, InputSpec, ModelInfo

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
    model = _model(architecture, CLASSES, size, config)
    torch.manual_seed(0)
    x = torch.randn(2, *(size or model.input.size))
    names_do_not_clash(model)
    stages_own_everything_once(model)
    stages_compose(model, x)
    freezing_equals_autograd(model, x)
    frozen_stages_stand_still(model, x)
    copies_are_equal(model, x)
    heads_are_replaced(model, x)
    channels = 1 if x.shape[1] != 1 else 4
    other = _model(architecture, CLASSES, (channels, *x.shape[2:]), config)
    given = f"in_chans={channels}, num_classes={CLASSES}"
    _expect(
        other.eval()(torch.randn(2, channels, *x.shape[2:])).shape == (2, CLASSES),
        f"{given} gives other shapes: pass both on to the layers.",
    )


def _model(
    architecture: str | Architecture,
    classes: int,
    size: tuple[int, int, int] | None,
    config: dict[str, Any],
) -> ZooModel:
    channels = size[0] if size else None
    if isinstance(architecture, str):
        return create(
            architecture, pretrained=False, num_classes=classes, in_chans=channels, **config
        )
    spec = (InputSpec(size) if size else InputSpec()).with_channels(channels or 3)
    module = architecture.build(num_classes=classes, in_chans=spec.size[0], **config)
    name = architecture.name
    return as_zoo_model(
        module,
        chain=make_chain(architecture.stages(module), name),
        info=ModelInfo(name, name),
        origin=Origin(name, config, None, None, classes, spec.size[0]),
        input=spec,
        labels=None,
    )


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


def names_do_not_clash(model: ZooModel) -> None:
    """No name that ZooModel adds is one of the original class."""
    original = type(model)._original  # type: ignore[attr-defined]
    added = sorted({n for n in (*vars(ZooModel), *vars(Freezable)) if not n.startswith("__")})
    clash = ", ".join(n for n in added if hasattr(original, n) and not hasattr(nn.Module, n))
    _expect(not clash, f"{original.__name__} has {clash}, which ZooModel adds: rename yours.")


def stages_own_everything_once(model: ZooModel) -> None:
    """Every parameter and every buffer belongs to exactly one stage."""
    for name in model.state_dict():
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
                results.append(forward(x))
        _expect(
            isinstance(results[0], Tensor) and torch.equal(*results),
            f"In {'train' if training else 'eval'} mode the stages do not compose to forward(): "
            f"compare forward() with {' -> '.join(model.chain)}, dropout and flattening included.",
        )
    with torch.no_grad():
        for name, tensor in model.named_buffers():
            tensor.copy_(buffers[name])


def freezing_equals_autograd(model: ZooModel, x: Tensor) -> None:
    """For every stage, what the declaration freezes is what autograd says feeds it.

    The head has one layer.
    """
    model.unfreeze().eval()
    names, parameters = zip(*model.named_parameters(), strict=True)
    boundary = x.clone().requires_grad_()
    boundaries = {}
    for stage in model.chain.values():
        boundaries[stage.name] = boundary
        boundary = run_stages(model, [stage], boundary)
    used = _behind(boundary, names, parameters)
    behind = {stage: _behind(tensor, names, parameters) for stage, tensor in boundaries.items()}
    for stage_name, feeding in behind.items():
        declared = {n for n in used if _comes_before(model, owner(model.chain, n), stage_name)}
        wrong = ", ".join(sorted(feeding ^ declared)[:3])
        question = f'whether it feeds "{stage_name}"'
        _expect(not wrong, f"{wrong}: stages and autograd disagree on {question}.")
        if feeding:
            model.freeze_until(stage_name)
            missing = ", ".join(sorted(feeding - set(model.frozen))[:3])
            _expect(not missing, f'freeze_until("{stage_name}") leaves {missing} to train.')
    model.unfreeze()
    head = {n for n in used if model.chain["head"].has(n)}
    layers = {n.rpartition(".")[0] for n in head}
    kinds = [model.get_submodule(layer) for layer in layers]
    owned = ", ".join(sorted(layers)) or "nothing"
    _expect(
        len(kinds) == 1 and isinstance(kinds[0], nn.Linear | nn.Conv2d),
        f"The head must own the last linear layer (or convolution) alone, not {owned}.",
    )


def _behind(tensor: Tensor, names: Iterable[str], parameters: Sequence[Tensor]) -> set[str]:
    gradients = torch.autograd.grad(tensor.sum(), parameters, retain_graph=True, allow_unused=True)
    return {name for name, gradient in zip(names, gradients, strict=True) if gradient is not None}


def _comes_before(model: ZooModel, stage: str | None, other: str) -> bool:
    order = list(model.chain)
    return stage is not None and order.index(stage) < order.index(other)


def frozen_stages_stand_still(model: ZooModel, x: Tensor) -> None:
    """What is frozen gives the same result twice in train mode, and its buffers do not move."""
    for stage in list(model.chain)[1:]:
        try:
            model.freeze_until(stage)
        except FreezeError:
            continue
        model.train()
        frozen = {n: b for n, b in model.named_buffers() if _frozen_buffer(model, n, stage)}
        before = _copied(frozen)
        with torch.no_grad():
            twice = [model.forward_until(x, stage) for _ in range(2)]
        random = "something is random in train mode although it is frozen"
        advice = "make it a module, not a function"
        _expect(torch.equal(*twice), f'Before "{stage}" {random}: {advice}.')
        moved = _moved(model.named_buffers(), before)
        _expect(not moved, f'{", ".join(moved[:3])} moves although it is before "{stage}".')
    model.unfreeze()


def _frozen_buffer(model: ZooModel, name: str, stage: str) -> bool:
    return _comes_before(model, owner(model.chain, name), stage)


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _moved(tensors: Iterable[tuple[str, Tensor]], before: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that are no longer as they were."""
    return [name for name, t in tensors if name in before and not torch.equal(t, before[name])]


def copies_are_equal(model: ZooModel, x: Tensor) -> None:
    """A deep copy computes the same."""
    model.eval()
    with torch.no_grad():
        equal = torch.equal(copy.deepcopy(model)(x), model(x))
    _expect(equal, "A deep copy of the model computes something else.")


def heads_are_replaced(model: ZooModel, x: Tensor) -> None:
    """num_classes does what it says.

    Without a head the features come out, and a new head fits them.
    """
    model.eval()
    with torch.no_grad():
        scores = tuple(model(x).shape)
        _expect(scores == (2, CLASSES), f"num_classes={CLASSES} gives scores of shape {scores}.")
        features = tuple(model.reset_head(0)(x).shape)
        expected = len(features) == 2 and features[0] == 2
        _expect(expected, f"Without a head, {features} comes out.")
        scores = tuple(model.reset_head(CLASSES + 1)(x).shape)
        fault = "A new head does not give as many scores as it has classes."
        _expect(scores == (2, CLASSES + 1), fault)


# --- regularizers --------------------------------------------------------------------------------


def check_regularizer(regularizer: str | Regularizer, *, steps: int = 3) -> None:
    """Check that a regularizer keeps the contract, in a short training with a frozen layer.

    `regularizer`: as in `zoo.regularizers`: a name with options, or an object that is not attached
    yet.

    >>> check_regularizer("l2=0.1")
    """
    fresh = copy.deepcopy(regularizer)
    stack = regularizers([regularizer])
    model = _small_network()
    before = _copied({n: p for n, p in model.named_parameters() if not p.requires_grad})
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01)
    reference = {name: parameter.detach() for name, parameter in model.named_parameters()}
    stack.attach(model, optimizer=optimizer, reference=reference)
    for _ in range(steps):
        _train_step(stack, model, optimizer)
        with stack.evaluating():
            stack.validation({"loss": 1.0, "accuracy": 0.5})
    value = stack.penalty()
    valid = value.ndim == 0 and bool(torch.isfinite(value)) and bool(value >= 0)
    _expect(valid, f"penalty() is {value}, not 0 or more.")
    if _has_penalty(stack.members[0]):
        _gradients_are_the_penaltys(stack, model)
    again = regularizers([fresh])
    again.load_state_dict(stack.state_dict())
    again.attach(model, optimizer=optimizer, reference=reference)
    stack.detach()
    moved = _moved(model.named_parameters(), before)
    _expect(not moved, f"{', '.join(moved)} moved although it is frozen: act on self.trained only.")
    finite = all(bool(torch.isfinite(p).all()) for p in model.parameters() if p.requires_grad)
    _expect(finite, "Weights are no numbers after a few steps.")


def _small_network() -> nn.Sequential:
    torch.manual_seed(0)
    first, second, head = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
    first.requires_grad_(False)
    return nn.Sequential(first, nn.Tanh(), second, nn.Tanh(), head).double()


def _train_step(stack: Stack, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    x, y = stack.batch(torch.randn(16, 6, dtype=torch.float64), torch.randint(3, (16,)))
    optimizer.zero_grad()

    def closure() -> Tensor:
        outputs = model(x)
        loss = stack.loss(nn.functional.cross_entropy(outputs, y), outputs, y)
        loss.backward()
        return loss.detach()

    _expect(bool(torch.isfinite(stack.passes(closure))), "The loss is no number.")
    stack.gradients()
    optimizer.step()
    stack.weights()


def _has_penalty(member: Regularizer) -> bool:
    kind = type(member)
    return kind.penalty is not Regularizer.penalty and kind.gradients is not Regularizer.gradients


def _gradients_are_the_penaltys(stack: Stack, model: nn.Module, width: float = 1e-5) -> None:
    """gradients() adds the derivative of penalty(): by differences, at a weight of each tensor."""
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        for each in model.parameters():
            each.grad = torch.zeros_like(each) if each.requires_grad else None
        stack.gradients()
        assert parameter.grad is not None
        added = parameter.grad.flatten()[0].item()
        flat = parameter.data.view(-1)
        start, values = flat[0].item(), []
        for step in (width, -width):
            flat[0] = start + step
            values.append(stack.penalty().item())
        flat[0] = start
        slope = (values[0] - values[1]) / (2 * width)
        _expect(
            abs(added - slope) <= 1e-6 + 1e-4 * abs(slope),
            f"gradients() adds {added:g} to {name}[0], but penalty() rises by {slope:g}.",
        )

"""A model's twin in eval mode: the same scores and tensors, and nothing moves on the model."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import zoo_core as zoo
from zoo_core.transfer.eval_twin import in_eval_mode


class Net(nn.Module):
    """Normalisation and dropout, so that modes show."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(4, 8), nn.BatchNorm1d(8)
        self.drop, self.last = nn.Dropout(), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.drop(self.norm(self.first(x))))


class Adapter:
    """Stands in front of a module, as those of other libraries do."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.inner = module, module.forward

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) + 1


class Recorder:
    """Keeps what a hook sees, and the model that it belongs to."""

    def __init__(self, model: Net) -> None:
        self.model, self.seen = model, None
        model.norm.register_forward_hook(self.note)

    def note(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        self.seen = output


def in_a_list(model: Net) -> None:
    order = [model.first, model.norm, model.drop, model.last]
    model.order = order

    def forward(self: Net, x: Tensor) -> Tensor:
        return functools.reduce(lambda h, part: part(h), self.order, x)

    model.forward = types.MethodType(forward, model)


def by_a_closure(model: Net) -> None:
    before = model.norm.forward
    model.norm.forward = lambda x: before(x) * 2


def by_a_default(model: Net) -> None:
    model.norm.forward = lambda x, before=model.norm.forward: before(x) * 2


def by_a_partial(model: Net) -> None:
    def doubled(norm: nn.Module, x: Tensor) -> Tensor:
        return nn.BatchNorm1d.forward(norm, x) * 2

    model.norm.forward = functools.partial(doubled, model.norm)


def by_an_object(model: Net) -> None:
    model.norm.forward = Adapter(model.norm).forward


def by_a_hook(model: Net) -> None:
    model.first.register_forward_hook(lambda module, inputs, output: model.drop(output))


def compiled_inside(model: Net) -> None:
    model.norm = torch.compile(model.norm, backend="eager")


def compiled_in_place(model: Net) -> None:
    model.norm.compile(backend="eager")


def scripted_inside(model: Net) -> None:
    model.norm = torch.jit.script(model.norm)


WAYS = (
    in_a_list, by_a_closure, by_a_default, by_a_partial, by_an_object, by_a_hook,
    pytest.param(compiled_inside, marks=pytest.mark.slow),
    pytest.param(compiled_in_place, marks=pytest.mark.slow),
)  # fmt: skip


@pytest.mark.parametrize("way", [lambda model: None, *WAYS], ids=lambda way: way.__name__)
def test_the_twin_computes_what_the_model_does_in_eval_mode(way: Callable[[Net], None]) -> None:
    torch.manual_seed(0)
    model, x = Net(), torch.randn(16, 4)
    way(model)
    model.norm.running_mean.normal_()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    twin = in_eval_mode(model)
    with torch.no_grad():
        said = [twin(x), twin(x)]
    assert all(modes) and [module.training for module in model.modules()] == modes
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())
    with torch.no_grad():
        wanted = model.eval()(x)
    assert torch.equal(said[0], said[1]) and torch.equal(said[0], wanted)


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_a_scripted_part_is_copied_since_its_mode_is_in_c() -> None:
    model, x = Net(), torch.randn(16, 4)
    scripted_inside(model)
    moved = model.norm.running_mean.clone()
    with torch.no_grad():
        said = in_eval_mode(model)(x)
        assert model.norm.training and torch.equal(model.norm.running_mean, moved)
        assert torch.equal(said, model.eval()(x))


def test_tensors_are_shared_and_a_model_in_eval_mode_is_its_own_twin() -> None:
    model = Net()
    twin = in_eval_mode(model)
    ours = [*model.parameters(), *model.buffers()]
    assert all(a is b for a, b in zip(ours, [*twin.parameters(), *twin.buffers()], strict=True))
    assert type(twin) is Net and twin.norm is not model.norm
    model.drop.train(False)
    assert in_eval_mode(model) is not model
    assert in_eval_mode(model.eval()) is model


def test_hooks_run_and_keep_what_they_see_where_they_keep_it() -> None:
    model, taken = Net(), []
    recorder = Recorder(model)
    hook = model.last.register_forward_pre_hook(lambda module, inputs: taken.append(module))
    twin = in_eval_mode(model)
    twin(torch.zeros(2, 4))
    assert recorder.seen is not None and taken == [twin.last]
    hook.remove()
    in_eval_mode(model)(torch.zeros(2, 4))
    assert len(taken) == 1


def test_what_a_pass_sets_stays_on_the_twin() -> None:
    model = Net()
    model.norm.register_buffer("calls", torch.zeros(1))

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        self.calls, self.last_seen = self.calls + 1, x
        return x

    model.norm.forward = types.MethodType(forward, model.norm)
    in_eval_mode(model)(torch.zeros(2, 4))
    assert model.norm.calls == 0 and not hasattr(model.norm, "last_seen")


@pytest.mark.parametrize("name", ["lenet5", "resnet18", "timm/test_vit", "timm/test_efficientnet"])
def test_models_of_the_zoo(name: str) -> None:
    model = zoo.create(name, num_classes=5).freeze_until("head")
    twin, x = in_eval_mode(model), torch.randn(2, *model.input.size)
    with torch.no_grad():
        scores, features = twin(x), twin.forward_until(x, "head")
        assert model.training and twin.labels == model.labels
        assert torch.equal(scores, model.eval()(x))
        assert torch.equal(features, model.forward_until(x, "head"))

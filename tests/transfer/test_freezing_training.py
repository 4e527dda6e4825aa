"""Training moves what trains, and leaves what is frozen as it is, bit for bit."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import timm.optim
import torch
from torch import nn, optim
from torch.nn import functional

import zoo_core as zoo

Make = Callable[[nn.Module], optim.Optimizer]
PICTURES = torch.rand(4, 3, 9, 9, generator=torch.Generator().manual_seed(0))
CLASSES = torch.tensor([0, 1, 0, 1])


def small_network() -> nn.Sequential:
    """`first` and `second`: convolution, batch norms with and without weights, dropout."""
    torch.manual_seed(0)
    net = nn.Sequential()
    net.first, net.second = block(3), block(4)
    net.pool, net.flat, net.head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    return net


def block(width: int) -> nn.Sequential:
    norms = nn.BatchNorm2d(4), nn.BatchNorm2d(4, affine=False)
    return nn.Sequential(nn.Conv2d(width, 4, 3), *norms, nn.ReLU(), nn.Dropout(0.2))


def step(
    model: nn.Module,
    optimizer: optim.Optimizer,
    x: torch.Tensor = PICTURES,
    *,
    to_none: bool,
    graph: bool = False,
) -> None:
    def closure() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=to_none)
        loss = functional.cross_entropy(model(x), CLASSES)
        loss.backward(create_graph=graph)
        return loss

    optimizer.step(closure)


def values(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def moved(model: nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {n for n, tensor in model.state_dict().items() if not torch.equal(tensor, before[n])}


def freeze(model: nn.Module) -> None:
    zoo.freeze_until(model, "second", example=PICTURES)


def assert_training_leaves_the_frozen_part(
    make: Make, *, to_none: bool, mid_training: bool, graph: bool = False
) -> None:
    """The optimizer gets all parameters. Mid-training: it has a state, and gradients are left."""
    model = small_network()
    optimizer = make(model)
    if mid_training:
        for _ in range(2):
            step(model, optimizer, to_none=to_none, graph=graph)
    functional.cross_entropy(model(PICTURES), CLASSES).backward()
    assert model.first[0].weight.grad is not None
    freeze(model)
    before = values(model)
    for _ in range(5):
        step(model.train(), optimizer, to_none=to_none, graph=graph)
        model.eval()
    expected = {name for name in before if not name.startswith("first")}
    assert moved(model, before) == expected


# --- optimizers ----------------------------------------------------------------------------------

TORCH: dict[str, Make] = {
    "SGD": lambda m: optim.SGD(m.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1),
    "SGD, Nesterov": lambda m: optim.SGD(
        m.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True
    ),
    "SGD, one by one": lambda m: optim.SGD(
        m.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1, foreach=False
    ),
    "Adam": lambda m: optim.Adam(m.parameters(), lr=0.1, weight_decay=0.1),
    "Adam, amsgrad": lambda m: optim.Adam(m.parameters(), lr=0.1, weight_decay=0.1, amsgrad=True),
    "AdamW": lambda m: optim.AdamW(m.parameters(), lr=0.1, weight_decay=0.1),
    "AdamW, fused": lambda m: optim.AdamW(m.parameters(), lr=0.1, weight_decay=0.1, fused=True),
    "RMSprop": lambda m: optim.RMSprop(m.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1),
    "NAdam": lambda m: optim.NAdam(m.parameters(), lr=0.1, weight_decay=0.1),
    "RAdam": lambda m: optim.RAdam(m.parameters(), lr=0.1, weight_decay=0.1),
    "Adamax": lambda m: optim.Adamax(m.parameters(), lr=0.1, weight_decay=0.1),
    "Adagrad": lambda m: optim.Adagrad(m.parameters(), lr=0.1, weight_decay=0.1),
    "Adadelta": lambda m: optim.Adadelta(m.parameters(), lr=0.1, weight_decay=0.1),
    "ASGD": lambda m: optim.ASGD(m.parameters(), lr=0.1, weight_decay=0.1),
    "Rprop": lambda m: optim.Rprop(m.parameters(), lr=0.1),
    "Adafactor": lambda m: optim.Adafactor(m.parameters(), lr=0.1, weight_decay=0.1),
}


@pytest.mark.parametrize("mid_training", [False, True])
@pytest.mark.parametrize("to_none", [False, True])
@pytest.mark.parametrize("name", TORCH)
def test_no_optimizer_of_torch_moves_what_is_frozen(name, to_none, mid_training):
    assert_training_leaves_the_frozen_part(TORCH[name], to_none=to_none, mid_training=mid_training)


def one_of_each_kind_in_timm() -> list[str]:
    """A name per class; those of bitsandbytes and apex need packages and devices of their own."""
    kinds = {}
    for name in timm.optim.list_optimizers():
        kind = timm.optim.get_optimizer_info(name).opt_class
        if not isinstance(kind, str):
            kinds.setdefault(kind, name)
    return [*kinds.values(), "lookahead_sgd", "lookahead_adamw"]


@pytest.mark.filterwarnings("ignore:Using backward\\(\\) with create_graph=True")
@pytest.mark.filterwarnings("ignore:It is highly recommended to have .opt_einsum.")
@pytest.mark.parametrize("to_none", [False, True])
@pytest.mark.parametrize("name", one_of_each_kind_in_timm())
def test_no_optimizer_of_timm_moves_what_is_frozen(name, to_none):
    def make(model: nn.Module) -> optim.Optimizer:
        settings = {"lr": 0.1, "weight_decay": 0.1, "momentum": 0.9}
        return timm.optim.create_optimizer_v2(list(model.parameters()), opt=name, **settings)

    with torch.compiler.set_stance("force_eager"):  # kron would compile itself, for a minute
        assert_training_leaves_the_frozen_part(
            make, to_none=to_none, mid_training=True, graph=name == "adahessian"
        )


def test_optimizers_for_matrices_move_nothing_frozen():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2))
    optimizer = optim.Muon([p for p in net.parameters() if p.ndim == 2], lr=0.1, weight_decay=0.1)
    x = torch.rand(4, 3)
    step(net, optimizer, x, to_none=False)
    zoo.freeze_until(net, "1", example=x)
    before = values(net)
    step(net, optimizer, x, to_none=False)
    assert moved(net, before) == {"1.weight", "2.weight"}


@pytest.mark.parametrize("to_none", [False, True])
def test_lbfgs_made_after_freezing_moves_nothing_frozen(to_none):
    def frozen_first(model: nn.Module) -> optim.Optimizer:
        freeze(model)
        return optim.LBFGS(model.unfreeze().parameters(), lr=0.1, max_iter=2)

    assert_training_leaves_the_frozen_part(frozen_first, to_none=to_none, mid_training=False)


# --- a network of the catalogue ------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["layer4", "layer3.1.conv2"])
@pytest.mark.parametrize(
    ("name", "to_none"), [("SGD", False), ("Adam", True), ("AdamW", False), ("RMSprop", True)]
)
def test_frozen_layers_of_a_resnet_stand_still_in_mid_training(name, to_none, layer):
    model = zoo.create("resnet18", num_classes=2, drop_path_rate=0.1)
    optimizer = TORCH[name](model)
    x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    step(model, optimizer, x, to_none=to_none)
    model.freeze_until(layer)
    before = values(model)
    for _ in range(2):
        step(model.train(), optimizer, x, to_none=to_none)
        model.eval()
    changed = moved(model, before)
    held = {owner(name) for name in model.frozen}
    assert {name for name in changed if owner(name) in held} == set()
    assert changed == {name for name in before if owner(name) not in held}


def owner(name: str) -> str:
    return name.rpartition(".")[0]


def test_statistics_of_the_cut_block_move_exactly_where_its_weights_train():
    model = zoo.create("googlenet", num_classes=2).freeze_until("inception5b.branch2.1").train()
    before = values(model)
    with torch.no_grad():
        model(torch.rand(2, 3, 64, 64))
    counted = {owner(name) for name in moved(model, before) if name.endswith("num_batches_tracked")}
    norms = {name for name, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert counted == {name for name in norms if f"{name}.weight" not in model.frozen}
    assert {name.rpartition(".bn")[0] for name in counted} == {
        *("inception5b.branch1", "inception5b.branch2.1"),
        *("inception5b.branch3.0", "inception5b.branch3.1", "inception5b.branch4.1"),
    }


# --- freezing more and less while training -------------------------------------------------------


def test_unfreezing_stage_by_stage_with_one_optimizer_moves_one_stage_more_each_time():
    model = zoo.create("lenet5")
    optimizer = TORCH["AdamW"](model)
    x = torch.rand(4, 1, 32, 32)
    stages = list(model.chain)
    for layer in reversed(stages[1:]):
        before = values(model)
        step(model.freeze_until(layer).train(), optimizer, x, to_none=False)
        trains = stages[stages.index(layer) :]
        assert {name.split(".")[0] for name in moved(model, before)} == set(trains)
    before = values(model)
    step(model.unfreeze().train(), optimizer, x, to_none=False)
    assert moved(model, before) == set(before)


def test_freezing_more_while_training_stops_what_had_momentum():
    model = zoo.create("lenet5")
    optimizer = TORCH["SGD"](model)
    x = torch.rand(4, 1, 32, 32)
    for layer in ("conv2", "fc1", "fc2", "head"):
        model.freeze_until(layer)
        before = values(model)
        for _ in range(2):
            step(model.train(), optimizer, x, to_none=False)
        assert moved(model, before) == set(before) - set(model.frozen)


def test_groups_by_depth_move_what_trains():
    model = zoo.create("lenet5").freeze_until("fc1")
    optimizer = optim.SGD(model.param_groups(0.1, weight_decay=0.1), momentum=0.9)
    before = values(model)
    step(model, optimizer, torch.rand(4, 1, 32, 32), to_none=True)
    assert moved(model, before) == set(before) - set(model.frozen)


def test_gradient_scaling_and_clipping_pass_over_what_is_frozen():
    model = small_network()
    optimizer = TORCH["SGD"](model)
    scaler = torch.amp.GradScaler("cpu")
    freeze(model)
    before = values(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = functional.cross_entropy(model.train()(PICTURES), CLASSES)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    scaler.step(optimizer)
    assert {name.split(".")[0] for name in moved(model, before)} == {"second", "head"}


def test_a_deep_copy_trains_as_the_original_does_and_apart_from_it():
    model = small_network()
    freeze(model)
    again, before = copy.deepcopy(model), values(model)
    step(again.train(), TORCH["AdamW"](again), to_none=False)
    assert moved(model, before) == set()
    assert moved(again, before) == {name for name in before if not name.startswith("first")}


def test_training_a_frozen_network_is_training_what_is_behind_the_cut_alone():
    model, plain = small_network(), small_network()
    for module in [*model.modules(), *plain.modules()]:
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    freeze(model)
    optimizer = TORCH["SGD"](model)
    tail = nn.Sequential(plain.second, plain.pool, plain.flat, plain.head)
    plain_optimizer = TORCH["SGD"](tail)
    with torch.no_grad():
        features = plain.first.eval()(PICTURES)
    for _ in range(3):
        step(model.train(), optimizer, to_none=True)
        step(tail.train(), plain_optimizer, features, to_none=True)
    state = plain.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())

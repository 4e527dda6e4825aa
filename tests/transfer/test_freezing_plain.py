"""zoo.freeze_until on modules that zoo did not create, ordinary and awkward."""

from __future__ import annotations

import copy
import functools
import itertools
import pickle
from collections import OrderedDict
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import timm
import torch
from support.autograd_twin import feeds
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

import zoo_core as zoo


def assert_freezes_as_the_twin_says(model: nn.Module, layer: str, *args) -> set[str]:
    """Freeze, compare with the twin, and return what is frozen."""
    expected = feeds(model, layer, *args)
    assert zoo.freeze_until(model, layer, example=args) is model
    assert set(model.frozen) == expected
    trains = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trains == {name for name, _ in model.named_parameters()} - expected
    return expected


def layers(*widths: int) -> nn.Sequential:
    """Linear layers `0`, `1`, ... from width to width."""
    return nn.Sequential(*[nn.Linear(a, b) for a, b in itertools.pairwise(widths)])


def still_training(model: nn.Module) -> set[str]:
    return {name for name, module in model.train().named_modules() if module.training}


# --- timm's networks -----------------------------------------------------------------------------


@functools.cache
def structure(name: str, **config) -> nn.Module:
    """A network without values: what feeds what is the same, and asking takes no time."""
    with torch.device("meta"):
        return timm.create_model(name, num_classes=2, **config)


@pytest.mark.parametrize(
    "layer",
    ["stage3.1.branches.1.0.conv2", "stage4.0.fuse_layers.0.1", "incre_modules.2", "final_layer"],
)
def test_hrnet_is_cut_as_it_runs_not_as_it_is_registered(layer):
    model = structure("hrnet_w18")
    frozen = assert_freezes_as_the_twin_says(model, layer, torch.zeros(1, 3, 64, 64, device="meta"))
    registered = [name for name, _ in model.named_parameters()]
    first = next(i for i, name in enumerate(registered) if name.startswith(layer))
    assert (set(registered[:first]) == frozen) == (layer == "final_layer")


@pytest.mark.parametrize(
    "layer", ["features.denseblock2", "features.denseblock3.denselayer4.conv2", "features.norm5"]
)
def test_densenet_is_cut_inside_and_between_dense_blocks(layer):
    x = torch.zeros(1, 3, 64, 64, device="meta")
    assert_freezes_as_the_twin_says(structure("densenet121"), layer, x)


def small_vit(**config) -> nn.Module:
    return timm.create_model(
        "vit_tiny_patch16_224",
        img_size=32,
        num_classes=2,
        embed_dim=24,
        depth=4,
        num_heads=2,
        **config,
    )


@pytest.mark.parametrize("layer", ["blocks.0", "blocks.2", "blocks.2.attn.proj", "norm", "head"])
def test_class_token_and_positions_of_a_vit_are_frozen_too(layer):
    frozen = assert_freezes_as_the_twin_says(small_vit(), layer, torch.rand(1, 3, 32, 32))
    assert {"cls_token", "pos_embed"} <= frozen


def test_no_dropout_of_a_frozen_vit_block_drops():
    drops = {"attn_drop_rate": 0.5, "proj_drop_rate": 0.5, "drop_path_rate": 0.5}
    model = small_vit(**drops, pos_drop_rate=0.5)
    zoo.freeze_until(model, "blocks.2", example=torch.zeros(1, 3, 32, 32))
    seen: list[Tensor] = []
    model.blocks[2].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    model.train()
    x = torch.rand(2, 3, 32, 32)
    outputs = [model(x) for _ in range(3)]
    assert torch.equal(seen[0], seen[1]) and torch.equal(seen[0], seen[2])
    assert not torch.equal(outputs[0], outputs[1])  # behind the cut they do
    assert not model.blocks[0].attn.training and model.blocks[2].attn.training


# --- how data may run through a module -----------------------------------------------------------


class SkipsAhead(nn.Module):
    """Registered in another order than it runs, with a path beside the main one."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(4, 2)
        self.beside = nn.Linear(4, 4)
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.last(self.second(x) + self.beside(x))


@pytest.mark.parametrize(
    ("layer", "frozen"),
    [
        ("second", {"first"}),
        ("beside", {"first"}),
        ("last", {"first", "second", "beside"}),
    ],
)
def test_order_of_registration_means_nothing(layer, frozen):
    found = assert_freezes_as_the_twin_says(SkipsAhead(), layer, torch.rand(1, 4))
    assert {name.split(".")[0] for name in found} == frozen


class Boundary(NamedTuple):
    a: Tensor
    b: Tensor


class PassesContainers(nn.Module):
    """Tensors travel in keyword arguments, lists, dicts and named tuples."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.unseen = (nn.Linear(3, 3) for _ in range(3))
        self.pack, self.join, self.head = Packs(), Joins(), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        packed = self.pack(self.left(x), self.right(x))
        return {"out": self.head(self.join(1, options={"inputs": [packed]}) + self.unseen(x))}


class Packs(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Boundary:
        return Boundary(functional.dropout(a, training=self.training), b)


class Joins(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Linear(3, 3)

    def forward(self, times: int, *, options: dict) -> Tensor:
        return self.scale(options["inputs"][0].a + times * options["inputs"][0].b)


def test_every_tensor_in_nested_arguments_counts():
    model = PassesContainers()
    found = assert_freezes_as_the_twin_says(model, "join", torch.rand(1, 3))
    assert {name.split(".")[0] for name in found} == {"left", "right"}
    assert not model.train().pack.training  # its dropout is within a named tuple
    assert_freezes_as_the_twin_says(model, "head", torch.rand(1, 3))


class TakesMuch(nn.Module):
    """A dict, a list, a plain number and nothing as inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)
        self.noise = nn.Dropout()

    def forward(self, named: dict, listed: list, scale: float, mask: None) -> Tensor:
        return self.head(self.a(self.noise(named["x"])) * scale + self.b(listed[0]))


def test_an_example_may_be_a_tuple_of_anything():
    model, x = TakesMuch().double(), torch.rand(1, 2).double()
    example = ({"x": x}, [x, "text"], 2.0, None)
    found = assert_freezes_as_the_twin_says(model, "head", *example)
    assert {name.split(".")[0] for name in found} == {"a", "b"}
    assert still_training(model) == {"", "head"}
    assert not x.requires_grad and x.grad_fn is None


class WorksInPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(2, 2, 1) for _ in range(3))
        self.act, self.drop = nn.ReLU(inplace=True), nn.Dropout(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.drop(self.act(self.first(x.mul_(2)))))
        x += 1
        return self.third(x)


@pytest.mark.parametrize("layer", ["second", "third", "act"])
def test_work_in_place_does_not_hide_what_feeds(layer):
    model, x = WorksInPlace(), torch.rand(1, 2, 4, 4)
    expected = feeds(model, layer, x.clone())
    kept = x.clone()
    zoo.freeze_until(model, layer, example=x)
    assert set(model.frozen) == expected
    assert torch.equal(x, kept)
    assert model.train().drop.training == (layer == "act")


def test_an_embedding_of_integers_is_frozen():
    model = nn.Sequential(nn.Embedding(5, 4), nn.Dropout(), nn.LayerNorm(4), nn.Linear(4, 2))
    found = assert_freezes_as_the_twin_says(model, "3", torch.tensor([[1, 2]]))
    assert found == {"0.weight", "2.weight", "2.bias"}
    assert still_training(model) == {"", "3"}


class ReadsBytes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3, affine=False)
        self.conv, self.head = nn.Conv2d(3, 2, 1), nn.Conv2d(2, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(self.norm(x.float() / 255)))


def test_a_norm_without_weights_on_pictures_of_bytes_stands_still():
    model = ReadsBytes()
    x = torch.randint(256, (2, 3, 4, 4), dtype=torch.uint8)
    assert_freezes_as_the_twin_says(model, "head", x)
    model.train()(x)
    assert int(model.norm.num_batches_tracked) == 0
    assert not bool(model.norm.running_mean.any())


def test_recurrent_layers_and_attention_are_frozen():
    class Sequence(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(4, 4, num_layers=2, dropout=0.5, batch_first=True)
            self.attention = nn.MultiheadAttention(4, 2, dropout=0.5, batch_first=True)
            self.head = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            x, _ = self.lstm(x)
            x, _ = self.attention(x, x, x)
            return self.head(x)

    model = Sequence()
    assert_freezes_as_the_twin_says(model, "head", torch.rand(1, 3, 4))
    assert still_training(model) == {"", "head"}


# --- modes ---------------------------------------------------------------------------------------


class Drops(nn.Module):
    """A block that drops by function, and whose own dropout module only training calls."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.extra = nn.Linear(4, 4), nn.Dropout()

    def forward(self, x: Tensor) -> Tensor:
        x = functional.dropout(self.linear(x), training=self.training)
        return self.extra(x) if self.training else x


def test_functional_dropout_of_a_frozen_block_rests_and_of_a_trained_one_does_not():
    model = nn.Sequential(OrderedDict(a=Drops(), b=nn.Sequential(Drops(), Drops()), c=Drops()))
    zoo.freeze_until(model, "b.1", example=torch.zeros(1, 4))
    assert still_training(model) == {"", "b", "b.1", "b.1.linear", "b.1.extra", "c", "c.linear"} | {
        "c.extra"
    }
    x = torch.rand(8, 4)
    prefix = nn.Sequential(model.a, model.b[0])
    assert torch.equal(prefix(x), prefix(x))
    assert not torch.equal(model.c(x), model.c(x))


def test_a_backbone_that_runs_by_another_method_rests_too():
    class Backbone(Drops):
        def features(self, x: Tensor) -> Tensor:
            return functional.dropout(self.linear(x), training=self.training)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head = Backbone(), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.backbone.features(x))

    model = zoo.freeze_until(Net(), "head", example=torch.zeros(1, 4))
    assert still_training(model) == {"", "head"}


def test_a_backbone_that_is_cut_between_its_outputs_trains_behind_the_cut():
    class Backbone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.low, self.high, self.drop = nn.Linear(4, 4), nn.Linear(4, 4), nn.Dropout()

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            low = self.low(x)
            return low, self.drop(self.high(low))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head = Backbone(), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            low, high = self.backbone(x)
            return self.head(low) + high

    model = Net()
    assert len(assert_freezes_as_the_twin_says(model, "head", torch.rand(1, 4))) == 2
    assert still_training(model) == {"", "head", "backbone", "backbone.high", "backbone.drop"}


def test_dropout_on_a_path_beside_the_cut_drops():
    class Beside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
            self.drop, self.pack = nn.Dropout(), Packs()

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            return self.second(x) + self.drop(x) + self.pack(x, x).a

    model = Beside()
    assert_freezes_as_the_twin_says(model, "second", torch.rand(1, 4))
    assert still_training(model) == {"", "second", "drop", "pack"}


def test_modules_without_parameters_follow_the_part_that_they_are_in():
    model = nn.Sequential(
        nn.Dropout(), nn.Linear(3, 3), nn.Dropout(), nn.BatchNorm1d(3, affine=False), nn.ReLU()
    )
    model.extend([nn.Linear(3, 3), nn.Dropout(), nn.BatchNorm1d(3, affine=False), nn.ReLU()])
    zoo.freeze_until(model, "5", example=torch.zeros(1, 3))
    assert still_training(model) == {"", "5", "6", "7", "8"}
    model(torch.rand(4, 3))
    assert int(model[3].num_batches_tracked) == 0
    assert int(model[7].num_batches_tracked) == 1


def test_spectral_norm_of_a_frozen_layer_stands_still():
    model = layers(3, 3, 3, 2)
    parametrizations.spectral_norm(model[0])
    parametrizations.weight_norm(model[1])
    zoo.freeze_until(model, "2", example=torch.zeros(1, 3))
    before = copy.deepcopy(model.state_dict())
    for _ in range(3):
        model.train()(torch.rand(4, 3))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_norm_with_parts_stands_still_when_the_cut_is_inside_it():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), timm.layers.BatchNormAct2d(4), nn.Conv2d(4, 2, 1))
    zoo.freeze_until(model, "1.act", example=torch.zeros(1, 3, 4, 4))
    assert "1.weight" in model.frozen
    model.train()(torch.rand(2, 3, 4, 4))
    assert int(model[1].num_batches_tracked) == 0


def test_a_module_with_a_train_of_its_own_keeps_it():
    class Counts(nn.Sequential):
        calls = 0

        def train(self, mode: bool = True) -> nn.Module:
            self.calls += 1
            return super().train(mode)

    model = Counts(nn.Linear(2, 2), nn.Dropout(), nn.Linear(2, 2))
    zoo.freeze_until(model, "2", example=torch.zeros(1, 2))
    assert model.train().calls == 1
    assert not model[1].training


def test_a_frozen_part_of_a_larger_module_stays_frozen():
    model = zoo.freeze_until(
        nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2)),
        "2",
        example=torch.zeros(1, 2),
    )
    whole = nn.Sequential(model, nn.BatchNorm1d(2)).train()
    assert not model[1].training and whole[1].training
    whole.eval().train()
    assert not model[1].training


def test_a_zoo_model_inside_a_larger_module_is_cut_by_its_path():
    whole = nn.Sequential(zoo.create("lenet5"), nn.Linear(10, 2))
    found = assert_freezes_as_the_twin_says(whole, "0.fc2", torch.rand(1, 1, 32, 32))
    assert "0.fc1.weight" in found and "0.fc2.weight" not in found


# --- the same tensor, the same layer, more than once ---------------------------------------------


class Twice(nn.Module):
    """`shared` runs before and after `middle`."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.shared, self.middle, self.last = (nn.Linear(3, 3) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.shared(self.first(x))
        return self.last(self.shared(self.middle(x)))


def test_a_layer_used_on_both_sides_of_the_cut_is_an_error():
    with pytest.raises(zoo.FreezeError, match=r'shared\.\w+ feeds "middle" and is also used after'):
        zoo.freeze_until(Twice(), "middle", example=torch.zeros(1, 3))


def test_a_layer_whose_later_call_sees_its_own_output_is_an_error():
    with pytest.raises(zoo.FreezeError, match='"shared" is called more than once'):
        zoo.freeze_until(Twice(), "shared", example=torch.zeros(1, 3))


def test_a_layer_used_twice_in_front_of_the_cut_is_frozen():
    assert_freezes_as_the_twin_says(Twice(), "last", torch.rand(1, 3))


class Siamese(nn.Module):
    """`tower` runs on two inputs side by side; `left` comes before its first call alone."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(3, 3), nn.Linear(3, 3)
        self.tower, self.head = nn.Linear(3, 3), nn.Linear(3, 2)
        self.act = nn.Dropout()

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        a, b = self.left(a), self.right(b)
        return self.head(self.act(self.tower(a)) + self.act(self.tower(b)))


def test_the_first_call_of_a_layer_counts():
    x = torch.rand(1, 3)
    assert assert_freezes_as_the_twin_says(Siamese(), "tower", x, x) == {"left.weight", "left.bias"}
    with pytest.raises(zoo.FreezeError, match=r"tower\.weight feeds"):
        zoo.freeze_until(Siamese(), "act", example=(x, x))


def test_a_dropout_shared_by_both_parts_rests():
    class Shares(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.drop = nn.Linear(2, 2), nn.Linear(2, 2), nn.Dropout()

        def forward(self, x: Tensor) -> Tensor:
            return self.drop(self.second(self.drop(self.first(x))))

    model = Shares()
    assert_freezes_as_the_twin_says(model, "second", torch.rand(1, 2))
    assert still_training(model) == {"", "second"}


def test_a_tensor_with_a_name_on_either_side_is_an_error():
    model = layers(3, 3, 3, 3)
    model[2].weight = model[0].weight
    with pytest.raises(zoo.FreezeError, match=r'0\.weight feeds "1" and is also used after'):
        zoo.freeze_until(model, "1", example=torch.zeros(1, 3))
    model[1].weight, model[2].weight = model[0].weight, nn.Parameter(torch.eye(3))
    assert set(zoo.freeze_until(model, "2", example=torch.zeros(1, 3)).frozen) == {
        *("0.weight", "0.bias"),
        "1.bias",
    }


def test_two_parameters_in_one_memory_are_tied_as_well():
    model = layers(3, 3, 3)
    model[1].weight = nn.Parameter(model[0].weight.data)
    with pytest.raises(zoo.FreezeError, match=r"0\.weight .*1\.weight"):
        zoo.freeze_until(model, "1", example=torch.zeros(1, 3))


def test_a_second_use_is_seen_in_a_model_that_returns_an_object_of_its_own():
    class Answers(Twice):
        def forward(self, x: Tensor) -> SimpleNamespace:
            return SimpleNamespace(scores=super().forward(x))

    with pytest.raises(zoo.FreezeError, match=r"shared\.\w+ feeds"):
        zoo.freeze_until(Answers(), "middle", example=torch.zeros(1, 3))
    assert len(zoo.freeze_until(Answers(), "last", example=torch.zeros(1, 3)).frozen) == 6


def test_a_second_call_whose_result_nobody_takes_is_no_second_use():
    class Wastes(Twice):
        def forward(self, x: Tensor) -> Tensor:
            x = self.shared(self.first(x))
            self.shared(x)
            return self.last(self.middle(x))

    assert_freezes_as_the_twin_says(Wastes(), "middle", torch.rand(1, 3))


def test_an_embedding_tied_to_the_output_layer_is_an_error():
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.body = nn.Embedding(5, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return functional.linear(self.body(self.embed(x)), self.embed.weight)

    with pytest.raises(zoo.FreezeError, match=r"embed\.weight"):
        zoo.freeze_until(Tied(), "body", example=torch.tensor([1]))


# --- flags ---------------------------------------------------------------------------------------


def test_flags_that_a_person_had_set_are_seen_through_and_come_back():
    model = layers(3, 3, 3, 3)
    model[0].requires_grad_(False)
    model[2].bias.requires_grad_(False)
    frozen = {"0.weight", "0.bias", "1.weight", "1.bias"}
    assert assert_freezes_as_the_twin_says(model, "2", torch.rand(1, 3)) == frozen
    assert_freezes_as_the_twin_says(model, "1", torch.rand(1, 3))
    model.unfreeze()
    trains = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trains == {"1.weight", "1.bias", "2.weight"}


def test_parameters_of_integers_and_of_complex_numbers_are_no_obstacle():
    class Waves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.turn = nn.Parameter(torch.ones(3, dtype=torch.complex64))
            self.index = nn.Parameter(torch.tensor([2, 1, 0]), requires_grad=False)
            self.act, self.head = nn.Identity(), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.act((x * self.turn).abs()[:, self.index]))

    model = Waves()
    for layer in ("head", "act", "head"):
        assert zoo.freeze_until(model, layer, example=torch.rand(1, 3)).frozen == ("turn",)
    assert model.unfreeze().turn.requires_grad and not model.index.requires_grad


def test_layers_that_were_added_or_replaced_after_freezing_are_left_alone():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))
    zoo.freeze_until(model, "2", example=torch.zeros(1, 2))
    model[1] = nn.Identity()
    model.append(nn.PReLU())
    model[3].weight.requires_grad_(False)
    model.train().unfreeze()
    assert not model[3].weight.requires_grad
    assert model[0].weight.requires_grad and model[2].training


# --- the swap ------------------------------------------------------------------------------------


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def test_type_name_and_keys_stay_those_of_the_original():
    model, keys = Small(), list(Small().state_dict())
    zoo.freeze_until(model, "head", example=torch.zeros(1, 3))
    assert isinstance(model, Small) and type(model) is not Small
    assert (type(model).__name__, type(model).__module__) == ("Small", Small.__module__)
    assert type(model).__qualname__ == "Small"
    assert list(model.state_dict()) == keys
    Small().load_state_dict(model.state_dict())
    assert repr(model) == repr(Small())
    other = zoo.freeze_until(Small(), "head", example=torch.zeros(1, 3))
    assert type(other) is type(model)
    assert type(Small()) is Small


def test_copies_of_a_frozen_plain_module_are_frozen(tmp_path):
    model = zoo.freeze_until(timm.create_model("test_resnet"), "layer4", example=picture())
    torch.save(model, tmp_path / "model.pt")
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    copies.append(torch.load(tmp_path / "model.pt", weights_only=False))
    for again in copies:
        assert type(again) is type(model)
        assert again.frozen == model.frozen and again.frozen
        assert still_training(again) == still_training(model)
        assert torch.equal(again.eval()(picture()), model.eval()(picture()))
        again.unfreeze()
    assert model.frozen


def picture() -> Tensor:
    return torch.ones(1, 3, 32, 32)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_frozen_plain_module_compiles_and_exports(frozen):
    model, x = Small(), torch.rand(4, 3)
    compiled = torch.compile(model, backend="eager")
    compiled(x)
    if frozen:
        assert zoo.freeze_until(compiled, "head", example=x) is compiled
    compiled.train()
    compiled(x).sum().backward()
    assert (model.body[0].weight.grad is None) == frozen
    assert torch.equal(compiled.eval()(x), model(x))
    assert torch.allclose(torch.export.export(model, (x,)).module()(x), model(x))


def test_a_compiled_part_is_seen_through():
    model, twin = Small(), Small()
    twin.load_state_dict(model.state_dict())
    model.body.compile(backend="aot_eager")
    model(torch.rand(4, 3))
    zoo.freeze_until(model, "body.1", example=torch.rand(1, 3))
    assert set(model.frozen) == feeds(twin, "body.1", torch.rand(1, 3))


def test_a_name_that_zoo_needs_is_refused_and_nothing_has_changed():
    model = Small()
    model.frozen = "mine"
    with pytest.raises(zoo.PluginError, match="Small has attributes that zoo needs: frozen"):
        zoo.freeze_until(model, "head", example=torch.zeros(1, 3))
    assert type(model) is Small
    assert all(p.requires_grad for p in model.parameters()) and model.body[1].training


class CallsItsPartsAsZooDoes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.chain, self.input, self.head = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.chain(self.input(x)))


def test_parts_named_as_those_of_a_zoo_model_are_no_obstacle():
    model, x = CallsItsPartsAsZooDoes(), torch.rand(1, 2)
    assert_freezes_as_the_twin_says(model, "head", x)
    assert len(model.param_groups(0.1)) == 2
    assert_freezes_as_the_twin_says(model, "chain", x)
    with pytest.raises(zoo.FreezeError, match="needs an example"):
        model.freeze_until("head")
    with pytest.raises(zoo.UnknownName, match="Top level: chain input head"):
        model.freeze_until("haed", example=x)


def test_a_module_class_with_a_metaclass_of_its_own_is_swapped():
    import abc

    class Abstract(Small, abc.ABC):
        pass

    model = zoo.freeze_until(Abstract(), "head", example=torch.zeros(1, 3))
    assert isinstance(model, Abstract) and model.frozen
    assert type(model).__qualname__ == Abstract.__qualname__


# --- where a model is, and what it is made of ----------------------------------------------------


def test_a_model_without_values_can_be_frozen_before_its_weights_come():
    with torch.device("meta"):
        model = timm.create_model("test_resnet")
    expected = set(
        zoo.freeze_until(timm.create_model("test_resnet"), "fc", example=picture()).frozen
    )
    assert set(zoo.freeze_until(model, "fc", example=picture()).frozen) == expected
    state = timm.create_model("test_resnet").state_dict()
    model.load_state_dict(state, assign=True)
    assert set(model.frozen) == expected


def test_lazy_layers_are_made_by_the_example():
    model = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d(), nn.LazyLinear(2))
    zoo.freeze_until(model, "2", example=torch.zeros(1, 3))
    assert model.frozen == ("0.weight", "0.bias", "1.weight", "1.bias")
    assert model[2].weight.shape == (2, 4) and model[2].weight.requires_grad


def test_a_model_made_in_inference_mode_is_refused_with_the_reason():
    with torch.inference_mode():
        model = layers(3, 3, 3)
    with pytest.raises(zoo.FreezeError, match=r"[Ii]nference"):
        zoo.freeze_until(model, "1", example=torch.zeros(1, 3))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_an_example_made_in_any_mode_will_do(mode):
    model = layers(3, 3, 3)
    with mode():
        example = torch.zeros(1, 3)
        zoo.freeze_until(model, "1", example=example)
    zoo.freeze_until(model, "1", example=example)
    assert model.frozen == ("0.weight", "0.bias")


# --- what is refused -----------------------------------------------------------------------------


def test_a_module_needs_an_example():
    with pytest.raises(zoo.FreezeError, match="needs an example") as error:
        zoo.freeze_until(Small(), "head")
    assert "example=torch.zeros(1, 3, 224, 224)" in error.value.hint


@pytest.mark.parametrize("layer", ["", None, 1, nn.ReLU(), "heed", "head."])
def test_an_unknown_layer_of_a_plain_module_is_an_error(layer):
    with pytest.raises(zoo.UnknownName, match=r"Top level: body head\.$"):
        zoo.freeze_until(Small(), layer, example=torch.zeros(1, 3))


def test_the_closest_path_is_named():
    with pytest.raises(zoo.UnknownName, match=r'Closest: "body\.\d"'):
        zoo.freeze_until(Small(), "body.2", example=torch.zeros(1, 3))


@pytest.mark.parametrize("layer", ["body", "body.0"])
def test_freezing_nothing_of_a_plain_module_is_an_error(layer):
    model = Small()
    with pytest.raises(zoo.FreezeError, match=f'Nothing feeds "{layer}"'):
        zoo.freeze_until(model, layer, example=torch.zeros(1, 3))
    assert type(model) is Small


def test_a_module_without_parameters_has_nothing_to_freeze():
    model = nn.Sequential(nn.Dropout(), nn.ReLU())
    with pytest.raises(zoo.FreezeError, match="Nothing feeds"):
        zoo.freeze_until(model, "1", example=torch.zeros(1))


def test_a_layer_that_is_never_called_is_an_error_that_names_its_parts():
    class Lists(Small):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])
            self.unused = nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.body[1](self.body[0](x)))

    x = torch.zeros(1, 3)
    with pytest.raises(zoo.FreezeError, match=r'"body" is never called .*body\.0 body\.1'):
        zoo.freeze_until(Lists(), "body", example=x)
    with pytest.raises(zoo.FreezeError, match='"unused" is never called'):
        zoo.freeze_until(Lists(), "unused", example=x)
    assert len(zoo.freeze_until(Lists(), "body.1", example=x).frozen) == 2


@pytest.mark.parametrize("example", [torch.zeros(1, 5), torch.zeros(1, 3).half(), "text", (), 3])
def test_an_example_that_does_not_go_through_is_an_error_and_nothing_has_changed(example):
    model = Small().train()
    with pytest.raises(zoo.FreezeError, match=r"forward pass .* fails") as error:
        zoo.freeze_until(model, "head", example=example)
    assert error.value.__cause__ is not None and "\n" not in str(error.value)
    assert type(model) is Small and still_training(model) == {n for n, _ in model.named_modules()}
    assert all(p.requires_grad for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


# --- nothing is left behind ----------------------------------------------------------------------


def test_a_module_that_draws_random_numbers_even_in_eval_mode_draws_none_of_yours():
    class Noisy(Small):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x + torch.randn_like(x))

    model = Noisy()
    state = torch.get_rng_state()
    zoo.freeze_until(model, "head", example=torch.zeros(1, 3))
    assert torch.equal(torch.get_rng_state(), state)


def test_hooks_of_a_person_stay_and_see_the_pass():
    model, seen = Small(), []
    model.body.register_forward_hook(lambda module, args, output: seen.append(output.shape))
    zoo.freeze_until(model, "head", example=torch.zeros(1, 3))
    assert len(model.body._forward_hooks) == 1 and len(seen) == 1
    assert not model.head._forward_pre_hooks and not model.body[0]._forward_hooks


def test_gradients_of_what_trains_stay():
    model = Small()
    model(torch.rand(4, 3)).sum().backward()
    kept = model.head.weight.grad
    zoo.freeze_until(model, "head", example=torch.zeros(1, 3))
    assert model.head.weight.grad is kept
    assert model.body[0].weight.grad is None and model.body[1].weight.grad is None

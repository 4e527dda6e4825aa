"""Freezing leaves alone what a person had set: flags, hooks, gradients and random numbers."""

from __future__ import annotations

import torch
from support.freezing import Small, assert_freezes_as_the_twin_says, layers
from torch import Tensor, nn

import zoo_core as zoo

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

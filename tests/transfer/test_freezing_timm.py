"""zoo.freeze_until on timm's networks: HRNet, DenseNet and ViT are cut as they run."""

from __future__ import annotations

import functools

import pytest
import timm
import torch
from support.freezing import assert_freezes_as_the_twin_says
from torch import Tensor, nn

import zoo_core as zoo


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

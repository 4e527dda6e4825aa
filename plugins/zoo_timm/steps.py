"""What timm's networks do between their members, each as its class does it."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# --- whole parts ---------------------------------------------------------------------------------


def features(model: Any, x: Tensor) -> Any:
    """All before pooling, as one step."""
    return model.forward_features(x)


def pre_logits(model: Any, x: Any) -> Tensor:
    """All between the features and the last layer."""
    return model.forward_head(x, pre_logits=True)


# --- tokens and where they are -------------------------------------------------------------------


def position(model: Any, x: Tensor) -> Tensor:
    return model._pos_embed(x)


def add_position(model: Any, x: Tensor) -> Tensor:
    return x + model.pos_embed


def class_token(model: Any, x: Tensor) -> Tensor:
    if model.cls_token is None:
        return x
    return torch.cat((model.cls_token.expand(x.shape[0], -1, -1), x), dim=1)


def beit_position(model: Any, x: Tensor) -> Tensor:
    x = class_token(model, x)
    return x if model.pos_embed is None else x + model.pos_embed


def sam_position(model: Any, x: Tensor) -> Tensor:
    from timm.layers import resample_abs_pos_embed_nhwc

    if model.pos_embed is None:
        return x
    return x + resample_abs_pos_embed_nhwc(model.pos_embed, x.shape[1:3])


def class_attention(model: Any, x: Tensor) -> Tensor:
    return x if model.blocks_token_only is None else model.forward_cls(x)


def channels_first(model: Any, x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def nest_norm(model: Any, x: Tensor) -> Tensor:
    return model.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def selecsls_features(model: Any, x: Tensor) -> Tensor:
    return model.from_seq(model.features([x]))


# --- pooling -------------------------------------------------------------------------------------


def tokens(model: Any, x: Tensor) -> Tensor:
    """The class token, or the mean of the others."""
    if not model.global_pool:
        return x
    return x[:, model.num_prefix_tokens :].mean(dim=1) if model.global_pool == "avg" else x[:, 0]


def pit_token(model: Any, x: Tensor) -> Tensor:
    return x[:, 0] if model.global_pool == "token" else x


def pool(model: Any, x: Tensor) -> Tensor:
    return model.pool(x)


def naflex_pool(model: Any, x: Tensor) -> Tensor:
    return model._pool(x)


def head_pool(model: Any, x: Tensor) -> Tensor:
    return model.head._global_pool(x)


def attention_tokens(model: Any, x: Tensor) -> Tensor:
    """All tokens of a pooling by attention: its last layer comes before the choice of one."""
    head = copy.copy(model.head)  # its members are the same
    head._pool = _as_it_is
    return head(x, pre_logits=True)


def _as_it_is(x: Tensor, height: int, width: int) -> Tensor:
    return x


def first_token(model: Any, x: Tensor) -> Tensor:
    return x[:, 0]


def mean_of_tokens(model: Any, x: Tensor) -> Tensor:
    return x.mean(dim=1) if model.global_pool == "avg" else x


def mean_of_map(model: Any, x: Tensor) -> Tensor:
    return x.mean(dim=(-1, -2)) if model.global_pool else x


def mean_of_places(model: Any, x: Tensor) -> Tensor:
    return mean_of_tokens(model, x.flatten(1, -2))


def at_least_7x7(model: Any, x: Tensor) -> Tensor:
    """VGG's first linear layer is a convolution over a whole map; small ones are stretched."""
    least = model.pre_logits.input_kernel_size
    if x.shape[-2] >= least and x.shape[-1] >= least:
        return x
    return functional.adaptive_avg_pool2d(x, (max(least, x.shape[-2]), max(least, x.shape[-1])))


# --- dropout -------------------------------------------------------------------------------------


def dropout(model: Any, x: Tensor) -> Tensor:
    """Dropout that a class does without a module."""
    if not model.drop_rate:
        return x
    return functional.dropout(x, p=float(model.drop_rate), training=model.training)


def dropout_before_norm(model: Any, x: Tensor) -> Tensor:
    """Dropout before the norm of the head, which is frozen with it."""
    if not model.drop_rate:
        return x
    return functional.dropout(x, p=float(model.drop_rate), training=model.head.bn.training)


# --- several layers that give the scores together ------------------------------------------------


def two_tokens(model: Any, x: Tensor) -> Tensor:
    """The class token and the one of distillation."""
    return x[:, :2]


def heads_of_tokens(model: Any, x: Tensor) -> Tensor:
    """A head for each of two tokens."""
    first, second = model.head_drop(x[:, 0]), model.head_drop(x[:, 1])
    return (model.head(first) + model.head_dist(second)) / 2


def two_heads(model: Any, x: Tensor) -> Tensor:
    return (model.head(x) + model.head_dist(x)) / 2


def two_norms(model: Any, x: Tensor) -> Tensor:
    """What enters two layers that have a norm each before them: (N, 2, D)."""
    first, second = _normed_heads(model)
    return torch.stack((first.bn(x), second.bn(x)), dim=1)


def two_normed_heads(model: Any, x: Tensor) -> Tensor:
    scores = []
    for head, part in zip(_normed_heads(model), x.unbind(1), strict=True):
        part = part.contiguous()
        for layer in list(head.children())[1:]:  # all after the norm
            part = layer(part)
        scores.append(part)
    return (scores[0] + scores[1]) / 2


def _normed_heads(model: Any) -> tuple[Any, Any]:
    holder = model if hasattr(model, "head_dist") else model.head
    return holder.head, holder.head_dist


def crossvit_features(model: Any, x: Tensor) -> Tensor:
    """Its two branches, pooled, side by side."""
    branches = model.forward_features(x)
    if model.global_pool == "avg":
        return torch.cat([branch[:, 1:].mean(dim=1) for branch in branches], dim=1)
    return torch.cat([branch[:, 0] for branch in branches], dim=1)


def crossvit_scores(model: Any, x: Tensor) -> Tensor:
    branches = x.split([norm.normalized_shape[0] for norm in model.norm], dim=1)
    dropped = [model.head_drop(branch.contiguous()) for branch in branches]
    scores = [head(branch) for head, branch in zip(model.head, dropped, strict=True)]
    return torch.mean(torch.stack(scores, dim=0), dim=0)


def coat_features(model: Any, x: Tensor) -> Tensor:
    """Its scales, pooled and put together."""
    scales = model.forward_features(x)
    if not isinstance(scales, list):
        return scales[:, 1:].mean(dim=1) if model.global_pool == "avg" else scales[:, 0]
    if model.global_pool == "avg":
        scales = torch.cat([scale[:, 1:].mean(dim=1, keepdim=True) for scale in scales], dim=1)
    else:
        scales = torch.stack([scale[:, 0] for scale in scales], dim=1)
    return model.aggregate(scales).squeeze(dim=1)


def efficientvim_features(model: Any, x: Tensor) -> Tensor:
    """The hidden states of its stages and the last map, pooled, side by side."""
    return torch.cat([part.mean(-1) for part in model.forward_features(x)], dim=1)


def mixed_scores(model: Any, x: Tensor) -> Tensor:
    """A head for each part of the features, and what share of the scores it has."""
    sizes = [*model.embed_dim, model.embed_dim[-1]]
    parts = [model.head_drop(part.contiguous()) for part in x.split(sizes, dim=1)]
    scores = _mixed(parts, model.heads, model.weights)
    if not hasattr(model, "heads_dist"):
        return scores
    return (scores + _mixed(parts, model.heads_dist, model.weights_dist)) / 2


def _mixed(parts: list[Tensor], heads: Any, weights: Tensor) -> Tensor:
    pairs = zip(weights.softmax(-1), heads, parts, strict=True)
    return torch.stack([weight * head(part) for weight, head, part in pairs]).sum(0)


def volo_scores(model: Any, x: Tensor) -> Tensor:
    """The scores of the pooled tokens, and half of the best that any other token gives."""
    out = x.mean(dim=1) if model.global_pool == "avg" else x[:, 0]
    out, x = model.head_drop(out), model.head_drop(x)
    out = model.head(out)
    return out if model.aux_head is None else out + 0.5 * model.aux_head(x[:, 1:]).max(1)[0]


# --- one more ------------------------------------------------------------------------------------


def levit_tokens(model: Any, x: Tensor) -> Tensor:
    return x if model.use_conv else x.flatten(2).transpose(1, 2)


def levit_pool(model: Any, x: Tensor) -> Tensor:
    if model.global_pool != "avg":
        return x
    return x.mean(dim=(-2, -1)) if model.use_conv else x.mean(dim=1)


def mean_of_channels(model: Any, x: Tensor) -> Tensor:
    return x.mean(dim=(2, 3)) if model.global_pool == "avg" else x

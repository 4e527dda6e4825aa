"""The stages of timm's classes, a line for each: what `forward` does, in its order.

`|` parts the stages. A stage is a name, a colon and its steps; without a colon it has the name of
its first step. A step is the path of a member (what is None is left out), or a function of
`steps.py` after an `@`, with the members that it uses in brackets. `blocks*`: each member of
`blocks` is a stage: block1, block2, …. A stage without parameters or buffers joins the one before.
Where the line has no head, that of `model.head` follows, by its class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

FEATURES = "features: @features"
TOKENS = "pool: @tokens"
HEAD = "head: head_drop head"
TWO = "head: head_drop @two_heads(head,head_dist)"
TWO_OF_TOKENS = "head: @heads_of_tokens(head,head_dist,head_drop)"
FOUR_HEADS = "heads.0,heads.1,heads.2,heads.3"
FOUR_MORE = FOUR_HEADS.replace("heads", "heads_dist")
MOBILE = "conv_head act2 flatten | head: @dropout classifier"

ROWS = {
    "ByobNet": "stem | stages* | final_conv",
    "Cait": "stem: patch_embed @add_position(pos_embed) pos_drop | blocks*"
    f" | class: @class_attention(cls_token,blocks_token_only) norm | {TOKENS} | {HEAD}",
    "CoaT": f"features: @coat_features | {HEAD}",
    "ConVit": f"{FEATURES} | {TOKENS} | {HEAD}",
    "ConvMixer": f"stem | blocks* | pool: global_pool | {HEAD}",
    "ConvNeXt": "stem | stages* | norm_pre",
    "CPUBone": "stem | stages*",
    "CSATv2": "stem: stem_dct | stages*",
    "CspNet": "stem | stages*",
    "CspNext": "stem | stages*",
    "CrossVit": "features: @crossvit_features | head: @crossvit_scores(head.0,head.1,head_drop)",
    "DaVit": "stem | stages* | norm_pre",
    "DeepseekVitClassifier": f"features: encoder | pool: @mean_of_places norm | {HEAD}",
    "DLA": "stem: base_layer level0 level1 | level2 | level3 | level4 | level5"
    " | pool: global_pool | head: head_drop fc flatten",
    "EdgeNeXt": "stem | stages* | norm_pre",
    "EfficientNet": "stem: conv_stem bn1 | blocks* | conv_head bn2 | pool: global_pool"
    " | head: @dropout classifier",
    "EfficientFormer": f"stem | stages* | norm | pool: @mean_of_tokens | {TWO}",
    "EfficientFormerV2": f"stem | stages* | norm | pool: @mean_of_channels | {TWO}",
    "EfficientViM": "features: @efficientvim_features"
    f" | head: @mixed_scores({FOUR_HEADS},weights,head_drop)",
    "EfficientViMDistilled": "features: @efficientvim_features"
    f" | head: @mixed_scores({FOUR_HEADS},{FOUR_MORE},weights,weights_dist,head_drop)",
    "EfficientVit": "stem | stages*",
    "EfficientVitLarge": "stem | stages*",
    "EfficientVitMsra": "stem: patch_embed | stages* | pool: global_pool head.bn"
    " | head: head.drop head.linear",
    "Eva": f"{FEATURES} | pool: @pool(attn_pool) fc_norm | {HEAD}",
    "FasterNet": "stem: patch_embed | stages* | pool: global_pool | conv_head act flatten"
    " | head: @dropout classifier",
    "FastVit": "stem | stages* | final_conv",
    "FocalNet": "stem | layers* | norm",
    "Gemma4VitClassifier": f"features: encoder | pool: @mean_of_tokens norm | {HEAD}",
    "GhostNet": f"stem: conv_stem bn1 act1 | blocks* | pool: global_pool | {MOBILE}",
    "GlobalContextVit": "stem | stages*",
    "Hiera": "stem: patch_embed @position(pos_embed) unroll | blocks*",
    "HieraDet": "stem: patch_embed @position(pos_embed) | blocks*",
    "HighPerfGpuNet": "stem | stages*",
    "HighResolutionNet": f"{FEATURES} | pool: global_pool | head: head_drop classifier",
    "LCNetV2": f"stem | stages* | pool: global_pool | {MOBILE}",
    "Levit": "stem: stem @levit_tokens | stages* | pool: @levit_pool head.bn"
    " | head: head.drop head.linear",
    "LevitDistilled": "stem: stem @levit_tokens | stages*"
    " | pool: @levit_pool @two_norms(head.bn,head_dist.bn)"
    " | head: @two_normed_heads(head.linear,head_dist.linear,head.drop,head_dist.drop)",
    "LowFormer": "stem | stages* | in_conv | pool: global_pool flatten | pre_classifier"
    " | head: @dropout classifier",
    "MambaOut": "stem | stages*",
    "MaxxVit": "stem | stages* | norm",
    "MetaNeXt": "stem | stages*",
    "MlpMixer": f"stem | blocks* | norm | pool: @mean_of_tokens | {HEAD}",
    "MobileNetV3": "stem: conv_stem bn1 | blocks* | pool: global_pool"
    " | conv_head norm_head act2 flatten | head: @dropout classifier",
    "MultiScaleVit": f"{FEATURES} | {TOKENS} | head: head.drop head.fc",
    "NaFlexVit": f"{FEATURES} | pool: @naflex_pool(attn_pool) fc_norm | {HEAD}",
    "NASNetALarge": f"{FEATURES} | pool: global_pool | head: head_drop last_linear",
    "Nest": f"stem: patch_embed | levels* | norm: @nest_norm(norm) | pool: global_pool | {HEAD}",
    "NextViT": "stem | stages* | norm",
    "NormFreeNet": "stem | stages* | final_conv final_act",
    "PNASNet5Large": f"{FEATURES} | pool: global_pool | head: head_drop last_linear",
    "PyramidVisionTransformerV2": f"stem: patch_embed | stages* | pool: @mean_of_map | {HEAD}",
    "Qwen3VitClassifier": f"features: encoder | pool: @mean_of_places norm | {HEAD}",
    "RDNet": "stem | dense_stages* | norm_pre",
    "RegNet": "stem | s1 | s2 | s3 | s4 | final_conv",
    "RepGhostNet": f"stem: conv_stem bn1 act1 | blocks* | pool: global_pool | {MOBILE}",
    "ResNet": "stem: conv1 bn1 act1 maxpool | layer1 | layer2 | layer3 | layer4"
    " | pool: global_pool | head: @dropout fc",
    "ResNetV2": "stem | stages* | norm",
    "RexNet": "stem | features*",
    "SelecSls": "stem | features: @selecsls_features(features,from_seq) | neck: head"
    " | pool: global_pool | head: head_drop fc",
    "SENet": "stem: layer0 pool0 | layer1 | layer2 | layer3 | layer4 | pool: global_pool"
    " | head: @dropout last_linear",
    "Sequencer2d": "stem | stages* | norm",
    "SHViT": "stem: patch_embed | stages* | pool: global_pool flatten @dropout_before_norm head.bn"
    " | head: head.l",
    "StarNet": "stem | stages* | norm | pool: global_pool flatten | head: @dropout head",
    "SwiftFormer": f"stem | stages* | norm | pool: @mean_of_channels | {TWO}",
    "SwinTransformer": "stem: patch_embed | layers* | norm",
    "SwinTransformerV2": "stem: patch_embed | layers* | norm",
    "SwinTransformerV2Cr": "stem: patch_embed | stages*",
    "TinyVit": "stem: patch_embed | stages*",
    "TNT": f"{FEATURES} | {TOKENS} | {HEAD}",
    "TResNet": "stem: body.s2d body.conv1 | body.layer1 | body.layer2 | body.layer3 | body.layer4",
    "Twins": f"{FEATURES} | pool: @mean_of_tokens | {HEAD}",
    "Visformer": f"{FEATURES} | pool: global_pool | {HEAD}",
    "VisionTransformer": "stem: patch_embed @position patch_drop norm_pre | blocks* | norm"
    f" | pool: @pool(attn_pool) fc_norm | {HEAD}",
    "VisionTransformerDistilled": "stem: patch_embed @position patch_drop norm_pre | blocks* | norm"
    f" | pool: @two_tokens | {TWO_OF_TOKENS}",
    "VisionTransformerSAM": "stem: patch_embed @sam_position pos_drop patch_drop norm_pre | blocks*"
    " | neck: @channels_first neck",
    "VOLO": f"{FEATURES} | head: @volo_scores(head,aux_head,head_drop)",
    "VovNet": "stem | stages*",
    "Xception": "stem: conv1 bn1 act1 conv2 bn2 act2 | block1 | block2 | block3 | block4 | block5"
    " | block6 | block7 | block8 | block9 | block10 | block11 | block12"
    " | conv3 bn3 act3 conv4 bn4 act4 | pool: global_pool | head: @dropout fc",
    "XceptionAligned": "stem | blocks* | act",
    "Xcit": f"{FEATURES} | {TOKENS} | {HEAD}",
}

# where a classifier is more than its last layer: the lines without one, which serve a new one too
HEADLESS = {
    "EfficientVitMsra": "stem: patch_embed | stages* | pool: global_pool | head",
    "IFormer": "stem | stages* | pool: @mean_of_channels head_drop | head",
    "Levit": "stem: stem @levit_tokens | stages* | pool: @levit_pool | head",
    "LevitDistilled": "stem: stem @levit_tokens | stages* | pool: @levit_pool"
    " | head: @two_heads(head,head_dist)",
    "RepVit": "stem | stages* | pool: @mean_of_channels head_drop | head",
    "SHViT": "stem: patch_embed | stages* | pool: global_pool flatten @dropout | head",
    "VOLO": ROWS["VOLO"],
}

# by the class of `model.head` and the file that it is in
HEADS = {
    ("attention_pool2d", "AttentionPool2d"): "attention: @attention_tokens(head.q,head.k,head.v,"
    "head.qkv,head.drop,head.pos_embed,head.cls_token) | head: head.proj @first_token",
    ("classifier", "ClassifierHead"): "pool: head.global_pool"
    " | head: head.drop head.fc head.flatten",
    ("classifier", "NormMlpClassifierHead"): "pool: head.global_pool head.norm head.flatten"
    " | head.pre_logits | head: head.drop head.fc",
    ("classifier", "ClNormMlpClassifierHead"): "pool: @head_pool head.norm"
    " | head.pre_logits | head: head.drop head.fc",
    ("cpubone", "ClsHead"): "in_conv: head.in_conv | pool: head.global_pool head.flatten"
    " | head.pre_classifier | head: head.classifier",
    ("efficientvit_mit", "ClassifierHead"): "in_conv: head.in_conv | pool: head.global_pool"
    " | fc1: head.classifier.0 head.classifier.1 head.classifier.2"
    " | head: head.classifier.3 head.classifier.4",
    ("hgnet", "ClassifierHead"): "pool: head.global_pool | last_conv: head.last_conv"
    " | head: head.dropout head.flatten head.fc",
    ("inception_next", "MlpClassifierHead"): "pool: head.global_pool"
    " | fc1: head.fc1 head.act head.norm | head: head.drop head.fc2",
}


def row(model: Any) -> str | None:
    """The line of a network's class, or None for a class that has none."""
    name = type(model).__name__
    if name in HEADLESS and not model.num_classes:
        return HEADLESS[name]
    return SPECIAL[name](model) if name in SPECIAL else ROWS.get(name)


def _beit(model: Any) -> str:
    shared = model.rel_pos_bias is not None  # by all blocks: then no block stands alone
    body = FEATURES if shared else "stem: patch_embed @beit_position pos_drop | blocks* | norm"
    return f"{body} | {TOKENS} fc_norm | {HEAD}"


def _relpos(model: Any) -> str:
    shared = model.shared_rel_pos is not None
    body = FEATURES if shared else "stem: patch_embed @class_token | blocks* | norm"
    return f"{body} | {TOKENS} fc_norm | {HEAD}"


def _densenet(model: Any) -> str:
    parts = list(model.features._modules)
    first = parts.index("denseblock1")
    groups = [parts[:first]]
    for part in parts[first:]:
        if part.startswith("denseblock"):
            groups.append([])
        groups[-1].append(part)
    names = ["stem", *(f"dense{i}" for i in range(1, len(groups)))]
    body = _named(names, [[f"features.{part}" for part in group] for group in groups])
    return f"{body} | pool: global_pool | head: head_drop classifier"


def _dpn(model: Any) -> str:
    groups: dict[str, list[str]] = {}
    for part in model.features._modules:
        groups.setdefault(part.partition("_")[0], []).append(f"features.{part}")
    body = _named(list(groups), list(groups.values()))
    return f"{body} | pool: global_pool | head: @dropout classifier flatten"


def _vgg(model: Any) -> str:
    groups: list[list[str]] = [[]]
    for name, part in model.features.named_children():
        groups[-1].append(f"features.{name}")
        if type(part).__name__ == "MaxPool2d":
            groups.append([])
    groups = [group for group in groups if group]
    body = _named([f"conv{i}" for i in range(1, len(groups) + 1)], groups)
    return (
        f"{body} | fc6: @at_least_7x7 pre_logits.fc1 pre_logits.act1"
        " | fc7: pre_logits.drop pre_logits.fc2 pre_logits.act2"
    )


def _mobilenetv5(model: Any) -> str:
    body = "stem: conv_stem | blocks*" if model.msfa is None else FEATURES
    return f"{body} | pool: global_pool conv_head norm_head flatten | head: @dropout classifier"


def _metaformer(model: Any) -> str:
    first = "stem | stages* | pool: head.global_pool head.norm head.flatten"
    if type(model.head.fc).__name__ != "MlpHead":
        return f"{first} | head: head.drop head.fc"
    hidden = "head.fc.fc1 head.fc.act head.fc.norm"
    return f"{first} | fc1: head.drop {hidden} | head: head.fc.head_drop head.fc.fc2"


def _normed_head(model: Any) -> str:
    """RepViT and iFormer: a classifier in a classifier, each with dropout, and a norm or two."""
    start = "stem | stages* | pool: @mean_of_channels head_drop head.head_drop"
    if not model.head.distillation:
        return f"{start} head.head.bn | head: head.head.l"
    norms = "@two_norms(head.head.bn,head.head_dist.bn)"
    return f"{start} {norms} | head: @two_normed_heads(head.head.l,head.head_dist.l)"


def _pit(model: Any) -> str:
    if model.head_dist is None:
        return f"{FEATURES} | pool: @pit_token | {HEAD}"
    return f"{FEATURES} | pool: @two_tokens | {TWO_OF_TOKENS}"


def _named(names: list[str], groups: list[list[str]]) -> str:
    lines = [f"{name}: {' '.join(group)}" for name, group in zip(names, groups, strict=True)]
    return " | ".join(lines)


SPECIAL: dict[str, Callable[[Any], str]] = {
    "Beit": _beit,
    "DenseNet": _densenet,
    "DPN": _dpn,
    "MetaFormer": _metaformer,
    "IFormer": _normed_head,
    "MobileNetV5": _mobilenetv5,
    "PoolingVisionTransformer": _pit,
    "RepVit": _normed_head,
    "VGG": _vgg,
    "VisionTransformerRelPos": _relpos,
}

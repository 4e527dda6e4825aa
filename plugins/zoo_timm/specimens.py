"""One network of every module of timm, made small: the contract of stages, on real values.

    python -m zoo_timm.specimens docs/timm.md

Bit for bit, the stages are the forward pass, in eval and train mode; and what `freeze_until`
freezes is what autograd says feeds a stage. All after the line `MARK`, up to the next heading, is
written anew.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from zoo_core.conformance.freezing import freezing_equals_autograd
from zoo_core.conformance.specimen import Specimen
from zoo_core.conformance.stages import stages_compose, stages_own_every_tensor
from zoo_core.errors import ZooError
from zoo_core.humanize import one_line
from zoo_core.types import Architecture, InputSpec
from zoo_timm.chains import stages
from zoo_timm.networks import network

MARK = "## One network of every module\n"

SHALLOW = {"depth": 2}
ONE_EACH = {"depths": (1, 1, 1, 1)}
THIN = {"depth": 1, "embed_dim": 64, "num_heads": 2}

# of every module of timm one network, the side of pictures that it takes, and what makes it small
SPECIMENS: dict[str, tuple[str, int, Mapping[str, Any]]] = {
    "beit": ("beit_base_patch16_224", 32, THIN),
    "byoanet": ("botnet26t_256", 64, {}),
    "byobnet": ("test_byobnet", 32, {}),
    "cait": ("cait_xxs24_224", 32, SHALLOW),
    "coat": ("coat_tiny", 32, {"serial_depths": (1, 1, 1, 1), "parallel_depth": 1}),
    "convit": ("convit_tiny", 32, {**SHALLOW, "local_up_to_layer": 1}),
    "convmixer": ("convmixer_768_32", 32, {}),
    "convnext": ("test_convnext", 32, {}),
    "cpubone": ("cpubone_nano", 32, {}),
    "crossvit": ("crossvit_tiny_240", 240, {"depth": ((1, 1, 0),)}),
    "csatv2": ("csatv2", 64, {}),
    "cspnet": ("cs3darknet_focus_s", 32, {}),
    "cspnext": ("cspnext_tiny", 32, {}),
    "davit": ("davit_tiny", 32, ONE_EACH),
    "deepseek_vit": ("deepseek_vit_412m", 28, THIN),
    "deit": ("deit_tiny_distilled_patch16_224", 32, SHALLOW),
    "densenet": ("densenet121", 32, {"block_config": (1, 1, 1, 1)}),
    "dla": ("dla46x_c", 32, {}),
    "dpn": ("dpn48b", 32, {}),
    "edgenext": ("edgenext_xx_small", 32, {}),
    "efficientformer": ("efficientformer_l1", 224, ONE_EACH),
    "efficientformer_v2": ("efficientformerv2_s0", 32, {}),
    "efficientnet": ("test_efficientnet", 32, {}),
    "efficientvim": ("efficientvim_m1_dist", 64, {}),
    "efficientvit_mit": ("efficientvit_b0", 32, {}),
    "efficientvit_msra": ("efficientvit_m0", 128, {}),
    "eva": ("vit_tiny_patch16_dinov3_qkvb", 32, {}),
    "fasternet": ("fasternet_t0", 32, {}),
    "fastvit": ("fastvit_t8", 32, {}),
    "focalnet": ("focalnet_tiny_srf", 32, {}),
    "gcvit": ("gcvit_xxtiny", 32, {}),
    "gemma4_vit": ("gemma4_vit_167m", 48, {"depth": 1}),
    "ghostnet": ("ghostnet_050", 32, {}),
    "hardcorenas": ("hardcorenas_a", 32, {}),
    "hgnet": ("hgnetv2_b0", 32, {}),
    "hiera": ("hiera_tiny_224", 224, {"embed_dim": 32}),
    "hieradet_sam2": ("sam2_hiera_tiny", 32, {"embed_dim": 32}),
    "hrnet": ("hrnet_w18_small", 32, {}),
    "iformer": ("iformer_t", 32, {}),
    "inception_next": ("inception_next_atto", 32, {}),
    "lcnetv2": ("lcnetv2_small", 32, {}),
    "levit": ("levit_128s", 64, {}),
    "lowformer": ("lowformer_b0", 32, {}),
    "mambaout": ("test_mambaout", 32, {}),
    "maxxvit": ("test_coatnet", 32, {}),
    "metaformer": ("poolformerv2_s12", 32, {}),
    "mlp_mixer": ("gmlp_ti16_224", 32, {}),
    "mobilenetv3": ("mobilenetv3_small_050", 32, {}),
    "mobilenetv5": ("mobilenetv5_base", 32, {}),
    "mobilevit": ("mobilevit_xxs", 32, {}),
    "mvitv2": ("mvitv2_tiny", 32, {}),
    "naflexvit": ("naflexvit_base_patch16_parfac_gap", 32, THIN),
    "nasnet": ("nasnetalarge", 32, {}),
    "nest": ("nest_tiny", 32, {}),
    "nextvit": ("nextvit_small", 32, {}),
    "nfnet": ("test_nfnet", 32, {}),
    "pit": ("pit_ti_224", 32, {}),
    "pnasnet": ("pnasnet5large", 32, {}),
    "pvt_v2": ("pvt_v2_b0", 32, {}),
    "qwen3_vit": ("qwen3_vit_88m", 32, {"depth": 1}),
    "rdnet": ("rdnet_tiny", 32, {}),
    "regnet": ("regnetx_002", 32, {}),
    "repghost": ("repghostnet_050", 32, {}),
    "repvit": ("repvit_m1", 32, {}),
    "res2net": ("res2net50_48w_2s", 32, {"layers": (1, 1, 1, 1)}),
    "resnest": ("resnest14d", 32, {}),
    "resnet": ("test_resnet", 32, {}),
    "resnetv2": ("resnetv2_18", 32, {}),
    "rexnet": ("rexnet_100", 32, {}),
    "selecsls": ("selecsls42", 32, {}),
    "senet": ("legacy_seresnet18", 32, {}),
    "sequencer": ("sequencer2d_s", 32, {"layers": (1, 1, 1, 1)}),
    "shvit": ("shvit_s1", 32, {}),
    "sknet": ("skresnet18", 32, {}),
    "starnet": ("starnet_s050", 32, {}),
    "swiftformer": ("swiftformer_xs", 32, {}),
    "swin_transformer": ("swin_tiny_patch4_window7_224", 32, {"depths": (1, 1, 1, 1)}),
    "swin_transformer_v2": ("swinv2_tiny_window16_256", 32, {**ONE_EACH, "embed_dim": 24}),
    "swin_transformer_v2_cr": ("swinv2_cr_tiny_224", 32, {"depths": (1, 1, 1, 1)}),
    "tiny_vit": ("tiny_vit_5m_224", 32, {"depths": (1, 1, 1, 1)}),
    "tnt": ("tnt_s_legacy_patch16_224", 32, SHALLOW),
    "tresnet": ("tresnet_m", 32, {"layers": (1, 1, 1, 1)}),
    "twins": ("twins_svt_small", 32, ONE_EACH),
    "vgg": ("vgg11", 32, {"mlp_ratio": 0.05}),
    "visformer": ("visformer_tiny", 32, {"depth": (1, 1, 1)}),
    "vision_transformer": ("test_vit", 32, {}),
    "vision_transformer_hybrid": ("vit_tiny_r_s16_p8_224", 32, SHALLOW),
    "vision_transformer_relpos": ("test_vit_relpos", 32, {}),
    "vision_transformer_sam": ("samvit_base_patch16_224", 32, {**THIN, "depth": 2}),
    "vitamin": ("vitamin_small_224", 32, {}),
    "volo": ("volo_d1_224", 32, {}),
    "vovnet": ("ese_vovnet19b_slim_dw", 32, {}),
    "xception": ("legacy_xception", 32, {}),
    "xception_aligned": ("xception41p", 32, {}),
    "xcit": ("xcit_nano_12_p8_224", 32, {"depth": 1}),
}
OFFICIAL = ("inception_resnet_v2", "inception_v3", "inception_v4")  # the zoo's own have stages, too


def check(module: str) -> str:
    """The contract on the network of a module; gives its stages. Raises AssertionError."""
    specimen = specimen_of(module)
    stages_own_every_tensor(specimen)
    freezing_equals_autograd(specimen)
    return stages_compose(specimen)


def specimen_of(module: str) -> Specimen:
    """The network of a module, small."""
    name, side, arguments = SPECIMENS[module]
    config = {"variant": name, **arguments}
    if _is_built_for_a_size(name):
        config["img_size"] = side
    architecture = Architecture("timm", _build, stages)
    return Specimen(architecture, config, InputSpec(size=(3, side, side)))


def _build(*, variant: str, num_classes: int, in_chans: int, **arguments: Any) -> nn.Module:
    return network(variant, num_classes=num_classes, in_chans=in_chans, **arguments)


def _is_built_for_a_size(name: str) -> bool:
    import timm
    import torch

    try:
        with torch.device("meta"):
            timm.create_model(name, img_size=224)
    except TypeError as error:
        if "'img_size'" in str(error):
            return False
    except (AssertionError, RuntimeError):
        pass  # of that size it cannot be
    return True


def page() -> str:
    """What the walk over all of them finds, as Markdown."""
    faults = []
    for module in SPECIMENS:
        try:
            check(module)
        except (AssertionError, ZooError) as error:
            faults.append(f"- {module}: {one_line(error)}")
    kept = len(SPECIMENS) - len(faults)
    summary = (
        f"On real values, {kept} of {len(SPECIMENS)} modules keep the contract: the stages are the "
        "forward pass bit for bit, in eval and train mode, and `freeze_until` equals autograd. "
        f"{_listed(OFFICIAL)} are official models of the zoo, checked as such."
    )
    return "\n".join([summary, *faults]) + "\n"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/timm.md")
    section = f"{MARK}\n{page()}\n"
    text = path.read_text(encoding="utf-8")
    text = re.sub(f"{MARK}.*?(?=^## |\\Z)", lambda _: section, text, flags=re.S | re.M)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

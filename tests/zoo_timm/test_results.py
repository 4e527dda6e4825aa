"""timm's own figures beside its weights: by name and size, and by nothing less."""

from __future__ import annotations

import json
from pathlib import Path

import zoo_core as zoo
from zoo_core.plugins.reading import official_manifest
from zoo_timm import official, results

HEADER = "model,img_size,top1,top5,params_m,gmacs,macts_m,real_top1,v2_top1,cpu_img_per_s\n"
TABLE = (
    HEADER
    + "net.a,224,80.5,95.1,1,4.5,9,86,70,\n"
    + "net.a,288,81.5,95.5,1,7.5,15,87,71,\n"
    + "net.b,160,70.5,90.5,1,2.5,5,77,60,33.5\n"
    + "net.c,224,60.5,80.5,1,4.5,9,66,50,12\n"
    + "other.a,224,60.5,80.5,1,4.5,9,66,50,12\n"
)


def tables() -> results.Models:
    weights = {
        "a": {"default": True, "source": "hf://a"},
        "b": {"source": "hf://b", "input": {"size": [3, 160, 160]}},
    }
    return {"net": {"architecture": "timm", "weights": weights}}


def merged(tmp_path: Path) -> tuple[results.Models, results.LeftOut]:
    path = tmp_path / "results.csv"
    path.write_text(TABLE)
    models = tables()
    return models, results.merged(models, results.rows(path))


def test_figures_go_by_name_and_size(tmp_path: Path) -> None:
    models, left_out = merged(tmp_path)
    net = models["net"]
    first, second = net["weights"].values()
    assert first["metrics"] == {
        "imagenet-1k.top1": 80.5,
        "imagenet-1k.top5": 95.1,
        "imagenet-real.top1": 86,
        "imagenet-v2.top1": 70,
    }
    assert (first["gmacs"], first["macts"], "speed" in first) == (4.5, 9, False)
    assert (second["gmacs"], second["speed"]) == (2.5, {"i7-12700h": 33.5})
    assert net["gmacs"] == 4.5  # for the pictures of its default weights
    assert left_out.size == ["net.a at 288"]
    assert left_out.name == ["net.c at 224", "other.a at 224"]


def test_a_manifest_made_anew_keeps_them(tmp_path: Path) -> None:
    old, _ = merged(tmp_path)
    new = tables()
    results.kept(old, new)
    assert new == old
    new = tables()
    new["net"]["weights"]["b"]["input"] = {"size": [3, 192, 192]}  # other figures by now
    results.kept(old, new)
    assert new["net"]["weights"]["b"] == {"source": "hf://b", "input": {"size": [3, 192, 192]}}


def test_what_is_committed() -> None:
    """Every figure has its source and date, and most weights with a classifier have some."""
    models = [zoo.info(name) for name in zoo.list_models("timm")]
    listed = [weights for model in models for weights in model.weights.values()]
    told = [weights for weights in listed if weights.metrics]
    assert len(told) > 1100
    assert {weights.measured for weights in told} == {results.MEASURED}
    assert all(weights.gmacs and weights.macts and weights.speed for weights in told)
    tiny = zoo.info("timm/convnext_tiny")
    assert tiny.gmacs == 4.47
    assert tiny.weights["in12k_ft_in1k"].metrics["imagenet-1k.top1"] == 84.192


def test_the_file_says_whose_they_are() -> None:
    from zoo_timm.generate import MANIFEST

    assert json.loads(MANIFEST.read_text(encoding="utf-8"))["measured"] == results.MEASURED


# --- official weights ----------------------------------------------------------------------------

REGISTRY = """# by hand
schema = 1
measured = "of before"

[models.net]
gmacs = 4.49 # counted here

[models.net.weights.a]
default = true
source = "hf://a"
metrics = { "imagenet-1k.top1" = 80.7 }

[models.net.weights.b]
source = "hf://b"
input = { size = [3, 160, 160] }
gmacs = 99

[models.net.weights.own]
source = "hf://own"
gmacs = 5
"""


def test_official_weights_have_them_beside_what_is_stated(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text(TABLE)
    text, told = official.with_figures(REGISTRY, results.rows(path))
    assert list(told) == [("net", "a"), ("net", "b")]
    metrics = '"imagenet-1k.top1" = 70.5, "imagenet-1k.top5" = 90.5'
    expected = REGISTRY.replace("80.7 }\n", "80.7 }\nmacts = 9.0\n")
    expected = expected.replace('"of before"', json.dumps(official.MEASURED))
    before, after = expected.split("gmacs = 99\n")
    assert text == (
        f'{before}metrics = {{ {metrics}, "imagenet-real.top1" = 77.0, "imagenet-v2.top1" = 60.0 }}'
        f"\ngmacs = 2.5\nmacts = 5.0\nspeed = {{ i7-12700h = 33.5 }}\n{after}"
    )
    again, _ = official.with_figures(text, results.rows(path))
    assert again == text


def test_what_is_committed_of_official_weights() -> None:
    listed = [w for name in zoo.list_models() for w in zoo.info(name).weights.values()]
    assert sum(bool(weights.speed and weights.macts) for weights in listed) == 67
    assert {weights.measured for weights in listed} == {official.MEASURED}
    assert zoo.info("resnet50").weights["a1h_in1k"].gmacs == 2.62
    assert zoo.info("resnet50").gmacs == 4.09  # counted here
    assert zoo.list_models("resnet50", max_gmacs=3) == ["resnet50.tv2_in1k"]
    text = official_manifest().read_text(encoding="utf-8")
    assert official.with_figures(text, []) == (text, {})  # tidy, and of this source

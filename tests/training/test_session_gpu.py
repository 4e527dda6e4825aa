"""Fine-tuning on a GPU: within rounding what a CPU gives, cached or not, and without waiting."""

import pytest
import torch

import zoo_core as zoo
from zoo_core.data.opening import open_data
from zoo_core.training import step

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
DIGITS = open_data("digits").subset(range(0, 1797, 6))
COMMON = {"augment": False, "epochs": 3, "batch_size": 32, "out": False, "progress": False}


def losses(**given):
    run = zoo.finetune("lenet5", DIGITS, **{**COMMON, **given})
    return [row["val_loss"] for row in run.history]


@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
def test_cached_is_uncached_within_rounding(precision):
    given = {"freeze_until": "fc1", "precision": precision, "head": "random"}
    loose = 1e-3 if precision == "no" else 5e-2
    assert losses(cache=True, **given) == pytest.approx(losses(cache=False, **given), rel=loose)


@pytest.mark.parametrize(
    "given",
    [
        {"channels_last": True},
        {"compile": True},
        {"checkpointing": True},
        {"accumulate": 4},
        {"schedule": "head=1,fc1=1,conv2=1"},
    ],
)
def test_every_way_comes_to_nearly_the_same(given):
    plain = losses(precision="no", channels_last=False, freeze_until="conv2")
    if "schedule" in given:
        assert losses(precision="no", **given)[-1] < 1.0
    else:
        found = losses(precision="no", freeze_until="conv2", **{"channels_last": False, **given})
        assert found == pytest.approx(plain, rel=2e-2)


@pytest.mark.parametrize("cache", [True, False])
def test_the_loop_never_waits_for_the_device(cache, monkeypatch):
    taken = step.Stepper.step

    def watched(self, batch):
        torch.cuda.set_sync_debug_mode("error")
        try:
            return taken(self, batch)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(step.Stepper, "step", watched)
    assert losses(freeze_until="fc1", cache=cache, regularizers=["l2-sp", "ema"])[-1] < 1.0


def test_out_of_memory_makes_pieces_of_a_batch(capsys):
    _free, total = torch.cuda.mem_get_info()
    share = 1.2e9 / total
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(share)
    try:
        pictures = torch.utils.data.TensorDataset(
            torch.randn(64, 3, 224, 224), torch.arange(64) % 2
        )
        model = zoo.create("resnet18", num_classes=2)
        given = {"epochs": 1, "batch_size": 64, "val": False, "precision": "no", "out": False}
        run = zoo.finetune(model, pictures, **given)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert run.history[0]["loss"] < 2 and "Out of memory: each batch" in capsys.readouterr().err

"""On a GPU: no regularizer waits for it, those that can are captured, and mixed precision works."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

import zoo_core as zoo
from zoo_core.plugins.catalogue import catalogue
from zoo_core.regularize.stack import Stack

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

NAMES = sorted(catalogue().regularizers())
WAITS = {"bss"}  # singular values are found on the host
# Randomness of the host, or a number that moves with the steps, would be repeated by a graph.
NOT_CAPTURED = WAITS | {
    *("mixup", "cutmix", "manifold-mixup", "gradient-noise", "ema", "swa", "early-stopping"),
}


def together(name: str) -> list[str]:
    return ["dropout", "r-drop"] if name == "r-drop" else [name]


class Training:
    """A ResNet-18 on the GPU, its first stage frozen, and one regularizer."""

    def __init__(self, name: str, scaler: torch.amp.GradScaler | None = None) -> None:
        torch.manual_seed(0)
        self.model = zoo.create("resnet18", num_classes=10).cuda().train()
        self.model.freeze_until("layer1")
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.SGD(trained, lr=0.01, momentum=0.9)
        start = {name: p.detach() for name, p in self.model.named_parameters()}
        self.scaler = scaler
        self.stack: Stack = zoo.regularizers(together(name)).attach(
            self.model, optimizer=self.optimizer, scaler=scaler, reference=start
        )
        self.x = torch.randn(8, 3, 64, 64, device="cuda")
        self.y = torch.randint(10, (8,), device="cuda")

    def step(self, dtype: torch.dtype = torch.float32, spoil: bool = False) -> None:
        x, y = self.stack.batch(self.x, self.y)
        self.optimizer.zero_grad(set_to_none=True)

        def closure() -> Tensor:
            with torch.autocast("cuda", dtype, enabled=dtype != torch.float32):
                outputs = self.model(x)
                loss = self.stack.loss(nn.functional.cross_entropy(outputs, y), outputs, y)
            (self.scaler.scale(loss) if self.scaler else loss).backward()
            return loss.detach()

        self.stack.passes(closure)
        if self.scaler is None:
            self.stack.gradients()
            self.optimizer.step()
            self.stack.weights()
            return
        if spoil:
            self.model.fc.bias.grad.fill_(torch.inf)
        self.scaler.unscale_(self.optimizer)
        self.stack.gradients()
        self.scaler.step(self.optimizer)
        self.stack.weights()
        self.scaler.update()


@contextlib.contextmanager
def waiting_is_an_error() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WAITS])
def test_no_moment_of_a_step_waits_for_the_device(name: str) -> None:
    training = Training(name)
    training.step()
    torch.cuda.synchronize()
    with waiting_is_an_error():
        for _ in range(2):
            training.step()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NOT_CAPTURED])
def test_a_step_is_captured_and_repeated(name: str) -> None:
    """A graph of a whole step, replayed, gives what steps one by one give."""
    plain, captured = Training(name), Training(name)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            captured.step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured.step()
    graph.replay()
    torch.cuda.synchronize()
    random = {"dropout", "dropblock", "stochastic-depth", "r-drop"}
    for _ in range(4):
        plain.step()
    for a, b in zip(plain.model.parameters(), captured.model.parameters(), strict=True):
        assert torch.isfinite(b).all()
        if name not in random:
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
@pytest.mark.parametrize("name", NAMES)
def test_mixed_precision(name: str, dtype: torch.dtype) -> None:
    """Weights stay numbers, and a step that the scaler skips moves none of them."""
    scaler = torch.amp.GradScaler("cuda", init_scale=1024.0) if dtype is torch.float16 else None
    training = Training(name, scaler)
    for _ in range(3):
        training.step(dtype)
    assert all(torch.isfinite(p).all() for p in training.model.parameters())
    if scaler is None:
        return
    before = [p.detach().clone() for p in training.model.parameters()]
    training.step(dtype, spoil=True)
    after = training.model.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("name", ["l1", "l2", "elastic-net", "l2-sp", "max-norm", "group-lasso"])
def test_the_gpu_gives_what_the_cpu_gives(name: str) -> None:
    on_gpu = Training(name)
    on_cpu = zoo.create("resnet18", num_classes=10)
    on_cpu.load_state_dict(on_gpu.model.state_dict())
    on_cpu.freeze_until("layer1")
    optimizer = torch.optim.SGD([p for p in on_cpu.parameters() if p.requires_grad], lr=0.01)
    start = {name: p.detach() + 1 for name, p in on_cpu.named_parameters()}
    theirs = zoo.regularizers(name).attach(on_cpu, optimizer=optimizer, reference=start)
    ours = zoo.regularizers(name).attach(
        on_gpu.model, optimizer=on_gpu.optimizer, reference={n: p.cuda() for n, p in start.items()}
    )
    for stack, model in ((ours, on_gpu.model), (theirs, on_cpu)):
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.zeros_like(parameter)
        stack.gradients()
        stack.weights()
    for a, b in zip(on_gpu.model.parameters(), on_cpu.parameters(), strict=True):
        torch.testing.assert_close(a.cpu(), b)
        if a.grad is not None:
            torch.testing.assert_close(a.grad.cpu(), b.grad)

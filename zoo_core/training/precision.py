"""Mixed precision: the context of a forward pass, and the scaler of its gradients."""

from __future__ import annotations

import contextlib

import torch

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """How a forward pass computes on a device: `no` (as the weights are), `bf16` or `fp16`.

    `auto`: bf16 on a GPU that has it, else no. `scaler`: a GradScaler for fp16, else None.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        if name == "auto":
            able = device.type == "cuda" and torch.cuda.is_bf16_supported()
            name = "bf16" if able else "no"
        self.name, self.device = name, device
        self.scaler = torch.amp.GradScaler(device.type) if name == "fp16" else None

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        """The context of a forward pass."""
        if self.name == "no":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, TYPES[self.name])

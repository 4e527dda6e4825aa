"""What zoo asks of every architecture, of this one when it is narrow, and what the paper says."""

from __future__ import annotations

import torch

from zoo_core.testing import check_architecture, plugin_tests
from zoo_residual_attention.model import Attention

test_contract = plugin_tests("zoo_residual_attention")


def test_another_width() -> None:
    check_architecture("residual_attention56_small", size=(3, 16, 16), width=4)


def test_a_mask_that_is_shut_leaves_the_trunk() -> None:
    module = Attention(channels=8, depth=2).eval()
    torch.nn.init.zeros_(module.mask[-2].weight)  # sigmoid(0) = 1/2
    x = torch.randn(2, 8, 8, 8)
    with torch.no_grad():
        inside = module.before(x)
        expected = module.after(1.5 * module.trunk(inside))
        torch.testing.assert_close(module(x), expected)

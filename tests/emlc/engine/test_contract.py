"""Gradients that are assigned, in whatever memory layout, against SGD by hand."""

import torch
from torch import nn

from emlc.engine.contract import assign_gradient


def test_a_fused_optimiser_takes_gradients_of_any_memory_layout() -> None:
    draws = torch.Generator().manual_seed(0)
    conv = nn.Conv2d(5, 4, 3, bias=False, dtype=torch.float64)
    with torch.no_grad():
        expected = conv.weight.normal_(generator=draws).clone()
    velocity = torch.zeros_like(expected)
    optimiser = torch.optim.SGD(conv.parameters(), lr=0.1, momentum=0.9, weight_decay=0.05, fused=True)
    for layout in (torch.channels_last, torch.contiguous_format, torch.channels_last):
        gradient = torch.randn(conv.weight.shape, generator=draws, dtype=torch.float64).to(memory_format=layout)
        assign_gradient(conv.weight, gradient)
        optimiser.step()
        velocity = 0.9 * velocity + gradient + 0.05 * expected
        expected = expected - 0.1 * velocity
        torch.testing.assert_close(conv.weight.detach(), expected, rtol=0, atol=1e-14)

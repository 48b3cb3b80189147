from dataclasses import replace

import torch

from baselines.c2d import C2D
from tests.baselines.test_dividemix import begun, make_method


def test_gradients_of_the_warm_up_are_clipped_and_later_ones_are_not():
    for epoch, clipped in ((0, True), (3, False)):
        method = make_method(replace(C2D.Options(warm_up=0.2), clip_norm=1e-3), C2D)
        method.begin_epoch(epoch)
        method.step()
        norm = method.networks[0].weight.grad.norm().item()  # weight decay is added to it
        decay = method.setting.training.weight_decay * method.networks[0].weight.norm().item()
        assert (norm <= 1e-3 + 2 * decay) == clipped


def test_is_dividemix_otherwise():
    options = replace(C2D.Options(warm_up=0.2), clip_norm=None)
    ours, theirs = make_method(options, C2D), begun(3, options)
    ours.begin_epoch(3)
    torch.testing.assert_close(ours.step(), theirs.step(), rtol=0, atol=0)


def test_published_values():
    """Five epochs of warm-up in 360, one each in a short run; the ramp of 16 epochs."""
    options = C2D.Options()
    assert (options.warm_up * 360, options.ramp * 360, options.mixture_steps, options.clip_norm) == (5, 16, 200, 1.0)

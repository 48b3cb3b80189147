"""MLC by double backward takes the very steps of MLC by forward products."""

import pytest
import torch

from baselines.mlc import MLC, Options
from baselines.mlc_double_backward import DoubleBackwardMLC
from emlc.engine.contract import Batch, Training
from emlc.models import build_model
from tests.settings import make_setting

TRAINING = Training(epochs=2, batch_size=5, lr=0.1, momentum=0.9, weight_decay=0.05)


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def make_method(cls, **options):
    setting = make_setting(
        lambda role: build_model("cnn-small", 4, 1, torch.Generator().manual_seed(1), width=2),
        TRAINING,
        4,
        torch.zeros(20, dtype=torch.int64),
    )
    method = cls(setting, Options(**{"teacher_lr": 0.01, "embedding": 3, "hidden": 6} | options))
    method.begin_epoch(0)
    return method


def make_batch(seed, size):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(size, 1, 8, 8, generator=generator)
    return Batch((inputs,), torch.randint(4, (size,), generator=generator), torch.arange(size))


@pytest.mark.parametrize("options", [{}, {"gradient_steps": 3}, {"skip": True}], ids=str)
def test_the_steps_are_those_of_the_forward_products(options):
    fast, slow = make_method(MLC, **options), make_method(DoubleBackwardMLC, **options)
    for seed in range(7):
        batches = make_batch(seed, 5), make_batch(100 + seed, 7)
        torch.testing.assert_close(slow.learn(*batches), fast.learn(*batches), rtol=1e-9, atol=0)
    for part in ("student", "teacher"):
        pair = [dict(getattr(method, part).state_dict()) for method in (slow, fast)]
        torch.testing.assert_close(*pair, rtol=1e-7, atol=1e-10)
    torch.testing.assert_close(slow.accumulated, fast.accumulated, rtol=1e-7, atol=1e-12)

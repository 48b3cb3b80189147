"""Synchronised batch normalisation by a single process is the usual one (by several: tests/emlc/engine)."""

import copy

import pytest
import torch

from emlc.metagrad import dual_jvp
from emlc.metagrad.tape import Tape
from emlc.models import build_model
from emlc.models.batch_norm import SynchronisedBatchNorm2d, synchronise


def pair(precision="float32", dtype=torch.float64):
    """A network with the usual normalisation in training mode, and its twin with the synchronised one."""
    network = build_model("cnn-small", 5, 3, torch.Generator().manual_seed(0), width=4).to(dtype)
    network.precision = precision
    twin = copy.deepcopy(network)
    synchronise(twin)
    return network, twin


def images(dtype=torch.float64):
    return torch.randn((6, 3, 8, 8), generator=torch.Generator().manual_seed(1), dtype=dtype)


def test_the_twin_holds_the_same_under_the_same_names():
    network, twin = pair()
    assert [name for name, _ in network.named_parameters()] == [name for name, _ in twin.named_parameters()]
    assert sum(isinstance(layer, SynchronisedBatchNorm2d) for layer in twin.modules()) == 3


@pytest.mark.parametrize("training", [True, False])
def test_logits_gradients_and_running_statistics_are_the_same(training):
    for network in (both := pair()):
        network.train(training)
        for _ in range(2):
            network(images()).pow(2).sum().backward()
    network, twin = both
    for one, other in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-12, atol=1e-12)
    for one, other in zip(network.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-13, atol=1e-13)


def taped(network, direction):
    tape = Tape(network)
    with tape:
        logits = network(images())
    return tape.jvp(logits, dict(network.named_parameters()), direction)


def recomputed(network, direction):
    return dual_jvp(network, dict(network.named_parameters()), images(), direction)


@pytest.mark.parametrize("product", [taped, recomputed])
def test_jacobian_vector_products_are_the_same(product):
    network, twin = pair()
    generator = torch.Generator().manual_seed(2)
    direction = {
        name: torch.randn(value.shape, generator=generator, dtype=value.dtype)
        for name, value in network.named_parameters()
    }
    torch.testing.assert_close(product(twin, direction), product(network, direction), rtol=1e-11, atol=1e-12)


def test_bfloat16_keeps_its_type_and_gradients_follow():
    network, twin = pair("bfloat16", torch.float32)
    for each in (network, twin):
        each(images(torch.float32)).pow(2).sum().backward()
    for one, other in zip(network.parameters(), twin.parameters(), strict=True):
        assert other.grad.dtype == torch.float32
        assert (one.grad - other.grad).norm() < 0.05 * one.grad.norm()


def test_a_second_derivative_is_refused():
    _, twin = pair()
    weights = tuple(twin.parameters())
    with pytest.raises(RuntimeError, match="has no second derivative"):
        torch.autograd.grad(twin(images()).pow(2).sum(), weights, create_graph=True)

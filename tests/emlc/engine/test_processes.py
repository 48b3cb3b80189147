"""One training by several processes is the training by one: every method that says so, in float64, by gloo."""

import pytest
import torch

from tests.emlc.engine.groups import Case, Group, float64, shards, trained

EMLC = "emlc.method"
CASES = {
    "cross-entropy": Case("baselines.cross_entropy"),
    "clean-only": Case("baselines.clean_only"),
    "emlc-k1": Case(EMLC, {"corruption": "random"}),
    "emlc-k5": Case(EMLC, {"look_ahead": 5}),
    "emlc-k5 recomputed": Case(EMLC, {"look_ahead": 5, "forward": "recomputed", "corruption": "random"}),
    "emlc-k5 momentum": Case(EMLC, {"look_ahead": 5, "meta_gradient": "fpmg-momentum"}),
    "emlc-k5 parity": Case(EMLC, {"look_ahead": 5, "meta_scale": "parity"}),
    "emlc-k5 differences": Case(EMLC, {"look_ahead": 5, "meta_gradient": "finite-difference"}),
    "emlc-k3 mlc": Case(EMLC, {"look_ahead": 3, "meta_gradient": "mlc"}),
    "emlc released": Case(EMLC, {"look_ahead": 5, "meta_gradient": "fpmg-released", "clean_statistics": True}),
    "emlc student features": Case(EMLC, {"features": "student"}),
    "mlc-k1": Case("baselines.mlc"),
    "mlc-k3": Case("baselines.mlc", {"gradient_steps": 3}),
    "mw-net": Case("baselines.mw_net"),
    "fasten": Case("baselines.fasten", {"threshold": 0.21}, batch_size=20),
}


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    started = Group(4, tmp_path_factory.mktemp("group"))
    yield started
    started.close()


def difference(one, other):
    """The largest difference between two states of the same names."""
    assert one.keys() == other.keys()
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one if one[name].numel())


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("name", CASES)
def test_synchronised_statistics_make_it_the_training_of_one_process(group, name, count):
    with float64():
        alone = trained(CASES[name], 1)
    for state in group(count, trained, CASES[name], count):
        assert difference(alone, state) < 1e-12

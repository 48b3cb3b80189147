"""The coefficients that SGD with momentum really has, against the unrolled gradient."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emlc.metagrad import META_GRADIENTS, surrogate_loss
from emlc.metagrad.adjoint import step_weights
from tests.emlc.metagrad.scenes import CNN, MLP, make_scene, relative_error

RATES = st.floats(1e-4, 0.5)


def quadratic_sensitivities(k, lr, momentum, weight_decay, curvature):
    """d w(t+1) / d g_tau of SGD on a quadratic with Hessian `curvature`, by running the optimiser on unit impulses."""
    sensitivities = []
    for impulse in range(k):
        w, v = 0.0, 0.0
        for step in range(k):
            gradient = curvature * w + (1.0 if step == impulse else 0.0)
            v = momentum * v + gradient + weight_decay * w
            w -= lr * v
        sensitivities.append(-w)
    return sensitivities


@given(st.integers(1, 12), RATES, st.floats(0, 0.95), st.floats(0, 0.1), st.sampled_from([0.0, 1.0, 0.3]))
def test_step_weights_are_what_the_optimiser_does(k, lr, momentum, weight_decay, curvature):
    weights = step_weights(k, lr, momentum, weight_decay, curvature)
    assert weights == pytest.approx(quadratic_sensitivities(k, lr, momentum, weight_decay, curvature), rel=1e-9)


@given(st.integers(1, 12), RATES)
def test_without_momentum_the_identity_hessian_gives_the_paper_s_discount(k, lr):
    assert step_weights(k, lr, 0.0, 0.0, 1.0) == pytest.approx([lr * (1 - lr) ** j for j in reversed(range(k))])


def test_momentum_makes_old_steps_weigh_more():
    assert [round(w, 4) for w in step_weights(5, 1.0, 0.9, 0.0, 0.0)[::-1]] == [1.0, 1.9, 2.71, 3.439, 4.0951]


def median_error(name, student, lr):
    errors = []
    for seed in range(20):
        scene = make_scene(student(), k=5, lr=lr, momentum=0.9, weight_decay=5e-4, seed=seed, warm_up=10, n=16)
        gradients = {
            key: scene.teacher_gradient(surrogate_loss(META_GRADIENTS[key](scene.window), scene.soft_targets))
            for key in (name, "unrolled")
        }
        errors.append(relative_error(gradients[name], gradients["unrolled"]))
    return statistics.median(errors)


@pytest.mark.parametrize(("lr", "bound"), [(0.02, 0.10), (0.1, 0.26)])
@pytest.mark.parametrize("student", [MLP, CNN])
def test_momentum_aware_coefficients_beat_the_paper_s_formula(student, lr, bound):
    assert median_error("fpmg", student, lr) > 0.5
    assert median_error("fpmg-momentum", student, lr) <= bound

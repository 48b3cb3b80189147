import numpy as np
import pytest
import torch

from baselines.loss_mixture import FLOOR, TOLERANCE, low_loss_probability, scaled


def two_heaps(seed: int, count: int = 300) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return scaled(torch.tensor(np.concatenate([rng.gamma(1.0, 0.3, 2 * count), rng.normal(4, 1, count)])))


@pytest.mark.parametrize("iterations", [2, 10, 200])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_is_the_mixture_of_scikit_learn(seed, iterations):
    mixture = pytest.importorskip("sklearn.mixture")
    losses = two_heaps(seed)
    model = mixture.GaussianMixture(2, max_iter=iterations, tol=TOLERANCE, reg_covar=FLOOR, random_state=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)  # two steps do not converge, and shall not
        model.fit(losses[:, None].numpy())
    expected = model.predict_proba(losses[:, None].numpy())[:, model.means_.argmin()]
    np.testing.assert_allclose(low_loss_probability(losses, iterations), expected, rtol=0, atol=1e-10)


def test_parts_two_heaps():
    losses = torch.tensor([0.0, 0.01, 0.02, 0.01, 0.9, 1.0, 0.95])
    torch.testing.assert_close(low_loss_probability(losses).round(), torch.tensor([1.0, 1, 1, 1, 0, 0, 0]))


def test_order_of_the_samples_does_not_matter():
    losses, order = two_heaps(3), torch.randperm(900, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(low_loss_probability(losses)[order], low_loss_probability(losses[order]))


def test_equal_losses_give_probabilities():
    given = low_loss_probability(scaled(torch.full((5,), 0.7)))
    assert given.isfinite().all()


def test_losses_are_scaled_to_the_unit_interval():
    torch.testing.assert_close(scaled(torch.tensor([3.0, 1.0, 2.0])), torch.tensor([1.0, 0.0, 0.5]))

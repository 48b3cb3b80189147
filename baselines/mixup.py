"""Mixup's coefficient, drawn so that a resumed run draws the same."""

import math

import torch
from torch import Tensor


def mixup_coefficient(alpha: float, generator: torch.Generator) -> Tensor:
    """Draw ``max(lam, 1 - lam)``, lam ~ Beta(alpha, alpha): a scalar from 0.5 to 1 on the generator's device.

    Ulrich's exact formula from two uniform draws (Devroye, Non-Uniform Random Variate Generation, 1986, chapter IX.3),
    for alpha of at least 0.5. ``torch.distributions.Beta`` takes no generator, and what it draws by leaves half a
    normal draw in the generator of a CPU, of which a saved state keeps only a rounded value.
    """
    radius, angle = torch.rand(2, dtype=torch.float64, generator=generator, device=generator.device)
    # At alpha = 0.5 the radius is 1: an arcsine draw.
    length = 1.0 if alpha == 0.5 else (1 - radius ** (2 / (2 * alpha - 1))).sqrt()
    return 0.5 + 0.5 * length * (2 * math.pi * angle).cos().abs()

"""Contrast to Divide (Zheltonozhskii et al., WACV 2022; ContrastToDivide/C2D)."""

from dataclasses import dataclass

from baselines import codivision
from baselines.dividemix import DivideMix


@dataclass(frozen=True)
class Options(codivision.Options):
    """Those of :class:`baselines.codivision.Options`, with the values that C2D's code gives them for CIFAR.

    Its examples go further than DivideMix's: a threshold of 0.03 and an unlabelled weight of 500 for CIFAR-100 with
    80 % noise and ResNet-50, 0.7 and 0 for Clothing1M.
    """

    warm_up: float = 5 / 360
    ramp: float = 16 / 360
    mixture_steps: int = 200
    clip_norm: float | None = 1.0


class C2D(DivideMix):
    """DivideMix from encoders that SimCLR trained on the same images without labels, which shortens the warm-up.

    Both networks start from the same encoder and classifiers of their own: the profile's ``initialisation: simclr``.
    """

    Options = Options


METHOD = C2D

"""Augmentation in batch, on the device that holds the uint8 images, with randomness of its own for each image.

Drawing (a ``torch.Generator`` on that device decides) is separate from applying (deterministic).
"""

from emlc.data.augment.autoaugment import autoaugment
from emlc.data.augment.geometry import random_crop, random_flip
from emlc.data.augment.pipelines import (
    CropFlip,
    CropFlipAutoAugment,
    CropFlipJitter,
    CropFlipRandAugment,
    SimCLRView,
    normalise,
)
from emlc.data.augment.simclr import simclr_view

__all__ = [
    "CropFlip",
    "CropFlipAutoAugment",
    "CropFlipJitter",
    "CropFlipRandAugment",
    "SimCLRView",
    "autoaugment",
    "normalise",
    "random_crop",
    "random_flip",
    "simclr_view",
]

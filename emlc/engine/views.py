"""The augmentations that a method can ask for, by name."""

from dataclasses import dataclass

import torch
from torch import Tensor

from emlc.data.augment import CropFlip, CropFlipAutoAugment, CropFlipJitter, CropFlipRandAugment, normalise
from emlc.data.streaming.preprocessing import Crop
from emlc.engine.recipe import Recipe
from emlc.engine.streams import View


@dataclass(frozen=True)
class Plain:
    """Normalisation alone.

    Attributes
    ----------
    mean, std : tuple of float
        Per channel, on the [0, 1] scale.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: Tensor, _: torch.Generator | None) -> Tensor:
        """Return float32 [n, C, H, W] from uint8 of that shape."""
        return normalise(images, self.mean, self.std)


@dataclass(frozen=True)
class Cropped:
    """A view of a crop: photographs are read to squares that are larger than what a network sees.

    Attributes
    ----------
    crop : Crop
    view : View
    """

    crop: Crop
    view: View

    def __call__(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return float32 [n, C, s, s] from uint8 [n, C, S, S]."""
        return self.view(self.crop(images, generator), generator)


def build_views(recipe: Recipe) -> dict[str, View]:
    """Return the views of a run's images.

    ``plain``
        Normalised, nothing else: how images are scored.
    ``weak``
        Padded random crop and mirror image, as far as the dataset has them: what methods train on.
    ``auto``
        ``weak`` with AutoAugment, whose policies were found for photographs; grey images get ``weak`` alone. EMLC's
        clean batches.
    ``strong``
        ``weak`` with AutoAugment, on grey images with a policy of small warps and contrasts.
    ``rand``
        ``weak`` with FixMatch's RandAugment and Cutout.
    ``jitter``
        ``weak`` with jittered colours and an affine warp.

    Photographs are cropped first, as their preprocessing says: in the middle where they are scored.
    """
    shared = (recipe.crop_padding, recipe.flips, recipe.mean, recipe.std, recipe.padding)
    weak = CropFlip(*shared)
    in_colour = len(recipe.mean) == 3
    strong = CropFlipAutoAugment(*shared, recipe.auto_augment if in_colour else "grey")
    plain = Plain(recipe.mean, recipe.std)
    views = {
        "plain": plain,
        "weak": weak,
        "auto": strong if in_colour else weak,
        "strong": strong,
        "rand": CropFlipRandAugment(*shared),
        "jitter": CropFlipJitter(*shared),
    }
    if recipe.preprocessing is None:
        return views
    crops = dict.fromkeys(views, recipe.preprocessing.train) | {"plain": recipe.preprocessing.evaluation}
    return {name: Cropped(crops[name], view) for name, view in views.items()}

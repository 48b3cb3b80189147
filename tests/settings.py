"""Settings of methods for tests that hand them their batches, and small sets of images that say who they are."""

import torch
from torch import Tensor

from emlc.engine.contract import Samples, Setting, Training

CPU = torch.device("cpu")


def unchanged(images: Tensor, _: torch.Generator | None) -> Tensor:
    return images.float()


def shifting(images: Tensor, generator: torch.Generator) -> Tensor:
    return images.float() + torch.rand(len(images), generator=generator).view(-1, 1, 1, 1)


VIEWS = {"plain": unchanged, "weak": shifting, "auto": shifting, "strong": shifting}


def numbered(labels: Tensor, seed: int = 0, **changes) -> Samples:
    """Image i is filled with i."""
    images = torch.arange(len(labels)).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()
    given = {"views": VIEWS, "generator": lambda name: torch.Generator().manual_seed(seed + len(name))}
    return Samples(images, labels, **given | changes)


def make_setting(build, training: Training, num_classes: int, noisy_labels: Tensor, seeds=(3, 4)) -> Setting:
    """Return a setting on the CPU; `seeds` are those of the initial weights and of the method's own randomness."""
    return Setting(
        num_classes=num_classes,
        noisy=numbered(noisy_labels),
        clean=numbered(torch.arange(num_classes)),
        training=training,
        build=build,
        initial=torch.Generator().manual_seed(seeds[0]),
        generator=torch.Generator().manual_seed(seeds[1]),
        device=CPU,
    )

"""Endless noisy and clean batches for whole training loops: as the suite makes them, and image by image."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler
from torchvision import transforms

from baselines.cross_entropy import CrossEntropy
from emlc.data.augment import CropFlip, CropFlipAutoAugment
from emlc.engine.contract import Batch, Samples, StudentMethod
from pipelines.bench.cases import CLASSES, Workload

IMAGES = 4096
"""Random images to choose from: what a batch costs depends neither on how many there are nor on what they show."""
PADDING, MEAN, STD = 4, (0.5,) * 3, (0.25,) * 3
PREFETCHED = 2
"""Batches that each process of a data loader makes ahead."""

Feed = Iterator[tuple[Batch, Batch]]
"""Pairs of a noisy batch, of all the images that one step of the method gets, and a clean one."""


def pairs(batches: Callable[[int, bool], Iterator[Batch]], method: StudentMethod) -> Feed:
    """Return what a method trains on, from a function of batch size and whether images go through AutoAugment."""
    noisy = batches(method.noisy.size, False)
    if isinstance(method, CrossEntropy):  # which looks at no clean images
        return ((batch, batch) for batch in noisy)
    return zip(noisy, batches(method.clean.size, "auto" in method.clean.views), strict=True)


def resident(workload: Workload, size: int, auto: bool) -> Iterator[Batch]:
    """Yield batches as the suite trains on: uint8 images on the device, augmented there, a batch at a time."""
    stream = _samples(workload, workload.device).stream(size, "auto" if auto else "weak")
    while True:
        yield stream.next()


def per_image(workload: Workload, workers: int, size: int, auto: bool) -> Iterator[Batch]:
    """Yield batches of PyTorch's data loader: the same augmentations by torchvision, one image at a time on the CPU."""
    pictures = _Pictures(*_pixels(workload), _transform(workload.image[1], auto))
    for images, labels, indices in _loader(pictures, size, workers, pinned=workload.device != "cpu"):
        moved = (part.to(workload.device, non_blocking=True) for part in (images, labels, indices))
        inputs, given, positions = moved
        yield Batch((inputs,), given, positions)


def _samples(workload: Workload, device: str) -> Samples:
    images, labels = _pixels(workload)
    shared = (PADDING, True, MEAN, STD)
    views = {"weak": CropFlip(*shared), "auto": CropFlipAutoAugment(*shared)}
    generator = torch.Generator(device).manual_seed(0)
    return Samples(images.to(device), labels.to(device), views, lambda name: generator)


def _pixels(workload: Workload) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (IMAGES, *workload.image), generator=generator, dtype=torch.uint8)
    labels = torch.randint(CLASSES, (IMAGES,), generator=generator)
    return images, labels


class _Pictures(Dataset[tuple[Tensor, Tensor, int]]):
    """Images in memory, transformed one by one."""

    def __init__(self, images: Tensor, labels: Tensor, transform: Callable[[Tensor], Tensor]) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        return self.transform(self.images[index]), self.labels[index], index


def _transform(side: int, auto: bool) -> transforms.Compose:
    automatic = [transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10)] if auto else []
    crop = [transforms.ToPILImage(), transforms.RandomCrop(side, PADDING), transforms.RandomHorizontalFlip()]
    return transforms.Compose([*crop, *automatic, transforms.ToTensor(), transforms.Normalize(MEAN, STD)])


def _loader(pictures: _Pictures, size: int, workers: int, pinned: bool) -> DataLoader[tuple[Tensor, Tensor, int]]:
    endless = RandomSampler(pictures, replacement=True, num_samples=2**40)
    ahead = PREFETCHED if workers else None
    return DataLoader(pictures, size, sampler=endless, num_workers=workers, pin_memory=pinned, prefetch_factor=ahead)

"""Endless noisy and clean batches for whole training loops: as the suite makes them, and image by image."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler
from torchvision import transforms

from emlc.augment import CropFlip, CropFlipAutoAugment
from emlc.engine.contract import Batch, Method
from emlc.engine.streams import Augmentation, ImageSet, Stream
from pipelines.bench.cases import CLASSES, Workload

IMAGES = 4096
"""Random images to choose from: what a batch costs depends neither on how many there are nor on what they show."""
PADDING, MEAN, STD = 4, (0.5,) * 3, (0.25,) * 3
PREFETCHED = 2
"""Batches that each process of a data loader makes ahead."""

Feed = Iterator[tuple[Batch, Batch]]
"""Pairs of a noisy batch, of all the images that one step of the method gets, and a clean one."""


def resident(workload: Workload, method: Method) -> Feed:
    """Yield batches as the suite trains on: uint8 images on the device, augmented there, a batch at a time."""
    samples = _samples(workload, workload.device)
    generator = torch.Generator(workload.device).manual_seed(0)

    def stream(size: int, pipeline: type[CropFlip]) -> Stream:
        augmentation: Augmentation = pipeline(PADDING, True, MEAN, STD)
        return Stream(samples, size, augmentation, generator)

    noisy = stream(workload.batch * method.look_ahead, CropFlip)
    clean = stream(workload.batch, CropFlipAutoAugment if method.auto_augments else CropFlip)
    while True:
        yield noisy.next(), clean.next()


def per_image(workload: Workload, method: Method, workers: int) -> Feed:
    """Yield batches of PyTorch's data loader: the same augmentations by torchvision, one image at a time on the CPU."""
    samples = _samples(workload, "cpu")

    def batches(size: int, *automatic: Callable[[Tensor], Tensor]) -> Iterator[Batch]:
        pictures = _Pictures(samples, _transform(workload.image[1], *automatic))
        for images, labels, indices in _loader(pictures, size, workers, pinned=workload.device != "cpu"):
            moved = (part.to(workload.device, non_blocking=True) for part in (images, labels, indices))
            yield Batch(*moved)

    automatic = [transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10)] if method.auto_augments else []
    return zip(batches(workload.batch * method.look_ahead), batches(workload.batch, *automatic), strict=True)


def _samples(workload: Workload, device: str) -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (IMAGES, *workload.image), generator=generator, dtype=torch.uint8)
    labels = torch.randint(CLASSES, (IMAGES,), generator=generator)
    return ImageSet(images.to(device), labels.to(device))


class _Pictures(Dataset[tuple[Tensor, Tensor, int]]):
    """Images in memory, transformed one by one."""

    def __init__(self, samples: ImageSet, transform: Callable[[Tensor], Tensor]) -> None:
        self.samples, self.transform = samples, transform

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        return self.transform(self.samples.images[index]), self.samples.labels[index], index


def _transform(side: int, *automatic: Callable[[Tensor], Tensor]) -> transforms.Compose:
    crop = [transforms.ToPILImage(), transforms.RandomCrop(side, PADDING), transforms.RandomHorizontalFlip()]
    return transforms.Compose([*crop, *automatic, transforms.ToTensor(), transforms.Normalize(MEAN, STD)])


def _loader(pictures: _Pictures, size: int, workers: int, pinned: bool) -> DataLoader[tuple[Tensor, Tensor, int]]:
    endless = RandomSampler(pictures, replacement=True, num_samples=2**40)
    ahead = PREFETCHED if workers else None
    return DataLoader(pictures, size, sampler=endless, num_workers=workers, pin_memory=pinned, prefetch_factor=ahead)

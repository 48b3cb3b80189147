"""The residual networks of the CIFAR runs, which EMLC has from SupContrast."""

from collections.abc import Iterator
from pathlib import Path

from pipelines.official.backbones import backbone_case
from pipelines.official.comparison import Case
from pipelines.official.simclr import REPOSITORY as REPOSITORY
from pipelines.official.source import load, needed


def cases(clone: Path) -> Iterator[Case]:
    """Yield the encoders of CIFAR-10 and CIFAR-100, in their full width."""
    networks = load(clone, "networks/resnet_big.py")
    for depth in (34, 50):
        yield backbone_case(f"ResNet-{depth}", f"resnet{depth}", needed(networks, f"resnet{depth}"), encoder=True)

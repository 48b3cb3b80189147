"""A network small enough to be followed by hand."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from emlc.models import Backbone, initialise


class TinyNet(Backbone):
    """One convolution with batch norm, for images [n, 1, H, W]."""

    def __init__(self, seed: int, num_classes: int) -> None:
        super().__init__()
        self.feature_dim = 4
        self.conv = nn.Conv2d(1, 4, 3, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.classifier = nn.Linear(4, num_classes)
        initialise(self, torch.Generator().manual_seed(seed))

    def features(self, images: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(images))).mean((2, 3))

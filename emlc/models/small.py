"""A small network for the embedded 8x8 digits."""

from torch import Tensor, nn
from torch.nn import functional as F

from emlc.models.base import Backbone, conv3x3
from emlc.models.precision import encoder


class SmallCNN(Backbone):
    """Three 3x3 convolutions with batch norm and ReLU, average pool, linear.

    The second convolution halves the resolution (8x8 to 4x4) and doubles the width; the third keeps both.

    Parameters
    ----------
    num_classes, in_channels : int
    width : int
        Channels of the first convolution; d is twice that.
    """

    def __init__(self, num_classes: int, in_channels: int = 3, *, width: int = 16) -> None:
        super().__init__()
        self.feature_dim = 2 * width
        self.conv1 = conv3x3(in_channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, 2 * width, stride=2)
        self.bn2 = nn.BatchNorm2d(2 * width)
        self.conv3 = conv3x3(2 * width, 2 * width)
        self.bn3 = nn.BatchNorm2d(2 * width)
        self.classifier = nn.Linear(self.feature_dim, num_classes)

    @encoder
    def features(self, images: Tensor) -> Tensor:
        """Return pooled features [n, 2 * width]."""
        hidden = F.relu(self.bn1(self.conv1(images)))
        hidden = F.relu(self.bn2(self.conv2(hidden)))
        hidden = F.relu(self.bn3(self.conv3(hidden)))
        return hidden.mean((2, 3))

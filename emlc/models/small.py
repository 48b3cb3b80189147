"""A small network for small pictures, such as the embedded 8x8 digits."""

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
        Channels of the first convolution.
    pool : int
        The average pool leaves `pool` x `pool` cells of each channel, so that d is 2 * `width` * `pool`**2; the sides
        of the images must be multiples of 2 * `pool`.
    """

    def __init__(self, num_classes: int, in_channels: int = 3, *, width: int = 16, pool: int = 1) -> None:
        super().__init__()
        self.feature_dim = 2 * width * pool**2
        self.pool = pool
        self.conv1 = conv3x3(in_channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, 2 * width, stride=2)
        self.bn2 = nn.BatchNorm2d(2 * width)
        self.conv3 = conv3x3(2 * width, 2 * width)
        self.bn3 = nn.BatchNorm2d(2 * width)
        self.classifier = nn.Linear(self.feature_dim, num_classes)

    def maps(self, images: Tensor) -> Tensor:
        """Return the third convolution's maps, at half of the images' resolution."""
        hidden = F.relu(self.bn1(self.conv1(images)))
        hidden = F.relu(self.bn2(self.conv2(hidden)))
        return F.relu(self.bn3(self.conv3(hidden)))

    @encoder
    def features(self, images: Tensor) -> Tensor:
        """Return pooled features [n, d]."""
        hidden = self.maps(images)
        if self.pool == 1:
            return hidden.mean((2, 3))
        return F.avg_pool2d(hidden, hidden.shape[-1] // self.pool).flatten(1)

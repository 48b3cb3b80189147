"""Wide residual networks (Zagoruyko and Komodakis, 2016)."""

from torch import Tensor, nn
from torch.nn import functional as F

from emlc.models.base import Backbone, conv1x1, conv3x3
from emlc.models.precision import encoder
from emlc.models.resnet import Block, stage
from emlc.records.errors import SuiteError


class WideBlock(Block):
    """BN, ReLU, 3x3 convolution, twice, without dropout.

    An identity shortcut takes the raw input, a projecting one (1x1 convolution) the activated input.
    """

    def __init__(self, in_channels: int, planes: int, stride: int) -> None:
        super().__init__(in_channels, planes, stride)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = conv3x3(in_channels, planes, stride)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv2 = conv3x3(planes, planes)
        self.shortcut = conv1x1(in_channels, planes, stride) if in_channels != planes else None

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the block's output [n, planes, H / stride, W / stride]."""
        activated = F.relu(self.bn1(inputs))
        hidden = self.conv2(F.relu(self.bn2(self.conv1(activated))))
        return hidden + (inputs if self.shortcut is None else self.shortcut(activated))


class WideResNet(Backbone):
    """WRN-`depth`-`width`: three stages of (depth - 4) / 6 blocks with 16, 32, 64 times `width` channels.

    WRN-28-10 is the backbone of MW-Net's uniform-noise experiments (xjtushujun/meta-weight-net).

    Parameters
    ----------
    num_classes, in_channels : int
    depth : int
        6 n + 4 for some n >= 1.
    width : int
        Widening factor; d is 64 * `width`.

    Raises
    ------
    SuiteError
        If `depth` is not 6 n + 4.
    """

    def __init__(self, num_classes: int, in_channels: int = 3, *, depth: int = 28, width: int = 10) -> None:
        super().__init__()
        blocks, remainder = divmod(depth - 4, 6)
        if blocks < 1 or remainder:
            raise SuiteError(f"a wide ResNet of depth {depth} does not exist: use 10, 16, 22, 28, ...")
        self.feature_dim = 64 * width
        self.conv1 = conv3x3(in_channels, 16)
        self.layer1 = stage(WideBlock, 16, 16 * width, blocks, stride=1)
        self.layer2 = stage(WideBlock, 16 * width, 32 * width, blocks, stride=2)
        self.layer3 = stage(WideBlock, 32 * width, 64 * width, blocks, stride=2)
        self.bn = nn.BatchNorm2d(self.feature_dim)
        self.classifier = nn.Linear(self.feature_dim, num_classes)

    def maps(self, images: Tensor) -> Tensor:
        """Return the last stage's maps."""
        hidden = self.layer3(self.layer2(self.layer1(self.conv1(images))))
        return F.relu(self.bn(hidden))

    @encoder
    def features(self, images: Tensor) -> Tensor:
        """Return pooled features [n, 64 * width]."""
        return self.maps(images).mean((2, 3))

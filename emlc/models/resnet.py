"""Post-activation residual networks (He et al., 2016) with the 3x3 stem of CIFAR."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from emlc.models.base import Backbone, conv1x1, conv3x3
from emlc.models.precision import encoder
from emlc.records.errors import SuiteError


def _projection(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Return the shortcut: identity where the shape stays, else a 1x1 convolution with batch norm."""
    if stride == 1 and in_channels == out_channels:
        return nn.Sequential()
    return nn.Sequential(conv1x1(in_channels, out_channels, stride), nn.BatchNorm2d(out_channels))


class Block(nn.Module):
    """A residual block; its output has ``planes * expansion`` channels."""

    expansion: ClassVar[int] = 1

    def __init__(self, in_channels: int, planes: int, stride: int) -> None:
        super().__init__()


class BasicBlock(Block):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, in_channels: int, planes: int, stride: int) -> None:
        super().__init__(in_channels, planes, stride)
        self.conv1 = conv3x3(in_channels, planes, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.shortcut = _projection(in_channels, planes, stride)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the block's output [n, planes, H / stride, W / stride]."""
        hidden = F.relu(self.bn1(self.conv1(inputs)))
        return F.relu(self.bn2(self.conv2(hidden)) + self.shortcut(inputs))


class Bottleneck(Block):
    """1x1, 3x3 (strided), 1x1 convolutions around a shortcut; four times as wide outside as inside."""

    expansion = 4

    def __init__(self, in_channels: int, planes: int, stride: int) -> None:
        super().__init__(in_channels, planes, stride)
        self.conv1 = conv1x1(in_channels, planes)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = conv3x3(planes, planes, stride)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = conv1x1(planes, 4 * planes)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        self.shortcut = _projection(in_channels, 4 * planes, stride)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the block's output [n, 4 * planes, H / stride, W / stride]."""
        hidden = F.relu(self.bn1(self.conv1(inputs)))
        hidden = F.relu(self.bn2(self.conv2(hidden)))
        return F.relu(self.bn3(self.conv3(hidden)) + self.shortcut(inputs))


class OptionABlock(Block):
    """Two 3x3 convolutions around a shortcut without parameters (He et al., option A).

    Where the shape changes the shortcut keeps every second pixel and pads the channels with zeros on both sides.
    """

    def __init__(self, in_channels: int, planes: int, stride: int) -> None:
        super().__init__(in_channels, planes, stride)
        self.stride = stride
        self.channel_padding = (planes - in_channels) // 2
        self.conv1 = conv3x3(in_channels, planes, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the block's output [n, planes, H / stride, W / stride]."""
        hidden = F.relu(self.bn1(self.conv1(inputs)))
        hidden = self.bn2(self.conv2(hidden))
        sampled = inputs[:, :, :: self.stride, :: self.stride]
        shortcut = F.pad(sampled, (0, 0, 0, 0, self.channel_padding, self.channel_padding))
        return F.relu(hidden + shortcut)


def stage(block: type[Block], in_channels: int, planes: int, depth: int, stride: int) -> nn.Sequential:
    """Return `depth` blocks in sequence; the first strides and changes the width, the others keep both."""
    blocks = [block(in_channels, planes, stride)]
    blocks += [block(planes * block.expansion, planes, 1) for _ in range(depth - 1)]
    return nn.Sequential(*blocks)


class ResNet(Backbone):
    """ResNet-18, -34 or -50 with a 3x3 stem and no max-pool; parameter names as in HobbitLong/SupContrast.

    The encoder's tensors are ``conv1``, ``bn1``, ``layer1`` to ``layer4``, projections ``shortcut.0`` (1x1
    convolution) and ``shortcut.1`` (batch norm), so that SupContrast checkpoints load.

    Parameters
    ----------
    block : type of BasicBlock or Bottleneck
    depths : sequence of int
        Blocks in each of the four stages; their widths are 1, 2, 4, 8 times `width`, their strides 1, 2, 2, 2.
    num_classes, in_channels : int
    width : int
        Channels of the stem; d is 8 * `width` * ``block.expansion``.
    """

    def __init__(
        self,
        block: type[Block],
        depths: Sequence[int],
        num_classes: int,
        in_channels: int = 3,
        *,
        width: int = 64,
    ) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        out = width * block.expansion
        self.layer1 = stage(block, width, width, depths[0], stride=1)
        self.layer2 = stage(block, out, 2 * width, depths[1], stride=2)
        self.layer3 = stage(block, 2 * out, 4 * width, depths[2], stride=2)
        self.layer4 = stage(block, 4 * out, 8 * width, depths[3], stride=2)
        self.feature_dim = 8 * out
        self.classifier = nn.Linear(self.feature_dim, num_classes)

    def stem(self, images: Tensor) -> Tensor:
        """Return what the first stage sees [n, width, H, W]."""
        return F.relu(self.bn1(self.conv1(images)))

    def maps(self, images: Tensor) -> Tensor:
        """Return the last stage's maps."""
        return self.layer4(self.layer3(self.layer2(self.layer1(self.stem(images)))))

    @encoder
    def features(self, images: Tensor) -> Tensor:
        """Return pooled features [n, d]."""
        return self.maps(images).mean((2, 3))


class ImageNetResNet(ResNet):
    """ResNet-18, -34 or -50 for images of 224 pixels: a strided 7x7 stem and a max-pool before the same stages.

    torchvision's networks, whose weights :func:`emlc.models.checkpoint.load_encoder` reads; parameters as in
    :class:`ResNet`.
    """

    def __init__(
        self,
        block: type[Block],
        depths: Sequence[int],
        num_classes: int,
        in_channels: int = 3,
        *,
        width: int = 64,
    ) -> None:
        super().__init__(block, depths, num_classes, in_channels, width=width)
        self.conv1 = nn.Conv2d(in_channels, width, kernel_size=7, stride=2, padding=3, bias=False)

    def stem(self, images: Tensor) -> Tensor:
        """Return what the first stage sees [n, width, H / 4, W / 4]."""
        return F.max_pool2d(super().stem(images), kernel_size=3, stride=2, padding=1)


class ResNet32(Backbone):
    """ResNet-32 for CIFAR (He et al., section 4.2): three stages of five option-A blocks, 0.46 million parameters.

    The backbone of microsoft/MLC and xjtushujun/meta-weight-net.

    Parameters
    ----------
    num_classes, in_channels : int
    width : int
        Channels of the stem; the stages have 1, 2, 4 times that, and d is 4 * `width`.

    Raises
    ------
    SuiteError
        If `width` is odd: the shortcut pads half of it on either side.
    """

    def __init__(self, num_classes: int, in_channels: int = 3, *, width: int = 16) -> None:
        super().__init__()
        if width % 2:
            raise SuiteError(f"option width of ResNet-32 must be even, not {width}")
        self.feature_dim = 4 * width
        self.conv1 = conv3x3(in_channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = stage(OptionABlock, width, width, 5, stride=1)
        self.layer2 = stage(OptionABlock, width, 2 * width, 5, stride=2)
        self.layer3 = stage(OptionABlock, 2 * width, 4 * width, 5, stride=2)
        self.classifier = nn.Linear(self.feature_dim, num_classes)

    def maps(self, images: Tensor) -> Tensor:
        """Return the last stage's maps."""
        hidden = F.relu(self.bn1(self.conv1(images)))
        return self.layer3(self.layer2(self.layer1(hidden)))

    @encoder
    def features(self, images: Tensor) -> Tensor:
        """Return pooled features [n, 4 * width]."""
        return self.maps(images).mean((2, 3))

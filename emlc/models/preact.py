"""Pre-activation residual networks (He et al., 2016b), in the two flavours that the methods' papers use."""

from torch import Tensor, nn
from torch.nn import functional as F

from emlc.models.base import Backbone, conv1x1, conv3x3
from emlc.models.precision import encoder
from emlc.models.resnet import Block, stage


class PreActBlock(Block):
    """BN, ReLU, convolution, twice; the shortcut takes the *activated* input, also where it is the identity.

    LiJunnan1992/DivideMix's flavour.
    """

    def __init__(self, in_channels: int, planes: int, stride: int) -> None:
        super().__init__(in_channels, planes, stride)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = conv3x3(in_channels, planes, stride)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv2 = conv3x3(planes, planes)
        reshapes = stride != 1 or in_channels != planes
        self.shortcut = nn.Sequential(conv1x1(in_channels, planes, stride)) if reshapes else nn.Sequential()

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the block's output [n, planes, H / stride, W / stride]."""
        activated = F.relu(self.bn1(inputs))
        return self.residual(activated) + self.shortcut(activated)

    def residual(self, activated: Tensor) -> Tensor:
        """Return what the block adds to its shortcut."""
        return self.conv2(F.relu(self.bn2(self.conv1(activated))))


class RawShortcutBlock(PreActBlock):
    """The same convolutions, but the shortcut takes the raw input: ckghosted/MLNT-CIFAR10's flavour."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the block's output [n, planes, H / stride, W / stride]."""
        return self.residual(F.relu(self.bn1(inputs))) + self.shortcut(inputs)


class PreActResNet18(Backbone):
    """PreAct ResNet-18 as in LiJunnan1992/DivideMix: an activated stem, nothing between last block and pooling.

    Parameters
    ----------
    num_classes, in_channels : int
    width : int
        Channels of the stem; the four stages have 1, 2, 4, 8 times that, and d is 8 * `width`.
    """

    def __init__(self, num_classes: int, in_channels: int = 3, *, width: int = 64) -> None:
        super().__init__()
        self.feature_dim = 8 * width
        self.conv1 = conv3x3(in_channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = stage(PreActBlock, width, width, 2, stride=1)
        self.layer2 = stage(PreActBlock, width, 2 * width, 2, stride=2)
        self.layer3 = stage(PreActBlock, 2 * width, 4 * width, 2, stride=2)
        self.layer4 = stage(PreActBlock, 4 * width, 8 * width, 2, stride=2)
        self.classifier = nn.Linear(self.feature_dim, num_classes)

    def maps(self, images: Tensor) -> Tensor:
        """Return the last stage's maps."""
        hidden = F.relu(self.bn1(self.conv1(images)))
        return self.layer4(self.layer3(self.layer2(self.layer1(hidden))))

    @encoder
    def features(self, images: Tensor) -> Tensor:
        """Return pooled features [n, 8 * width]."""
        return self.maps(images).mean((2, 3))


class PreActResNet32(Backbone):
    """PreAct ResNet-32 of the MLNT experiments, as in ckghosted/MLNT-CIFAR10: twice the usual width.

    The stem is a bare convolution; batch norm and ReLU follow the last block.

    Parameters
    ----------
    num_classes, in_channels : int
    width : int
        Channels of the stem; the three stages of five blocks have 1, 2, 4 times that, and d is 4 * `width`.
    """

    def __init__(self, num_classes: int, in_channels: int = 3, *, width: int = 32) -> None:
        super().__init__()
        self.feature_dim = 4 * width
        self.conv1 = conv3x3(in_channels, width)
        self.layer1 = stage(RawShortcutBlock, width, width, 5, stride=1)
        self.layer2 = stage(RawShortcutBlock, width, 2 * width, 5, stride=2)
        self.layer3 = stage(RawShortcutBlock, 2 * width, 4 * width, 5, stride=2)
        self.bn = nn.BatchNorm2d(self.feature_dim)
        self.classifier = nn.Linear(self.feature_dim, num_classes)

    def maps(self, images: Tensor) -> Tensor:
        """Return the last stage's maps."""
        hidden = self.layer3(self.layer2(self.layer1(self.conv1(images))))
        return F.relu(self.bn(hidden))

    @encoder
    def features(self, images: Tensor) -> Tensor:
        """Return pooled features [n, 4 * width]."""
        return self.maps(images).mean((2, 3))

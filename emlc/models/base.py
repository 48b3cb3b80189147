"""What every backbone offers, and the one place where random weights come from."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Backbone(nn.Module):
    """A feature extractor followed by one linear classifier.

    Attributes
    ----------
    feature_dim : int
        Size d of one feature vector.
    classifier : nn.Linear
        Maps features [n, d] to logits [n, C]. The only parameters under this name; all others are the encoder.
    precision : str
        One of :data:`emlc.models.precision.PRECISIONS`, in which :func:`emlc.models.precision.encoder` computes the
        features.
    """

    feature_dim: int
    classifier: nn.Linear
    precision: str = "float32"

    def maps(self, images: Tensor) -> Tensor:
        """Return what the features are pooled of: the last maps [n, c, h, w] of normalised images, in float32."""
        raise NotImplementedError

    def features(self, images: Tensor) -> Tensor:
        """Return pooled features [n, d] of normalised images [n, channels, H, W]; decorated with `encoder`."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [n, C] of normalised images [n, channels, H, W]."""
        return self.classifier(self.features(images))


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution, padding 1, without bias."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False)


def conv1x1(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """Return a 1x1 convolution without bias."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False)


@contextmanager
def undrawn(module: nn.Module) -> Iterator[None]:
    """Let `module` make its layers inside the block without PyTorch's initialisation, which draws from a global state.

    The parameters are uninitialised afterwards: fill them from a generator.
    """
    with torch.device("meta"):
        yield
    module.to_empty(device="cpu")


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw every parameter of `module` anew, and reset every running statistic.

    Convolutions are Kaiming-normal over fan-out, batch norm is 1 and 0 with fresh running statistics, linear layers
    are uniform in +-1/sqrt(fan-in) (PyTorch's default, biases too), embeddings are standard normal: the scheme of
    HobbitLong/SupContrast and MitchellKT/Enhanced-Meta-Label-Correction.

    Parameters
    ----------
    module : nn.Module
        Changed in place.
    generator : torch.Generator
        The only source of randomness, on the module's device. Build on the CPU and move afterwards, so that the
        weights do not depend on the device.

    Raises
    ------
    TypeError
        If a layer holds parameters or buffers that no rule covers: they would keep values of unknown origin.
    """
    for layer in module.modules():
        _initialise_layer(layer, generator)


@torch.no_grad()
def _initialise_layer(layer: nn.Module, generator: torch.Generator) -> None:
    if isinstance(layer, nn.Conv2d) and layer.bias is None:
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu", generator=generator)
    elif isinstance(layer, nn.BatchNorm2d):
        layer.reset_parameters()
    elif isinstance(layer, nn.Linear):
        bound = 1 / math.sqrt(layer.in_features)
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    elif isinstance(layer, nn.Embedding):
        layer.weight.normal_(generator=generator)
    elif any(True for _ in layer.parameters(recurse=False)) or any(True for _ in layer.buffers(recurse=False)):
        raise TypeError(f"no rule to initialise {layer}")

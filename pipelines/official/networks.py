"""Our networks behind the interfaces that official code expects of its own."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from emlc.models import Backbone


class WithFeatures(nn.Module):
    """A network that also returns its features if asked to.

    Parameters
    ----------
    backbone : Backbone
    quiet : sequence of Tensor
        Inputs whose passes leave the running statistics alone, compared by identity.
    """

    def __init__(self, backbone: Backbone, quiet: tuple[Tensor, ...] = ()) -> None:
        super().__init__()
        self.backbone = _Both(backbone)
        self.quiet = {id(inputs) for inputs in quiet}

    def forward(self, inputs: Tensor, return_h: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Return logits, or logits and features."""
        buffers = {}
        if id(inputs) in self.quiet:
            buffers = {name: value.clone() for name, value in self.backbone.named_buffers()}
        logits, features = functional_call(self.backbone, buffers, (inputs,))
        return (logits, features) if return_h else logits


class _Both(nn.Module):
    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        features = self.backbone.features(inputs)
        return self.backbone.classifier(features), features


class WithFastWeights(nn.Module):
    """A network that computes at other weights if given any, or returns its features with its logits (MLNT).

    Parameters
    ----------
    backbone : Backbone
    quiet : bool
        Whether passes at other weights leave the running statistics alone.
    """

    def __init__(self, backbone: Backbone, *, quiet: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        self.quiet = quiet

    def forward(
        self, inputs: Tensor, weights: dict[str, Tensor] | None = None, get_feat: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Return logits at `weights` (named as this module's parameters), or logits and features."""
        if get_feat:
            features = self.backbone.features(inputs)
            return self.backbone.classifier(features), features
        given = {name.removeprefix("backbone."): value for name, value in (weights or {}).items()}
        if given and self.quiet:
            given |= {name: value.clone() for name, value in self.backbone.named_buffers()}
        return functional_call(self.backbone, given, (inputs,))


class TwoHeads(nn.Module):
    """A network with a second classifier, whose logits come first (FasTEN)."""

    def __init__(self, backbone: Backbone, second: nn.Linear) -> None:
        super().__init__()
        self.backbone = backbone
        self.second = second

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the second head's logits and the classifier's."""
        features = self.backbone.features(inputs)
        return self.second(features), self.backbone.classifier(features)


@torch.no_grad()
def copy_weights(source: nn.Module | list[Tensor], target: list[Tensor]) -> None:
    """Copy parameters in their order.

    Raises
    ------
    ValueError
        If numbers or shapes differ.
    """
    values = list(source.parameters()) if isinstance(source, nn.Module) else source
    for value, into in zip(values, target, strict=True):
        if value.shape != into.shape:
            raise ValueError(f"a tensor {list(value.shape)} where {list(into.shape)} is expected")
        into.copy_(value)

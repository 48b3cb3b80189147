"""What SimCLR trains: an encoder and a projection head on top, which is left behind afterwards."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from emlc.models import Backbone, build_model, initialise

PROJECTION_DIM = 128


class Projector(nn.Module):
    """Encoder and projection head: images to vectors of unit length."""

    def __init__(self, encoder: Backbone, head: nn.Sequential) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Return float32 projections [n, d]."""
        return F.normalize(self.head(self.encoder.features(images)).float(), dim=1)

    def trained(self) -> list[nn.Parameter]:
        """Return all parameters but the encoder's classifier's."""
        return [value for name, value in self.named_parameters() if not name.startswith("encoder.classifier.")]


def build_projector(model: dict[str, Any], channels: int, generator: torch.Generator) -> Projector:
    """Return encoder and projection head with weights drawn from `generator`.

    Parameters
    ----------
    model : dict
        ``name`` and options of :func:`emlc.models.build_model`.
    channels : int
        Of the images.
    generator : torch.Generator
        On the CPU, so that the weights are the same for every device.

    Raises
    ------
    SuiteError
        If the model does not exist.
    """
    options = {key: value for key, value in model.items() if key != "name"}
    encoder = build_model(model["name"], 1, channels, generator, **options)
    dim = encoder.feature_dim
    layers = nn.utils.skip_init(nn.Linear, dim, dim), nn.ReLU(), nn.utils.skip_init(nn.Linear, dim, PROJECTION_DIM)
    head = nn.Sequential(*layers)
    initialise(head, generator)
    return Projector(encoder, head)

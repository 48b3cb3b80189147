"""Accuracy and loss of a method's reported model."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from emlc.engine.contract import Method
from emlc.engine.streams import ImageSet

CHUNK = 1000
"""Images per forward pass; evaluation keeps no activations, so this only bounds memory."""


class Score(NamedTuple):
    """Accuracy in percent and mean Cross-Entropy."""

    accuracy: float
    loss: float


@contextmanager
def evaluating(method: Method) -> Iterator[None]:
    """Put all networks of `method` into evaluation mode, without gradients, and back afterwards."""
    modules = [value for value in vars(method).values() if isinstance(value, torch.nn.Module)]
    modes = [module.training for module in modules]
    for module in modules:
        module.eval()
    with torch.inference_mode():
        yield
    for module, mode in zip(modules, modes, strict=True):
        module.train(mode)


def evaluate(method: Method, samples: ImageSet, normalise: Callable[[Tensor], Tensor]) -> Score:
    """Score `method` on `samples` in evaluation mode; its modules are back in training mode afterwards."""
    with evaluating(method):
        logits = torch.cat([method.logits(normalise(images)) for images in samples.images.split(CHUNK)]).float()
        accuracy = (logits.argmax(dim=1) == samples.labels).double().mean() * 100
        loss = F.cross_entropy(logits, samples.labels)
    return Score(round(accuracy.item(), 6), loss.item())

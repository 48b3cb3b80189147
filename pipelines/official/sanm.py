"""SANM: the public code's warm-up, division and training on masked images, for CIFAR, and its decoder."""

import copy
import random
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from baselines.masking import Decoder
from emlc.engine.contract import Batch
from pipelines.official import divided, ours
from pipelines.official.clones import Repository
from pipelines.official.comparison import Case, State
from pipelines.official.networks import copy_weights
from pipelines.official.source import Definitions, load, needed

REPOSITORY = Repository("yuanpengtu", "SANM", "e22c42f7a099b1d569d9b405a258732dad31aa66")

AGAIN = "ours see the analysed samples once more where masks are placed, which running statistics notice"
LEVELS = "peak and valley of the attention are sought among 256 levels"
AS_PREDICTED, PLACED_AGAIN = (0, 1, 2, 3), (0, 1, 2, 3, 2, 0)
RELEASED = {"area": 0.5, "centred": False, "decoder_width": 8}
"""A narrow decoder: the width of the released one is compared apart."""
ASPECTS = (0.8, 1.25)


def cases(clone: Path) -> Iterator[Case]:
    """Yield the released options with either kind of network, both kinds of warm-up, and the decoder."""
    script = load(clone, "Train_cifar.py", {"num_classes": ours.CLASSES})
    for name, changes in (
        ("released options", {"double_softmax": True}),
        ("released options, network that returns logits", {"double_softmax": False, "entropy_bonus": True}),
    ):
        chosen = divided.options(**RELEASED, **changes)
        yield Case(name, partial(_ours, chosen), partial(_official, script, chosen), (AGAIN, LEVELS))
    layers = load(clone, "resnetc2d.py")
    yield Case("decoder", lambda _: _restored(_decoder()), partial(_official_decoder, layers), steps=(1,))


def _make(chosen: dict[str, Any]) -> Any:
    return ours.make("baselines.sanm", chosen, divided.recipe())


def _ours(chosen: dict[str, Any], steps: int) -> State:
    method = _make(chosen)
    method._uniform = _OneShape(method._uniform)
    divided.learn(method, steps, epochs=2)
    pairs = zip(method.networks, method.decoders, strict=True)
    return divided.our_state(method, [nn.ModuleList(pair) for pair in pairs])


class _OneShape:
    """Our draws, but for the mask at the valley, which has the shape of that at the peak as in the official code."""

    def __init__(self, draw: Any) -> None:
        self.draw, self.aspects = draw, []

    def __call__(self, shape: Any, low: float, high: float) -> Tensor:
        """Return what is drawn; every second time that aspects are, what was drawn before."""
        drawn = self.draw(shape, low, high)
        if (low, high) != ASPECTS:
            return drawn
        self.aspects.append(drawn)
        return self.aspects[(len(self.aspects) - 1) // 2 * 2]


def _official(script: Definitions, chosen: dict[str, Any], steps: int, undone: bool) -> State:
    initial, drawn = _make(chosen), ours.generator(ours.DRAWN)
    decoders, order = iter(initial.decoders), PLACED_AGAIN if undone else AS_PREDICTED
    softmax = initial.options.double_softmax
    run = _Script(script, initial, lambda net: _Reordered(_Masking(net, next(decoders), softmax), order))
    script.update(divided.draws(drawn))
    script.update(cv2=SimpleNamespace(resize=_resized), random=divided.Instead(random, uniform=_Masks(drawn)))
    if undone:
        script["np"] = divided.Instead(script["np"], floor=lambda values: values, uint8=lambda values: values)
    return run.train(steps, epochs=2)


class _Script(divided.Official):
    """Its loaders also give true labels, here the given ones, and credit unlabelled samples."""

    @staticmethod
    def labelled(credibility: Tensor, batch: Batch) -> tuple[Any, ...]:
        """Return a batch as the loader of labelled samples gives it."""
        return (*batch.views, batch.labels, batch.labels, credibility[batch.indices])

    @staticmethod
    def unlabelled(credibility: Tensor, batch: Batch) -> tuple[Any, ...]:
        """Return a batch as the loader of unlabelled samples gives it."""
        return (*batch.views, credibility[batch.indices])


class _Masking(nn.Module):
    """A network and its decoder behind the interface of the official ``SupCEResNet``, in one pass."""

    def __init__(self, network: nn.Module, decoder: nn.Module, softmax: bool) -> None:
        super().__init__()
        self.network, self.decoder, self.softmax = network, copy.deepcopy(decoder), softmax

    def forward(self, images: Tensor, return_map: bool = False, recon: bool = False) -> Any:
        """Return maps, features and scores, or the restored images."""
        backbone = self.network.network if self.softmax else self.network
        maps = backbone.maps(images)
        if recon:
            return self.decoder(maps)
        features = maps.mean((2, 3))
        logits = backbone.classifier(features)
        return maps, features, logits.softmax(dim=1) if self.softmax else logits


class _Reordered(nn.Module):
    """A network whose running statistics see the batches that it only predicts in another order.

    Predictions in training mode do not depend on these statistics, so they can wait for the next pass with gradients.

    Parameters
    ----------
    backbone : nn.Module
    order : sequence of int
        Positions of the predicted batches of a step, each as often as it shall count.
    """

    def __init__(self, backbone: nn.Module, order: Sequence[int]) -> None:
        super().__init__()
        self.backbone, self.order = backbone, order
        self.waiting: list[Tensor] = []

    def forward(self, inputs: Tensor, **asked: Any) -> Any:
        """Return what the network does."""
        if self.training and not torch.is_grad_enabled():
            self.waiting.append(inputs)
            buffers = {name: value.clone() for name, value in self.backbone.named_buffers()}
            return functional_call(self.backbone, buffers, (inputs,), asked)
        self._count()
        return self.backbone(inputs, **asked)

    @torch.no_grad()
    def _count(self) -> None:
        if self.waiting:
            for position in self.order:
                self.backbone(self.waiting[position])
        self.waiting = []


class _Masks:
    """Python's `uniform` for masks: what our method draws of them, sample by sample."""

    def __init__(self, drawn: torch.Generator) -> None:
        self.drawn, self.queue = drawn, iter(())

    def __call__(self, low: float, high: float) -> float:
        """Return the next number."""
        value = next(self.queue, None)
        if value is None:
            self.queue = iter(torch.cat([self._of_part() for _ in range(2)]).flatten().tolist())
            value = next(self.queue)
        return low + (high - low) * value

    def _of_part(self) -> Tensor:
        """Return [n, 2 + 6]: of each sample amount, aspect, and the colours of both masks."""
        count = ours.NOISY_BATCH
        amounts = torch.rand(count, generator=self.drawn)
        masks = [self._of_mask(count) for _ in range(2)]
        return torch.cat((amounts[:, None], masks[0], masks[1][:, 1:]), dim=1)

    def _of_mask(self, count: int) -> Tensor:
        aspects = torch.rand(count, generator=self.drawn)
        colours = torch.rand(count, ours.CHANNELS, 1, 1, generator=self.drawn)
        return torch.cat((aspects[:, None], colours.flatten(1)), dim=1)


def _resized(values: Any, size: tuple[int, int]) -> Any:
    """Return an array [h, w] enlarged to a width and a height, bilinear, as OpenCV does by default."""
    grown = F.interpolate(torch.from_numpy(values)[None, None], size=size[::-1], mode="bilinear", align_corners=False)
    return grown[0, 0].numpy()


def _decoder() -> Decoder:
    """Return our decoder of a ResNet-18's maps."""
    return Decoder((512, 4, 4), (3, 32, 32), 256, ours.generator(0))


def _restored(decoder: nn.Module) -> State:
    maps = torch.randn(1, 512, 4, 4, generator=ours.generator(7))
    with torch.no_grad():
        return {"images": [decoder(maps)]}


def _official_decoder(layers: Definitions, steps: int, undone: bool) -> State:
    decoder = needed(layers, "Decoder")("resnet18")
    copy_weights(_decoder(), list(decoder.parameters()))
    return _restored(decoder)

"""SANM: self-supervised adversarial noisy masking (Tu et al., CVPR 2023; yuanpengtu/SANM)."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines import codivision
from baselines.codivision import Part
from baselines.dividemix import DivideMix
from baselines.masking import Decoder, attention, boxes, extremes, lowered
from emlc.engine.contract import Batch, Setting, student_sgd
from emlc.engine.evaluation import evaluating
from emlc.records.errors import SuiteError


@dataclass(frozen=True)
class Options(codivision.Options):
    """Those of :class:`baselines.codivision.Options`, and the masks; the defaults are the released ones for CIFAR.

    Attributes
    ----------
    least_mask, largest_mask : float
        Between them lies the masked share of an image whose label is sure; 0.06 and 0.13 on Clothing1M.
    doubt_mask : float
        How much larger it is if the label is certainly wrong; 0.1 on Clothing1M.
    area : float
        What part of that share is really covered. The label loses all of it; the released code covers half.
    centred : bool
        Whether a mask lies around its place, instead of having its upper left corner there as in the released code.
    reconstruction_weight : float
        Of the loss of restored images; 0.3 on Clothing1M.
    decoder_width : int
        Channels after the decoder's first layer.
    warm_up_view : {"jitter", "weak"}
        What the warm-up sees.
    extra_view : {"rand", "strong"}
        What the second pair of views is, for small images that RandAugment and Cutout leave nothing of.
    double_softmax : bool
        Whether networks return probabilities that are taken for logits: the released code with C2D's encoder.
    """

    warm_up: float = 10 / 360
    ramp: float = 16 / 360
    clip_norm: float | None = 1.0
    least_mask: float = 0.02
    largest_mask: float = 0.07
    doubt_mask: float = 0.03
    area: float = 1.0
    centred: bool = True
    reconstruction_weight: float = 0.02
    decoder_width: int = 256
    warm_up_view: str = "jitter"
    extra_view: str = "rand"
    double_softmax: bool = False

    def __post_init__(self) -> None:
        """Refuse values that no run can follow."""
        super().__post_init__()
        if not 0 <= self.least_mask <= self.largest_mask <= 1:
            raise SuiteError(f"least_mask is {self.least_mask}; it must be from 0 to largest_mask, and that at most 1")
        for name in ("doubt_mask", "area"):
            if not 0 <= getattr(self, name) <= 1:
                raise SuiteError(f"{name} is {getattr(self, name)}; it must be from 0 to 1")
        if self.reconstruction_weight < 0:
            raise SuiteError(f"reconstruction_weight is {self.reconstruction_weight}; it must not be below 0")
        if self.decoder_width < 1:
            raise SuiteError(f"decoder_width is {self.decoder_width}; it must be at least 1")
        for name, known in (("warm_up_view", ("jitter", "weak")), ("extra_view", ("rand", "strong"))):
            if getattr(self, name) not in known:
                raise SuiteError(f"{name} is {getattr(self, name)}; it must be {' or '.join(known)}")


class SANM(DivideMix):
    """DivideMix on six views of every sample, two of them masked where the network looks most and least.

    Two strong views give the targets t. Learned are two more strong ones, two of RandAugment (or `extra_view`), and the
    first of the analysed ones behind a mask at the peak and at the valley of ``A(x) = sum_c F_c(x)^2``, F the last
    maps. The share ``r = U(least, largest) + doubt (1 - w)`` is masked, by a random colour, and the label follows: the
    largest entry of t loses r to the others. A decoder restores the images from the masked ones' maps; its mean squares
    weigh `reconstruction_weight`. The paper starts from C2D's encoders: the profile's ``initialisation: simclr``.

    A step of B labelled and B unlabelled samples has 8 B images forward and 16 B forward and backward, 4 B of them
    through a decoder.
    """

    Options = Options

    def __init__(self, setting: Setting, options: Options) -> None:
        self.views = ("strong", "strong", options.extra_view, options.extra_view, "strong", "strong")
        self.warm_up_view = options.warm_up_view
        if options.double_softmax:
            setting = replace(setting, build=lambda role, build=setting.build: Probabilities(build(role)))
        super().__init__(setting, options)
        self.decoders = [self._decoder(network) for network in self.networks]
        pairs = zip(self.networks, self.decoders, strict=True)
        self.optimisers = [student_sgd(nn.ModuleList(pair), setting.training) for pair in pairs]

    def loss(self, learner: nn.Module, peer: nn.Module, labelled: Batch, unlabelled: Batch) -> Tensor:
        """Return the loss of a step."""
        parts = self.parts(learner, peer, labelled, unlabelled)
        images, masked = [], []
        for part, batch in zip(parts, (labelled, unlabelled), strict=True):
            images += [batch.views[-2]] * 2
            masked.append(part.inputs[-2 * len(batch) :])
        restoration = self.restoration_loss(learner, torch.cat(images), torch.cat(masked))
        return self.mixed_loss(learner, *parts) + self.options.reconstruction_weight * restoration

    def part(self, learner: nn.Module, batch: Batch, targets: Tensor) -> Part:
        """Return what is learned from some samples: four views with their targets [n, C], two masked with lower ones.

        The last 2 n inputs are the masked ones.
        """
        image, options = batch.views[-2], self.options
        drawn = self._uniform(len(batch), options.least_mask, options.largest_mask)
        amounts = drawn + options.doubt_mask * (1 - self.credit(batch))
        places = extremes(attention(learner.maps(image), image.shape[2:]))
        masked = [self.masked(image, place, amounts) for place in places]
        less = lowered(targets, amounts)
        return Part(torch.cat((*batch.views[:4], *masked)), torch.cat((*[targets] * 4, less, less)))

    def masked(self, images: Tensor, places: Tensor, amounts: Tensor) -> Tensor:
        """Return images [n, ...] with a random colour in a box at places [n, 2] that takes a share [n] of the area."""
        size = images.shape[2:]
        areas = self.options.area * amounts * size.numel()
        aspects = self._uniform(len(images), 0.8, 1.25)
        covered = boxes(places, areas, aspects, size, centred=self.options.centred)
        colours = self._uniform((*images.shape[:2], 1, 1), 0, 1)
        return torch.empty_like(images).copy_(torch.where(covered, colours.to(images), images))

    def restoration_loss(self, learner: nn.Module, images: Tensor, masked: Tensor) -> Tensor:
        """Return the sum over both masks of the mean square of what the decoder gets wrong."""
        return 2 * F.mse_loss(self.decoders[self.turn](learner.maps(masked)), images)

    def _uniform(self, shape: int | tuple[int, ...], low: float, high: float) -> Tensor:
        generator = self.setting.generator
        return low + (high - low) * torch.rand(shape, generator=generator, device=generator.device)

    def _decoder(self, network: nn.Module) -> Decoder:
        """Return a decoder from the network's maps to its images."""
        first = torch.zeros(1, dtype=torch.long, device=self.setting.device)
        image = self.setting.noisy.batch(first, ("plain",), None).inputs
        with evaluating(network):
            maps = network.maps(image)
        made = Decoder(maps.shape[1:], image.shape[1:], self.options.decoder_width, self.setting.initial)
        return made.to(self.setting.device)


class Probabilities(nn.Module):
    """A network whose logits are another one's probabilities."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return probabilities [n, C]."""
        return self.network(images).softmax(dim=1)

    def maps(self, images: Tensor) -> Tensor:
        """Return the network's last maps."""
        return self.network.maps(images)


METHOD = SANM

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.masking import lowered
from baselines.mixup import mixup_coefficient
from baselines.sanm import SANM
from emlc.engine.contract import Batch, Training
from emlc.models import Backbone
from emlc.records.errors import SuiteError
from tests.baselines.learning import train_on_digits
from tests.settings import VIEWS, make_setting, numbered

CLASSES, SIDE = 3, 6
TRAINING = Training(epochs=10, batch_size=8, lr=0.05, momentum=0.9, weight_decay=5e-4)
LABELS = torch.arange(24) % CLASSES
SMALL = SANM.Options(warm_up=0.2, ramp=0.3, alpha=1.0, decoder_width=4, least_mask=0.1, largest_mask=0.3)


class Net(Backbone):
    """One convolution of stride two, in float64."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.kernels = nn.Parameter(torch.randn(4, 1, 3, 3, generator=generator, dtype=torch.float64) / 3)
        self.classifier = nn.Linear(4, CLASSES, bias=False).double()
        nn.init.normal_(self.classifier.weight, generator=generator)

    def maps(self, images: Tensor) -> Tensor:
        return F.conv2d(images.double(), self.kernels, stride=2, padding=1).tanh()

    def features(self, images: Tensor) -> Tensor:
        return self.maps(images).mean((2, 3))


def offset(amount: float):
    return lambda images, _: images.double() / 24 + amount


VIEWS_BY_OFFSET = VIEWS | {"plain": offset(0.0), "strong": offset(0.25), "rand": offset(0.5), "jitter": offset(0.75)}


def make_method(**changes: Any) -> SANM:
    """Return it on 6 x 6 images of noise whose views are told apart by what is added."""
    setting = make_setting(lambda role: Net(len(role)), TRAINING, CLASSES, LABELS)
    noisy = numbered(LABELS, views=VIEWS_BY_OFFSET)
    noisy._images = torch.randint(24, (24, 1, SIDE, SIDE), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    method = SANM(replace(setting, noisy=noisy), replace(SMALL, **changes))
    for decoder in method.decoders:
        decoder.double()
    return method


def begun(epoch: int = 3, **changes: Any) -> SANM:
    method = make_method(**changes)
    method.begin_epoch(epoch)
    method._begin_turn(0)
    method.credibility[1] = torch.linspace(0, 1, len(LABELS), dtype=torch.float64)
    return method


def batch_of(method: SANM, positions: list[int]) -> Batch:
    return method.setting.noisy.batch(torch.tensor(positions), method.views, torch.Generator())


def covered_box(images: Tensor, place: tuple[int, int], area: float, aspect: float) -> Tensor:
    """The box's mask, pixel by pixel."""
    height, width = max(1, round((area * aspect) ** 0.5)), max(1, round((area / aspect) ** 0.5))
    top = min(max(place[0] - height // 2, 0), SIDE - height)
    left = min(max(place[1] - width // 2, 0), SIDE - width)
    mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    for row in range(top, top + height):
        for column in range(left, left + width):
            mask[row, column] = True
    return mask


def test_a_part_has_six_views_and_two_of_them_masked_where_the_network_looks():
    method = begun()
    learner, batch = method.networks[0], batch_of(method, [20, 3])
    targets = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], dtype=torch.float64)
    state = method.setting.generator.get_state()
    part = method.part(learner, batch, targets)

    method.setting.generator.set_state(state)
    draw = lambda *shape: torch.rand(shape, generator=method.setting.generator)  # noqa: E731
    w = method.credibility[1][batch.indices]
    amounts = 0.1 + 0.2 * draw(2) + 0.03 * (1 - w)
    expected = [*batch.views[:4]]
    for choose in (Tensor.argmax, Tensor.argmin):
        aspects, colours = 0.8 + 0.45 * draw(2), draw(2, 1, 1, 1)
        images = batch.views[4].clone()
        for i in range(2):
            strength = (learner.maps(images[i : i + 1]) ** 2).sum(1, keepdim=True)
            seen = F.interpolate(strength, size=(SIDE, SIDE), mode="bilinear")[0, 0]
            place = divmod(choose(seen).item(), SIDE)
            box = covered_box(images[i], place, amounts[i].item() * SIDE**2, aspects[i].item())
            images[i, 0][box] = colours[i].double().item()
        expected.append(images)
    torch.testing.assert_close(part.inputs, torch.cat(expected).detach())
    less = lowered(targets, amounts)
    torch.testing.assert_close(part.targets, torch.cat((targets, targets, targets, targets, less, less)))
    assert [round((view - batch.views[0]).mean().item(), 6) for view in batch.views] == [0, 0, 0.25, 0.25, 0, 0]


def test_the_loss_is_that_of_the_equations():
    """MixMatch over six views of labelled and unlabelled samples, and the restored images."""
    method = begun()
    (learner, peer), decoder = method.networks, method.decoders[0]
    method.taken += 1
    x, u = batch_of(method, [20, 23]), batch_of(method, [1, 5])
    state = method.setting.generator.get_state()
    loss = method.loss(learner, peer, x, u)

    method.setting.generator.set_state(state)
    parts = method.parts(learner, peer, x, u)
    share = mixup_coefficient(SMALL.alpha, method.setting.generator).item()
    order = torch.randperm(24, generator=method.setting.generator).tolist()
    images, targets = (torch.cat(pair) for pair in zip(*parts, strict=True))
    labelled = unlabelled = 0.0
    mean = torch.zeros(CLASSES, dtype=torch.float64)
    for i, j in enumerate(order):
        target = share * targets[i] + (1 - share) * targets[j]
        prediction = learner((share * images[i] + (1 - share) * images[j])[None]).softmax(1)[0]
        mean = mean + prediction / 24
        if i < 12:
            labelled = labelled - (target * prediction.log()).sum() / 12
        else:
            unlabelled = unlabelled + ((prediction - target) ** 2).sum() / (12 * CLASSES)
    restored = 0.0
    for part, batch in zip(parts, (x, u), strict=True):
        for masked in part.inputs[8:10], part.inputs[10:12]:  # behind the peak's mask, then the valley's
            restored = restored + ((decoder(learner.maps(masked)) - batch.views[4]) ** 2).sum() / (4 * SIDE**2)
    ramp = (3 + 1 / method.end - 2) / 3
    uniform = sum((1 / CLASSES / mean[c]).log() / CLASSES for c in range(CLASSES))
    expected = labelled + 25 * ramp * unlabelled + uniform + 0.02 * restored
    torch.testing.assert_close(loss, expected)
    parameters = [*learner.parameters(), *decoder.parameters()]
    torch.testing.assert_close(*(torch.autograd.grad(value, parameters) for value in (loss, expected)))


def test_targets_come_of_the_analysed_strong_views():
    method = begun()
    (learner, peer), u = method.networks, batch_of(method, [1, 5])
    _, part = method.parts(learner, peer, batch_of(method, [20, 23]), u)
    mean = (learner(u.views[4]).softmax(1) + peer(u.views[5]).softmax(1)) / 2
    torch.testing.assert_close(part.targets[:2], (mean**2 / (mean**2).sum(1, keepdim=True)).detach())


def test_the_decoder_learns_with_its_network_and_not_in_the_warm_up():
    method = make_method()
    for epoch, learns in ((0, False), (3, True)):
        method.begin_epoch(epoch)
        before = [decoder.layers[0].weight.detach().clone() for decoder in method.decoders]
        method.step()
        moved = [not torch.equal(old, new.layers[0].weight) for old, new in zip(before, method.decoders, strict=True)]
        assert moved == [learns, False]


def test_the_warm_up_sees_jittered_images():
    assert make_method().given.views == ("jitter",)


def test_released_masks_cover_half_and_begin_at_their_place():
    whole, half = (begun(area=area, centred=centred) for area, centred in ((1.0, True), (0.5, False)))
    images, place = torch.full((1, 1, SIDE, SIDE), 9.0), torch.tensor([[2, 2]])
    shares = []
    for method in (whole, half):
        changed = (method.masked(images, place, torch.tensor([0.5])) != 9)[0, 0]
        shares.append(changed.sum().item() / SIDE**2)
        assert changed[1, 1].item() == (method is whole)
        assert changed[2, 2]
    assert shares[0] == pytest.approx(0.5, abs=0.1)
    assert shares[1] == pytest.approx(0.25, abs=0.1)


def test_a_doubled_softmax_takes_probabilities_for_logits():
    plain, doubled = make_method(), make_method(double_softmax=True)
    images = torch.rand(2, 1, SIDE, SIDE)
    expected = sum(network(images).softmax(1) for network in plain.networks)
    torch.testing.assert_close(doubled.logits(images), expected)


def test_published_values():
    options = SANM.Options()
    assert (options.warm_up * 360, options.least_mask, options.largest_mask, options.doubt_mask) == (
        10,
        0.02,
        0.07,
        0.03,
    )
    assert (options.reconstruction_weight, options.decoder_width, options.clip_norm) == (0.02, 256, 1.0)


@pytest.mark.parametrize(
    "options",
    [
        {"least_mask": 0.2},
        {"doubt_mask": 1.5},
        {"area": -1.0},
        {"reconstruction_weight": -1.0},
        {"decoder_width": 0},
        {"warm_up_view": "strong"},
        {"extra_view": "weak"},
        {"threshold": 3.0},
    ],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(SuiteError, match=next(iter(options))):
        SANM.Options(**options)


MARGIN = 5.0
"""Points of test accuracy over Cross-Entropy, of one seed for its length; with seeds 0 and 1 SANM gained 15.3 and 14.3.
With RandAugment and the jittered warm-up seed 0 lost 14.6 in 15 epochs: they leave little of 8x8 pixels."""


@pytest.mark.full
def test_learns_more_than_cross_entropy():
    """Five epochs of warm-up and five of masking, without the views that leave nothing of 8x8 pixels."""
    views = {"warm_up_view": "weak", "extra_view": "strong"}
    options = {"warm_up": 0.5, "unlabelled_weight": 5.0, "decoder_width": 16, **views}
    plain = train_on_digits("baselines.cross_entropy", {}, 0, 10)
    assert train_on_digits("baselines.sanm", options, 0, 10).last_five - plain.last_five >= MARGIN

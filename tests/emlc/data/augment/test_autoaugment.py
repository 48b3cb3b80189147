"""AutoAugment against torchvision's, image by image with the same draws; and the draws themselves."""

import pytest
import torch
from torchvision.transforms.autoaugment import AutoAugment, AutoAugmentPolicy

from emlc.data.augment import autoaugment
from emlc.data.augment.autoaugment import OPERATIONS, AutoAugmentDraw, apply_autoaugment, draw_autoaugment
from emlc.data.augment.policies import POLICIES
from emlc.records.errors import SuiteError
from tests.emlc.data.augment.pictures import generator, pictures

PUBLISHED = {"cifar10": AutoAugmentPolicy.CIFAR10, "imagenet": AutoAugmentPolicy.IMAGENET}
ALWAYS = 1.0


@pytest.mark.parametrize("policy", PUBLISHED)
def test_policies_are_torchvisions(policy):
    expected = [[(op, p, level or 0) for op, p, level in pair] for pair in AutoAugment(PUBLISHED[policy]).policies]
    assert [list(pair) for pair in POLICIES[policy]] == expected
    assert len(expected) == 25


def by_torchvision(images, policy, draw, monkeypatch):
    """The same draws, one image at a time."""
    transform, results = AutoAugment(PUBLISHED[policy]), []
    for index, image in enumerate(images):
        drawn = (draw.sub_policies[index].item(), draw.chances[index], 1 - draw.negative[index].long())
        monkeypatch.setattr(transform, "get_params", lambda count, drawn=drawn: drawn)
        results.append(transform(image))
    return torch.stack(results)


@pytest.mark.parametrize("policy", PUBLISHED)
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 8, 8), (3, 24, 40)])
def test_batches_are_torchvisions_image_by_image(policy, shape, monkeypatch):
    images = torch.cat([pictures(*shape, seed=seed)[:7] for seed in range(40)])
    draw = draw_autoaugment(len(images), policy, generator(5))
    distance = (
        apply_autoaugment(images, policy, draw).int() - by_torchvision(images, policy, draw, monkeypatch).int()
    ).abs()
    # A blend may be off by one level; what follows it (equalise, solarise, contrast) may magnify that.
    assert (distance > 1).flatten(1).any(1).float().mean() < 0.05
    assert (distance > 0).float().mean() < 0.01


@pytest.mark.parametrize("policy", PUBLISHED)
@pytest.mark.parametrize("negative", [False, True])
def test_every_sub_policy_is_torchvisions_where_nothing_blends(policy, negative, monkeypatch):
    exact = [
        index
        for index, pair in enumerate(POLICIES[policy])
        if not {op for op, _, _ in pair} & {"Brightness", "Color", "Contrast", "Sharpness"}
    ]
    images = pictures(3, 32, 32)[:4].repeat(len(exact), 1, 1, 1)
    rows = torch.tensor(exact).repeat_interleave(4)
    draw = AutoAugmentDraw(rows, torch.full((len(rows), 2), 1e-6), torch.full((len(rows), 2), negative))
    positive = torch.tensor([[p > 0 for _, p, _ in pair] for pair in POLICIES[policy]])[rows]
    draw = AutoAugmentDraw(draw.sub_policies, torch.where(positive, draw.chances, ALWAYS), draw.negative)
    assert torch.equal(apply_autoaugment(images, policy, draw), by_torchvision(images, policy, draw, monkeypatch))


def test_probabilities_are_respected_on_both_sides():
    images = pictures(3, 16, 16)[:2]
    rows = torch.tensor([0, 0])  # (Invert, 0.1), (Contrast, 0.2)
    draw = AutoAugmentDraw(rows, torch.tensor([[0.0999, 0.9], [0.1001, 0.9]]), torch.zeros(2, 2).bool())
    augmented = apply_autoaugment(images, "cifar10", draw)
    assert torch.equal(augmented[0], 255 - images[0])
    assert torch.equal(augmented[1], images[1])


def test_draws_are_uniform_and_within_their_ranges():
    draw = draw_autoaugment(25_000, "cifar10", generator())
    counts = torch.bincount(draw.sub_policies, minlength=25)
    assert len(counts) == 25
    assert ((counts - 1000.0) ** 2 / 1000).sum() < 52  # chi-squared, 24 degrees of freedom, p < 1e-3
    assert draw.negative.float().mean(0).tolist() == pytest.approx([0.5, 0.5], abs=0.015)
    assert draw.chances.mean(0).tolist() == pytest.approx([0.5, 0.5], abs=0.01)
    assert draw.chances.min() >= 0
    assert draw.chances.max() < 1
    assert abs(torch.corrcoef(draw.chances.T)[0, 1]) < 0.03


def test_randomness_is_the_generators_and_each_images_own():
    images = pictures(3, 16, 16)[:1].expand(64, 3, 16, 16)
    state, before = torch.get_rng_state(), images.clone()
    first, second, other = (autoaugment(images, "cifar10", generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(images, before)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert len(first.flatten(1).unique(dim=0)) > 10


def test_an_image_does_not_depend_on_its_batch():
    images = pictures(3, 16, 16)
    draw = draw_autoaugment(len(images), "imagenet", generator(4))
    whole = apply_autoaugment(images, "imagenet", draw)
    for index in range(len(images)):
        alone = AutoAugmentDraw(*(part[index : index + 1] for part in (draw.sub_policies, draw.chances, draw.negative)))
        assert torch.equal(apply_autoaugment(images[index : index + 1], "imagenet", alone)[0], whole[index])


def test_every_operation_of_the_policies_is_there_and_an_unknown_policy_is_not():
    assert {op for policy in POLICIES.values() for pair in policy for op, _, _ in pair} <= set(OPERATIONS)
    with pytest.raises(SuiteError, match=r"'svhn'; known are cifar10, imagenet"):
        autoaugment(pictures(3, 8, 8), "svhn", generator())

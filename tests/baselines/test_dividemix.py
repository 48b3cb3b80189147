import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.codivision import divide
from baselines.dividemix import DivideMix
from baselines.mixup import mixup_coefficient
from emlc.engine.contract import Batch, Training
from emlc.engine.evaluation import outputs
from tests.baselines.learning import train_on_digits
from tests.settings import make_setting as setting_of

CLASSES, EPOCHS = 3, 10
TRAINING = Training(epochs=EPOCHS, batch_size=8, lr=0.05, momentum=0.9, weight_decay=5e-4)
LABELS = torch.arange(24) % CLASSES
SMALL = DivideMix.Options(warm_up=0.2, ramp=0.3, alpha=1.0)


class Net(nn.Module):
    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(4, CLASSES, generator=generator, dtype=torch.float64) / 30)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1).double() @ self.weight


def make_method(options: DivideMix.Options = SMALL, cls: type[DivideMix] = DivideMix) -> DivideMix:
    return cls(setting_of(lambda role: Net(len(role)), TRAINING, CLASSES, LABELS), options)


def begun(epoch: int, options: DivideMix.Options = SMALL) -> DivideMix:
    method = make_method(options)
    method.begin_epoch(epoch)
    return method


def whole_epoch(method: DivideMix, epoch: int) -> list[dict[str, Tensor]]:
    method.begin_epoch(epoch)
    rows = []
    while len(rows) < method.steps():
        rows.append(method.step())
    return rows


def batch_of(method: DivideMix, positions: list[int], seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return method.setting.noisy.batch(torch.tensor(positions), method.views, generator)


def sharpened(p: list[float], temperature: float) -> list[float]:
    powers = [value ** (1 / temperature) for value in p]
    return [value / sum(powers) for value in powers]


def test_the_loss_of_a_step_is_that_of_the_equations():
    """Sample by sample and class by class, with the permutation and coefficient that the method draws."""
    method = begun(3)
    method._begin_turn(0)
    method.taken += 1
    method.credibility[1] = torch.linspace(0, 1, len(LABELS), dtype=torch.float64)
    learner, peer = method.networks
    x, u = batch_of(method, [20, 23], 0), batch_of(method, [1, 5], 1)
    before = method.setting.generator.get_state()
    loss = method.loss(learner, peer, x, u)

    method.setting.generator.set_state(before)
    share = mixup_coefficient(SMALL.alpha, method.setting.generator).item()
    order = torch.randperm(8, generator=method.setting.generator).tolist()

    def p(network: nn.Module, view: Tensor, i: int) -> list[float]:
        return network(view[i : i + 1]).softmax(1)[0].tolist()

    targets = []
    for i in range(2):
        w = method.credibility[1][x.indices[i]].item()
        mean = [sum(pair) / 2 for pair in zip(p(learner, x.views[0], i), p(learner, x.views[1], i), strict=True)]
        mixed = [w * (c == x.labels[i]) + (1 - w) * mean[c] for c in range(CLASSES)]
        targets.append(sharpened(mixed, SMALL.temperature))
    targets += targets
    guesses = []
    for i in range(2):
        four = [p(network, view, i) for network in (learner, peer) for view in u.views]
        guesses.append(sharpened([sum(column) / 4 for column in zip(*four, strict=True)], SMALL.temperature))
    targets = torch.tensor(targets + guesses + guesses, dtype=torch.float64)
    images = torch.cat((*x.views, *u.views))
    labelled = unlabelled = 0.0
    mean = torch.zeros(CLASSES, dtype=torch.float64)
    for i, j in enumerate(order):
        target = share * targets[i] + (1 - share) * targets[j]
        prediction = learner((share * images[i] + (1 - share) * images[j])[None]).softmax(1)[0]
        mean = mean + prediction / 8
        if i < 4:
            labelled = labelled - (target * prediction.log()).sum() / 4
        else:
            unlabelled = unlabelled + ((prediction - target) ** 2).sum() / (4 * CLASSES)
    ramp = (3 + 1 / method.end - 2) / 3
    expected = labelled + 25 * ramp * unlabelled + sum((1 / CLASSES / mean[c]).log() / CLASSES for c in range(CLASSES))
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-6)
    gradients = [torch.autograd.grad(value, learner.weight)[0] for value in (loss, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6)


def test_each_network_learns_on_the_division_of_the_other_one():
    method = begun(3)
    method.divisions = [divide(torch.arange(24) / 24, 0.5), divide(1 - torch.arange(24) / 24, 0.5)]
    method.step()
    assert set(method.labelled.members.tolist()) == set(range(12))
    while method.turn == 0:
        method.step()
    assert set(method.labelled.members.tolist()) == set(range(13, 24))
    assert set(method.unlabelled.members.tolist()) == set(range(13))


def test_one_network_learns_at_a_time_and_the_other_one_is_in_evaluation_mode():
    method = begun(3)
    for turn in (0, 1):
        before = [network.weight.detach().clone() for network in method.networks]
        while method.turn < turn or method.taken < method.end:
            method.step()
        changed = [not torch.equal(old, net.weight) for old, net in zip(before, method.networks, strict=True)]
        assert changed == [turn == 0, turn == 1]
        assert [network.training for network in method.networks] == [turn == 0, turn == 1]


def test_the_warm_up_is_cross_entropy_on_the_given_labels_for_both():
    method = begun(0)
    assert len(whole_epoch(method, 0)) == 2 * 3
    batch = method.given.next()
    logits = method.networks[0](batch.inputs)
    loss = method.warm_up_loss(method.networks[0], batch)
    torch.testing.assert_close(loss, F.cross_entropy(logits, batch.labels))
    method.options = replace(SMALL, entropy_bonus=True)
    penalised = method.warm_up_loss(method.networks[0], batch)
    p = logits.softmax(1)
    torch.testing.assert_close(penalised - loss, (p * p.log()).sum(1).mean())


def test_losses_of_several_epochs_are_averaged():
    method = make_method(replace(SMALL, loss_epochs=2))
    for epoch in (2, 3, 4):
        whole_epoch(method, epoch)
    assert [len(kept) for kept in method.losses] == [2, 2]


def test_both_divisions_come_before_the_training_unless_the_first_shall_come_late():
    early, late = begun(2), begun(2, replace(SMALL, late_division=True))
    assert [len(kept) for kept in early.losses] == [1, 1]
    assert [len(kept) for kept in late.losses] == [0, 1]
    while late.turn < 1:
        late.step()
    assert [len(kept) for kept in late.losses] == [1, 1]


def test_labelled_only_leaves_unlabelled_samples_to_be_partners():
    """Of 24 mixed views 12 are labelled ones; the others are not looked at."""
    method = begun(3, replace(SMALL, labelled_only=True))
    seen = []
    method.step()
    method.networks[0].register_forward_hook(
        lambda _, inputs, logits: seen.append(len(logits)) if logits.requires_grad else None
    )
    method.step()
    assert seen == [2 * len(method.labelled.next())]


def test_the_sum_of_both_networks_is_reported():
    method = make_method()
    images = torch.rand(2, 1, 2, 2)
    torch.testing.assert_close(method.logits(images), sum(network(images) for network in method.networks))


def test_losses_of_a_set_come_in_its_order():
    method = begun(2)
    network = method.networks[1]
    direct = outputs(
        network, lambda b: F.cross_entropy(network(b.inputs), b.labels, reduction="none"), method.setting.noisy
    )
    low = (direct - direct.min()) / (direct.max() - direct.min())
    torch.testing.assert_close(method.losses[1][-1], low)


@pytest.mark.parametrize(("epochs", "share", "expected"), [(300, 10 / 300, 10), (15, 10 / 300, 1), (15, 0.4, 6)])
def test_the_warm_up_is_a_share_of_the_epochs_and_at_least_one(epochs, share, expected):
    setting = setting_of(lambda role: Net(len(role)), replace(TRAINING, epochs=epochs), CLASSES, LABELS)
    assert DivideMix(setting, replace(SMALL, warm_up=share)).warm_up_epochs == expected


def test_a_resumed_run_goes_on_as_if_nothing_had_happened():
    straight, resumed = make_method(), make_method()
    for epoch in range(3):
        whole_epoch(straight, epoch)
    resumed.load_state(copy.deepcopy(straight.state()))
    for method in (straight, resumed):
        whole_epoch(method, 3)
    torch.testing.assert_close(straight.state(), resumed.state(), rtol=0, atol=0)


MARGIN = 3.0
"""Points of test accuracy over Cross-Entropy, mean of two seeds. Over seeds 0 to 3 DivideMix gained 12.3, 7.4, 6.2 and
-1.2 with the published weight of 25 (mean 6.2), and 12.7, 8.1, 5.6 and 4.4 with the 5 of below. The networks have to
see enough before they divide: with a warm-up of 3 instead of 6 epochs seeds 0 to 3 lost 2.1 on average."""


@pytest.mark.full
def test_learns_more_than_cross_entropy():
    options, gains = {"warm_up": 0.4, "unlabelled_weight": 5.0}, []
    for seed in (0, 1):
        plain = train_on_digits("baselines.cross_entropy", {}, seed, 15)
        gains.append(train_on_digits("baselines.dividemix", options, seed, 15).last_five - plain.last_five)
    assert sum(gains) / len(gains) >= MARGIN

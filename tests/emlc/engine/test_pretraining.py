"""A SimCLR pretraining that learns, repeats, and goes on after a kill as if nothing had happened."""

import math
import random
from dataclasses import replace

import pytest
import torch

from emlc.engine import pretraining
from emlc.engine.checkpoints import CheckpointFile
from emlc.engine.pretraining import pretrain
from emlc.records.errors import DivergenceError, Interrupted
from tests.emlc.engine.test_simclr import TINY
from tests.tiny import tiny_arrays

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread():
    """More threads slow small operations down, and change their rounding."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def images():
    return torch.from_numpy(tiny_arrays().train_images).permute(0, 3, 1, 2).contiguous()


def tensors(result):
    return {**result.encoder.state_dict(), **{f"head.{k}": v for k, v in result.head.state_dict().items()}}


def test_same_seed_same_encoder_and_no_global_randomness(images):
    before = torch.get_rng_state()
    first, second = pretrain(images, TINY, CPU), pretrain(images, TINY, CPU)
    assert torch.equal(before, torch.get_rng_state())
    assert first.losses == second.losses
    assert all(torch.equal(value, tensors(second)[name]) for name, value in tensors(first).items())
    other = pretrain(images, replace(TINY, seed=1), CPU)
    assert other.losses != first.losses
    assert not torch.equal(other.encoder.conv1.weight, first.encoder.conv1.weight)


def test_everything_but_the_classifier_is_trained(images):
    """Gradient or weight decay moves each tensor, and the running statistics too."""
    once, twice = (tensors(pretrain(images, replace(TINY, epochs=epochs), CPU)) for epochs in (1, 2))
    assert all(name.startswith("classifier.") == torch.equal(value, twice[name]) for name, value in once.items())
    assert {"head.0.weight", "head.2.bias", "classifier.weight"} <= set(once)
    assert once["head.2.weight"].shape == (128, 8)


def test_partners_are_views_of_one_image(images):
    """30.0 after these 20 epochs; with views of two images as partners 31.2, which is a guess's loss."""
    recipe = replace(TINY, model={"name": "cnn-small", "width": 16}, epochs=20, batch_size=40, lr=0.3)
    result = pretrain(images, recipe, CPU)
    assert len(result.losses) == len(result.history.seconds) == 20
    assert result.losses[-1] < 0.5 / 0.07 * math.log(2 * 40 - 1) - 0.6


def test_every_image_every_epoch_and_one_learning_rate_a_step(images, monkeypatch):
    rates, sizes = [], []
    schedule, step = pretraining.learning_rate, pretraining._step
    monkeypatch.setattr(pretraining, "learning_rate", lambda r, s, n: rates.append((s, n)) or schedule(r, s, n))
    monkeypatch.setattr(pretraining, "_step", lambda p, o, v, t: sizes.append(len(v)) or step(p, o, v, t))
    pretrain(images[:40], TINY, CPU)
    assert rates == [(s, 3) for s in range(6)]
    assert sizes == [32, 32, 16] * 2


def test_divergence_has_a_name(images):
    with pytest.raises(DivergenceError, match=r"SimCLR loss is nan in epoch \d; lower pretraining\.lr"):
        pretrain(images, replace(TINY, lr=1e30, epochs=3), CPU)


def test_a_first_step_is_not_blamed_on_the_learning_rate(images):
    with pytest.raises(DivergenceError, match="SimCLR loss is nan in epoch 0; nothing was trained yet") as caught:
        pretrain(images, replace(TINY, mean=(float("nan"),)), CPU)
    assert "lr" not in str(caught.value)


class KillError(Exception):
    """In place of SIGKILL: nothing of the process remains but its files."""


class Moody(CheckpointFile):
    """Writes a checkpoint after every second step or epoch, as a seeded coin falls."""

    def __init__(self, path, coin):
        super().__init__(path, {"seed": 0}, 1.0)
        self.coin = coin

    def _keep(self, work, history, pause):
        super()._keep(work, history, 0 if self.coin.random() < 0.5 else math.inf)


def test_kills_at_random_steps_change_nothing(images, tmp_path, monkeypatch):
    recipe = replace(TINY, epochs=4, warm_up_epochs=1)
    peaceful, step = pretrain(images, recipe, CPU), pretraining._step
    coin, left, kills, result = random.Random(0), [0], 0, None

    def fragile(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise KillError
        return step(*arguments)

    monkeypatch.setattr(pretraining, "_step", fragile)
    while result is None:
        left[0] = coin.randrange(1, 6)  # five steps an epoch
        try:
            result = pretrain(images, recipe, CPU, Moody(tmp_path / "digits.pt", coin))
        except KillError:
            kills += 1
        assert kills < 200
    assert (kills > 5, result.history.resumed > 3) == (True, True)
    assert result.losses == peaceful.losses
    assert all(torch.equal(value, tensors(result)[name]) for name, value in tensors(peaceful).items())


def test_a_pretraining_stops_as_asked_after_any_step_and_goes_on(images, tmp_path):
    peaceful, result, stops = pretrain(images, TINY, CPU), None, 0
    while result is None:
        seen = iter([False] * 2 + [True] * 999)
        kept = CheckpointFile(tmp_path / "digits.pt", {"seed": 0}, math.inf, lambda seen=seen: next(seen))
        try:
            result = pretrain(images, TINY, CPU, kept)
        except Interrupted:
            stops += 1
    assert result.history.resumed == stops > 2
    assert result.losses == peaceful.losses
    assert all(torch.equal(value, tensors(result)[name]) for name, value in tensors(peaceful).items())
    assert len(result.history.seconds) == 2
    assert result.history.spent > 0

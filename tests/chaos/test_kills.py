"""SIGKILL, SIGTERM and SIGINT at random moments: the table does not change, and no run that was done is done again."""

import random
import signal

import pytest

from tests.chaos.children import killed, signalled, start, status
from tests.chaos.place import METHODS, SEEDS, TALLY, kill_often


def seeds(few, all_):
    """Seeds of a scenario; all but a few of them are left to ``make chaos``."""
    return [pytest.param(seed, marks=[pytest.mark.chaos] if seed >= few else []) for seed in range(all_)]


@pytest.mark.parametrize("seed", seeds(1, 14))
def test_trainings_killed_again_and_again(seed, place, undisturbed, same):
    coin = random.Random(seed)
    for number in SEEDS:
        place.repair(place.inject(number))
    for method in METHODS:
        kill_often(place, place.train(method), coin, 4, undisturbed.seconds[method])
    assert TALLY.lost == 0
    same(place)


@pytest.mark.parametrize("seed", seeds(1, 3))
def test_every_step_killed_once(seed, place, undisturbed, same):
    coin = random.Random(100 + seed)
    for step in place.steps():
        kill_often(place, step, coin, 1, 0.5)
    assert TALLY.lost == 0
    same(place)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.chaos)]
)
@pytest.mark.parametrize("seed", seeds(1, 5))
def test_a_polite_signal_ends_a_training_in_time_and_in_one_line(number, code, seed, place, undisturbed, same):
    coin = random.Random(200 + seed)
    for task in SEEDS:
        place.repair(place.inject(task))
    for method in METHODS:
        step = place.train(method)
        child = start(step.module, step.argv, place.log)
        ended = signalled(child, number, coin.uniform(0.1, undisturbed.seconds[method]))
        # Before its handler is there, a process ends as any other does.
        assert ended in (0, code, -number, 1)
        if ended == code:
            assert "stopped as asked; the next start goes on from" in place.told()
    assert f"{number.name}: " in place.told() or seed
    same(place)


@pytest.mark.parametrize("seed", seeds(1, 4))
def test_terminated_then_killed_before_it_is_done(seed, place, undisturbed, same):
    coin = random.Random(300 + seed)
    for task in SEEDS:
        place.repair(place.inject(task))
    step = place.train("mslc")
    child = start(step.module, step.argv, place.log)
    child.join(coin.uniform(0.1, undisturbed.seconds["mslc"]))
    if child.is_alive():
        child.terminate()
        TALLY.kills += killed(child, coin, 0.02)
    same(place)


def test_two_launches_of_one_training_at_once(place, same):
    for task in SEEDS:
        place.repair(place.inject(task))
    step = place.train("emlc-k5")
    both = [start(step.module, step.argv, place.log) for _ in range(2)]
    assert [status(child) for child in both] == [0, 0]
    same(place)


@pytest.mark.chaos
def test_one_of_two_launches_killed(place, undisturbed, same):
    for task in SEEDS:
        place.repair(place.inject(task))
    step, coin = place.train("mlnt"), random.Random(5)
    stays = start(step.module, step.argv, place.log)
    TALLY.kills += killed(start(step.module, step.argv, place.log), coin, undisturbed.seconds["mlnt"])
    assert status(stays) == 0
    same(place)

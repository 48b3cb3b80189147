"""The reference loop does the same work everywhere, on one core, and leaves torch as it was."""

import torch

from pipelines.machine import speed


def test_it_is_the_median_of_its_repeats(monkeypatch):
    taken = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(speed, "_train", lambda steps: None)
    monkeypatch.setattr(speed, "_seconds", lambda steps: next(taken))
    assert speed.reference_seconds() == 2.0


def test_so_many_steps_on_one_thread_and_threads_as_before(monkeypatch):
    seen = []
    monkeypatch.setattr(speed, "_train", lambda steps: seen.append((steps, torch.get_num_threads())))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    assert speed.reference_seconds(steps=50, repeats=2) >= 0
    assert (seen, torch.get_num_threads()) == ([(5, 1), (50, 1), (50, 1)], 2)
    torch.set_num_threads(before)


def test_every_step_trains(monkeypatch):
    networks, steps = [], []
    sequential, step = speed.nn.Sequential, torch.optim.SGD.step
    monkeypatch.setattr(speed.nn, "Sequential", lambda *parts: networks.append(sequential(*parts)) or networks[-1])
    monkeypatch.setattr(torch.optim.SGD, "step", lambda self: steps.append(step(self)))
    torch.manual_seed(0)
    speed._train(4)
    torch.manual_seed(0)
    speed._train(0)
    moved = [not torch.equal(*pair) for pair in zip(*(network.parameters() for network in networks), strict=True)]
    assert (len(steps), len(moved), all(moved)) == (4, 11, True)

"""Time and memory by hand-made work."""

import pytest
import torch

from pipelines.machine import stopwatch
from pipelines.machine.stopwatch import interleaved, peak_bytes, spread

CPU = torch.device("cpu")


def test_works_take_turns_in_rotating_order_and_warm_up_does_not_count(monkeypatch):
    done, clock = [], iter(range(1000))
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: float(next(clock)) ** 2)
    seconds = interleaved({name: (lambda name=name: done.append(name)) for name in "abc"}, 2, 1, CPU)
    assert "".join(done) == "cab" + "abc" + "bca"
    # Reading 2j and 2j + 1 surround the j-th work: (2j + 1)^2 - (2j)^2 = 4j + 1.
    assert seconds == {"a": [13.0, 33.0], "b": [17.0, 25.0], "c": [21.0, 29.0]}


def test_spread_is_median_and_quartiles():
    assert spread([4.0, 1.0, 2.0, 3.0, 100.0]) == (3.0, 2.0, 4.0, 5)
    assert str(spread([1.0, 2.0, 3.0])) == "2 [1.5, 2.5]"


def test_the_peak_of_allocations_is_found():
    def work():
        first = torch.zeros(250_000)
        second = torch.ones(500_000)
        del first
        return second.sum()

    assert peak_bytes(work, CPU) == pytest.approx(3_000_000, rel=0.01)


def test_what_replaces_something_older_is_no_growth():
    """As a step's gradients replace those of the step before."""
    kept = {"gradient": torch.zeros(1_000_000)}

    def work():
        kept["gradient"] = None
        kept["gradient"] = torch.zeros(1_000_000)

    assert peak_bytes(work, CPU) < 100_000

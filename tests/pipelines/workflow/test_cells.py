"""Which runs a job trains: all of the profile's, each once, however many share a process."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.profile.load import checked
from pipelines.train import runs_of
from pipelines.workflow.jobs import Jobs
from pipelines.workflow.runs import table_runs
from tests.tiny import tiny_profile

RATES = (0.2, 0.5, 0.8)


def columns(*rates):
    return [{"dataset": "digits", "noise": "sym", "rate": rate} for rate in rates]


def jobs(**changes):
    tables = {"table1": {"title": "Table 1", "columns": columns(*RATES)}}
    return Jobs(checked(tiny_profile(seeds=[0, 1, 2], tables=tables) | changes))


def cells(made, *tables):
    """The cells of some tables, each as its runs' methods, places and seeds."""
    wanted = [run for table in tables for run in table_runs(made.profile, table)]
    names = ("method", "noise", "rate", "seed")
    return [[tuple(run.about[name] for name in names) for run in runs_of(cell)] for cell in made.cells.of(wanted)]


@settings(deadline=None, max_examples=16)
@given(seeds_per_job=st.integers(1, 4), cells_per_job=st.integers(1, 4))
def test_every_run_is_in_one_job_of_one_method(seeds_per_job, cells_per_job):
    found = cells(jobs(seeds_per_job=seeds_per_job, cells_per_job=cells_per_job), "table1")
    runs = [run for cell in found for run in cell]
    assert sorted(runs) == sorted(run for cell in cells(jobs(), "table1") for run in cell)
    assert len(set(runs)) == len(runs) == 18
    for cell in found:
        assert len(cell) <= seeds_per_job * cells_per_job
        assert len({method for method, *_ in cell}) == 1


@pytest.mark.parametrize(
    ("seeds_per_job", "cells_per_job", "sizes"),
    [(1, 1, [1] * 18), (3, 1, [3] * 6), (3, 2, [3, 3, 6, 6]), (3, 3, [9, 9]), (2, 2, [3] * 6)],
)
def test_seeds_and_cells_of_a_job(seeds_per_job, cells_per_job, sizes):
    found = cells(jobs(seeds_per_job=seeds_per_job, cells_per_job=cells_per_job), "table1")
    assert sorted(map(len, found)) == sizes


def test_cells_of_a_method_that_trains_other_numbers_of_them():
    methods = tiny_profile()["methods"]
    methods["emlc-k5"]["cells_per_job"] = 1
    found = cells(jobs(seeds_per_job=3, cells_per_job=3, methods=methods), "table1")
    assert [(cell[0][0], len(cell)) for cell in found] == [("cross-entropy", 9), *[("emlc-k5", 3)] * 3]


def test_a_table_trains_nothing_that_another_asks_for():
    tables = {
        "table1": {"title": "Table 1", "columns": columns(0.2, 0.5)},
        "table2": {"title": "Table 2", "columns": columns(0.5, 0.8)},
    }
    made = jobs(tables=tables, seeds_per_job=3, cells_per_job=9)
    for name, rates in (("table1", {0.2, 0.5}), ("table2", {0.5, 0.8})):
        assert {rate for cell in cells(made, name) for _, _, rate, _ in cell} == rates
    assert len(cells(made, "table1", "table2")) == 6

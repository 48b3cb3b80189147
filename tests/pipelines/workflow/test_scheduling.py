"""Snakemake's own cost: no limit of job starts that nobody asked for, and the measurement of what is left."""

import json
from types import SimpleNamespace

import pytest
from snakemake.cli import get_argument_parser
from snakemake.scheduling.job_scheduler import JobRateLimiter
from snakemake.settings.types import MaxJobsPerTimespan

from pipelines.bench import scheduler
from pipelines.workflow.scheduling import without_default_limit


def test_the_limit_that_snakemakes_command_line_stands_for_is_taken_away():
    found = SimpleNamespace(job_rate_limiter=JobRateLimiter(get_argument_parser().parse_args([]).max_jobs_per_timespan))
    without_default_limit(found)
    assert found.job_rate_limiter is None


@pytest.mark.parametrize("limit", ["10/1s", "100/1m"])
def test_a_limit_that_a_user_gives_stays(limit):
    given = JobRateLimiter(MaxJobsPerTimespan.parse_choice(limit))
    found = SimpleNamespace(job_rate_limiter=given)
    without_default_limit(found)
    assert found.job_rate_limiter is given


def test_where_there_is_none_there_is_nothing_to_do():
    found = SimpleNamespace(job_rate_limiter=None)
    without_default_limit(found)
    assert found.job_rate_limiter is None


def test_snakemake_starts_no_timers_without_the_limit(tmp_path):
    """A timer is a thread; under the limit there would be one for each of the workflow's jobs at its end."""
    with scheduler.workflow(30, 0.0) as folder:
        cost = scheduler.measured(folder, "the suite's", 30, 2, 120)
    assert cost.done == 30
    assert cost.threads <= 8


def test_a_tiny_workflow_is_done_and_measured(tmp_path, capsys):
    arguments = ["--jobs", "10", "--settings", "the suite's", "--limit", "120", "--out", str(tmp_path)]
    assert scheduler.main(arguments) == 0
    assert "| the suite's | 10 " in " ".join(capsys.readouterr().out.split())
    (cost,) = json.loads((tmp_path / "scheduler.json").read_text())
    assert (cost["setting"], cost["jobs"], cost["done"]) == ("the suite's", 10, 10)
    assert 0 < cost["cpu_seconds"] < 2 * cost["wall_seconds"]
    assert cost["threads"] >= 1


def test_what_takes_too_long_is_stopped_and_told(capsys):
    assert scheduler.main(["--jobs", "10", "--seconds", "1000", "--limit", "1", "--settings", "greedy"]) == 0
    assert ", stopped |" in capsys.readouterr().out

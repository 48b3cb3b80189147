"""Snakemake's limit of job starts, which costs more than it protects where nobody asked for it."""

from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.settings.types import MaxJobsPerTimespan

DEFAULT = MaxJobsPerTimespan.parse_choice("100/1s")
"""What Snakemake's command line stands for without ``--max-jobs-per-timespan``; it has no way to say: none."""


def without_default_limit(scheduler: JobScheduler) -> None:
    """Take away Snakemake's default limit of job starts per second; one that a user gives stays.

    Under any limit each pass of the scheduler starts a timer that causes another pass, and each finished job starts one
    more such chain: passes per second grow with the number of finished jobs (``docs/performance.md``). Without a limit,
    as a scheduler of Snakemake's own API has none by default, only a finished job causes a pass.

    Parameters
    ----------
    scheduler : JobScheduler
        Before its first pass, as ``onstart`` finds it.
    """
    limit = scheduler.job_rate_limiter
    if limit is not None and (limit.max_jobs, limit.timespan) == (DEFAULT.max_jobs, DEFAULT.timespan):
        scheduler.job_rate_limiter = None

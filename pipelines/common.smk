# The profile, its jobs (pipelines/workflow/jobs.py), and what the rules look up in them.

import os
import re

from snakemake.exceptions import WorkflowError

from emlc.records.errors import SuiteError
from emlc.records.store import LATENCY
from pipelines.machine.environment import use_this_interpreter
from pipelines.planning.plan import check_disk, check_sources
from pipelines.profile.load import profile_of
from pipelines.workflow.jobs import Jobs, fetched
from pipelines.workflow.leftovers import delete_checkpoints
from pipelines.workflow.pages import FIGURES
from pipelines.workflow.scheduling import without_default_limit
from pipelines.workflow.views import other_views, table_views

use_this_interpreter()

try:
    PROFILE = profile_of(config, workflow.overwrite_configfiles)
    os.environ[LATENCY] = str(PROFILE.latency_seconds)
    JOBS = Jobs(PROFILE, configfiles=tuple(map(str, workflow.overwrite_configfiles)))
    if workflow.is_main_process:  # a job of a cluster reads these files again, and is given its order
        JOBS.write_orders()
        JOBS.refresh_views()
except SuiteError as error:
    raise WorkflowError(str(error)) from None


wildcard_constraints:
    id="[0-9a-f]{20}",


def seal(kind):
    """The file that says that an artefact is in the store. Snakemake must never delete it: the command decides."""
    return update(f"results/store/{kind}/{{id}}/seal.json")


def order(kind):
    """The document that says what a job makes."""
    return lambda wildcards: JOBS.by_kind[kind][wildcards.id].document


def reads(kind):
    """What a job waits for: the artefacts that it reads, other files."""
    return lambda wildcards: JOBS.by_kind[kind][wildcards.id].inputs


GPU = int(PROFILE.device != "cpu")
# Of no account to the machine that submits jobs to a cluster; folders of a million images are not.
QUICK_TO_PREPARE = all(not data.kind.endswith(("-folder", "1m")) for data in PROFILE.datasets.values())


def all_cores(wildcards):
    """The cores that Snakemake was given; on a cluster there is no such number, and its profile says how many."""
    return workflow.cores


def slow_first(wildcards):
    """A cell's priority: methods that train few cells a job are slow, and begun last they would go on alone."""
    method = JOBS.by_kind["cells"][wildcards.id].order.about["runs"][0]["method"]
    return 1 / PROFILE.cells_per_job_of(method)


def processes(wildcards):
    """How many processes share each training of a cell."""
    return JOBS.by_kind["cells"][wildcards.id].order.identity["runs"][0]["training"].get("processes", 1)


def launcher(wildcards):
    """What starts them."""
    count = processes(wildcards)
    return "python" if count == 1 else f"python -m torch.distributed.run --standalone --nproc-per-node {count}"

"""Measure what Snakemake itself costs, in CPU seconds and threads, on trivial jobs in the suite's shape."""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

from emlc.records.artefacts import sha256_bytes, write_json, write_text
from pipelines.machine.cli import Parser, at_least, run
from pipelines.profile.places import ROOT

WORKFLOW = """\
import sys
from pathlib import Path

sys.path.insert(0, {root!r})
from pipelines.workflow.scheduling import without_default_limit

TASKS = {tasks}
IDS = [path.stem for path in sorted(Path("orders").iterdir())]
DOCUMENTS = {{name: f"orders/{{name}}.json" for name in IDS}}
TASK = {{name: IDS[number % TASKS] for number, name in enumerate(IDS)}}


def order(wildcards):
    return DOCUMENTS[wildcards.id]


def task_of(wildcards):
    return ["store/data/seal.json", f"store/tasks/{{TASK[wildcards.id]}}/seal.json"]


onstart:
    if config.get("limit") == "none":
        without_default_limit(workflow.scheduler)


rule table:
    input: expand("store/cells/{{id}}/seal.json", id=IDS[TASKS:])
    output: "table.md"
    shell: "touch {{output}}"


rule prepare:
    output: update("store/data/seal.json")
    shell: "touch {{output}}"


rule inject:
    input: order=order, reads="store/data/seal.json"
    output: update("store/tasks/{{id}}/seal.json")
    log: "logs/tasks/{{id}}.log"
    shell: "touch {{output}} > {{log:q}}"


rule train:
    input: order=order, reads=task_of
    output: update("store/cells/{{id}}/seal.json")
    log: "logs/cells/{{id}}.log"
    threads: 1
    resources: gpu=0
    shell: "sleep {seconds}; touch {{output}} > {{log:q}}"
"""
"""A task and four cells of it, as often as asked for, between one data set and one table."""

PLAIN = "--workflow-profile none --rerun-incomplete --keep-going"
SETTINGS = {
    "Snakemake's defaults": PLAIN,
    "greedy": f"{PLAIN} --scheduler greedy",
    "1000 starts per 20 s": f"{PLAIN} --max-jobs-per-timespan 1000/20s",
    "greedy, subsample 8": f"{PLAIN} --scheduler greedy --scheduler-subsample 8",
    "no limit of starts": f"{PLAIN} --config limit=none",
    "no limit, greedy": f"{PLAIN} --scheduler greedy --config limit=none",
    "the suite's": f"--workflow-profile {shlex.quote(str(ROOT / 'profiles' / 'default'))} --config limit=none",
}
"""What is compared -> options of Snakemake."""


class Cost(NamedTuple):
    """What one call of Snakemake cost.

    Attributes
    ----------
    setting : str
    jobs : int
    done : int
        Jobs that were finished in time.
    cpu_seconds : float
        User and system time of Snakemake's own process, that of its children left out.
    children_seconds : float
        Of its children that have ended: jobs and solvers.
    wall_seconds : float
    threads : int
        At the most.
    """

    setting: str
    jobs: int
    done: int
    cpu_seconds: float
    children_seconds: float
    wall_seconds: float
    threads: int


def main(argv: Sequence[str]) -> int:
    """Run the benchmark and print its table."""
    parser = Parser("pipelines.bench.scheduler", description=__doc__)
    parser.add_argument("--jobs", type=at_least(10), nargs="+", default=[60, 600, 6000], help="numbers of jobs")
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=SETTINGS, metavar="SETTING")
    parser.add_argument("--seconds", type=float, default=0.0, help="that a training sleeps (default: 0)")
    parser.add_argument("--cores", type=at_least(1), default=2, help="as snakemake --cores")
    parser.add_argument("--limit", type=float, default=600, help="seconds after which a call is stopped")
    parser.add_argument("--out", type=Path, help="folder for scheduler.md and scheduler.json")
    args = parser.parse_args(argv)
    costs = []
    for jobs, setting in product(args.jobs, args.settings):
        with workflow(jobs, args.seconds) as folder:
            costs.append(measured(folder, setting, jobs, args.cores, args.limit))
        print(markdown(costs[-1:]).splitlines()[-1], file=sys.stderr)
    if args.out is not None:
        write_text(args.out / "scheduler.md", markdown(costs))
        write_json(args.out / "scheduler.json", [cost._asdict() for cost in costs])
    print(markdown(costs))
    return 0


@contextmanager
def workflow(jobs: int, seconds: float) -> Iterator[Path]:
    """Write a workflow of `jobs` jobs in a folder that is deleted afterwards."""
    tasks = jobs // 5
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_text(folder / "Snakefile", WORKFLOW.format(root=str(ROOT), tasks=tasks, seconds=seconds))
        for number in range(jobs - 2):
            write_text(folder / "orders" / f"{sha256_bytes(str(number).encode())[:20]}.json", "{}\n")
        yield folder


def measured(folder: Path, setting: str, jobs: int, cores: int, limit: float) -> Cost:
    """Run a workflow under a setting and return what that cost, or had cost when it was stopped."""
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), *shlex.split(SETTINGS[setting])]
    started = time.monotonic()
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    threads = _watched(process.pid, started + limit)
    taken = time.monotonic() - started
    own, children = _cpu_seconds(process.pid)  # it has ended, but nobody has asked for its status: still in /proc
    process.wait()
    done = sum(1 for _ in folder.glob("store/**/seal.json")) + (folder / "table.md").exists()
    return Cost(setting, jobs, done, own, children, taken, threads)


def _watched(pid: int, deadline: float) -> int:
    """Wait until a process has ended, stop it at the deadline, and return how many threads it had at the most."""
    most = 0
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        most = max(most, int(_stat(pid)[17]))
        if time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
        time.sleep(0.1)
    return most


def _cpu_seconds(pid: int) -> tuple[float, float]:
    ticks = [int(value) for value in _stat(pid)[11:15]]
    return sum(ticks[:2]) / os.sysconf("SC_CLK_TCK"), sum(ticks[2:]) / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """Return what Linux says about a process from its state on (``man proc_pid_stat``, from the third field)."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()


def markdown(costs: Sequence[Cost]) -> str:
    """Return the costs as a table."""
    rows = [
        [
            cost.setting,
            cost.jobs,
            "all" if cost.done == cost.jobs else f"{cost.done}, stopped",
            f"{cost.cpu_seconds:.1f}",
            f"{1000 * cost.cpu_seconds / max(cost.done, 1):.0f}",
            f"{cost.children_seconds:.1f}",
            f"{cost.wall_seconds:.0f}",
            cost.threads,
        ]
        for cost in costs
    ]
    header = ["setting", "jobs", "done", "CPU s", "ms a job", "children's CPU s", "wall s", "threads"]
    return tabulate(rows, header, "github", disable_numparse=True)


if __name__ == "__main__":
    run(main)

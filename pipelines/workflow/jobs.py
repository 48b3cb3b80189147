"""A profile's jobs: each order with what it reads, whether it is due, and its document for the command that fulfils it.

Snakemake decides by times of change and by its own memory (``.snakemake``), which users delete, and looks only at the
targets that it is asked for. Here the store decides: a job is due if its artefact is not there, not whole, or shows
runs that are due. The document of a job that is due is written anew, so that Snakemake sees an input newer than the
output.
"""

import os
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from emlc.data.human import KINDS as HUMAN_KINDS
from emlc.records.artefacts import read_json, write_json
from emlc.records.errors import SuiteError
from emlc.records.store import SEAL, Order, issue, sound
from pipelines.fetching.pointers import is_pointer
from pipelines.profile.model import Profile
from pipelines.profile.places import ROOT
from pipelines.workflow.cells import Cells
from pipelines.workflow.pages import Pages
from pipelines.workflow.pins import target_of
from pipelines.workflow.runs import Run, ablation_runs, all_runs, figure_runs, gradient_runs, probed_runs, table_runs
from pipelines.workflow.steps import Steps
from pipelines.workflow.views import View, current, other_views, table_views


@dataclass(frozen=True)
class Job:
    """An order, and what has to be there before it is fulfilled.

    Attributes
    ----------
    order : Order
    reads : tuple of Order
        Artefacts that the command reads.
    files : tuple of str
        Other files, e.g. ``.dvc`` pointers' targets.
    shows : bool
        Whether the artefact is about those that it reads: if one of them is gone, it has nothing left to stand on.
        What is only made from others (a run from its task) stays good without them.
    """

    order: Order
    reads: tuple[Order, ...] = ()
    files: tuple[str, ...] = ()
    shows: bool = False

    @property
    def document(self) -> str:
        """The order's document, which the command takes."""
        return self.order.file.as_posix()

    @cached_property
    def inputs(self) -> list[str]:
        """What else a workflow waits for: the seals of what the command reads, other files."""
        return [*((order.folder / SEAL).as_posix() for order in self.reads), *self.files]


@dataclass(frozen=True)
class Jobs:
    """Every job of a profile.

    Attributes
    ----------
    profile : Profile
    results : Path
    configfiles : tuple of str
        The profile's files, for the commands that the report prints; none for the default profile.
    """

    profile: Profile
    results: Path = Path("results")
    configfiles: tuple[str, ...] = ()

    @cached_property
    def steps(self) -> Steps:
        """The profile's steps."""
        return Steps(self.profile, self.results)

    @cached_property
    def cells(self) -> Cells:
        """Which of the profile's runs share a process."""
        return Cells(self.steps)

    @cached_property
    def pages(self) -> Pages:
        """What the profile shows."""
        files = [os.path.relpath(file) for file in self.configfiles]
        return Pages(self.steps, shlex.join([*SNAKEMAKE, *(["--configfile", *files, "--"] if files else [])]))

    @cached_property
    def by_kind(self) -> dict[str, dict[str, Job]]:
        """The jobs by kind and id."""
        found: dict[str, dict[str, Job]] = {}
        for job in self._all():
            found.setdefault(job.order.kind, {})[job.order.id] = job
        return found

    def _all(self) -> list[Job]:
        jobs = [*self._pages(), *self._cells(), *self._probes()]
        wanted = {order.id: order for job in jobs for order in job.reads}
        made = [self._source(order) for order in wanted.values() if order.kind in SOURCES]
        deeper = {order.id: order for job in made for order in job.reads}
        return [*jobs, *made, *(self._source(order) for order in deeper.values() if order.id not in wanted)]

    def _source(self, order: Order) -> Job:
        """Return the job of data, labels, tasks and encoders."""
        return getattr(self, f"_{order.kind}_job")(order)

    def _data_job(self, order: Order) -> Job:
        sources = [source for source in order.about["sources"] if is_pointer(source) or (ROOT / source).exists()]
        return Job(order, files=tuple(map(target_of, sources)))

    def _labels_job(self, order: Order) -> Job:
        files = (*order.about["sources"], order.about["pointer"])
        return Job(order, files=tuple(map(target_of, files)))

    def _tasks_job(self, order: Order) -> Job:
        name = order.identity["dataset"]
        labels = (self.steps.labels(name),) if order.identity["labels"] else ()
        files = (order.about["matrix"],) if order.about["matrix"] else ()
        return Job(order, (self.steps.data(name), *labels), files)

    def _encoders_job(self, order: Order) -> Job:
        return Job(order, (self.steps.data(order.about["dataset"]),))

    def _run_reads(self, run: Run) -> list[Order]:
        """Return what a run is made from."""
        encoder = self.steps.encoder_of(run)
        data, task = self.steps.data(run.dataset), self.steps.task_of(run)
        return [data, task, *([encoder] if encoder is not None else [])]

    def _run_files(self, *runs: Run) -> tuple[str, ...]:
        """Return the files of weights that runs start from."""
        found = dict.fromkeys(map(self.steps.weights_of, runs))
        return tuple(target_of(source) for source in found if source is not None)

    def _cells(self) -> list[Job]:
        reads: dict[str, dict[str, Order]] = {}
        files: dict[str, tuple[str, ...]] = {}
        for run in all_runs(self.profile):
            cell = self.cells.by_run[self.steps.run(run).id]
            reads.setdefault(cell.id, {}).update({order.id: order for order in self._run_reads(run)})
            files[cell.id] = self._run_files(run)  # equal for all runs of a cell: one method, one data set
        return [Job(cell, tuple(reads[cell.id].values()), files[cell.id]) for cell in self.cells.all()]

    def _probes(self) -> list[Job]:
        probed = probed_runs(self.profile)
        return [Job(self.steps.probe(run), tuple(self._run_reads(run)), self._run_files(run)) for run in probed]

    def _pages(self) -> list[Job]:
        steps, pages, profile = self.steps, self.pages, self.profile
        jobs = []
        for name in profile.tables:
            cells = tuple(self.cells.of(table_runs(profile, name)))
            jobs += [Job(pages.table(name), cells, shows=True), Job(pages.curves(name), cells, shows=True)]
        for name in profile.figures:
            runs = figure_runs(profile, name)
            reads = self.cells.of(runs) if name == "fig5" else [steps.probe(run) for run in runs]
            jobs.append(Job(pages.figure(name), tuple(reads), shows=True))
        if profile.ablations:
            probes = [steps.probe(run) for run in gradient_runs(profile)]
            jobs.append(Job(pages.ablations(), (*self.cells.of(ablation_runs(profile)), *probes), shows=True))
        if profile.timing:
            jobs.append(Job(pages.timing()))
        if profile.fidelity:
            run = pages.fidelity_run()
            jobs.append(Job(pages.fidelity(), tuple(self._run_reads(run)), self._run_files(run)))
        jobs.append(Job(pages.splits(), tuple(pages.split_tasks()), shows=True))
        tables = [pages.table(name) for name in profile.tables]
        about = (*tables, *pages.measured().values())
        jobs.append(Job(pages.claims(), about, shows=True))
        jobs.append(Job(pages.report(), (*about, pages.claims()), shows=True))
        return jobs

    # What is due

    def due(self, order: Order) -> bool:
        """Whether an artefact has to be made."""
        known: dict[str, bool] = self._known
        if order.id not in known:
            job = self.by_kind[order.kind][order.id]
            known[order.id] = not self._sound(order) or (job.shows and any(map(self.due, job.reads)))
        return known[order.id]

    @cached_property
    def _known(self) -> dict[str, bool]:
        return {}

    def _sound(self, order: Order) -> bool:
        if order.kind != "cells":
            return sound(order)
        runs = [Order("runs", identity, {}, self.results) for identity in order.identity["runs"]]
        return all(map(sound, (order, *runs)))

    def write_orders(self) -> None:
        """Write the documents of all jobs; those of jobs that are due become newer than what they ask to replace."""
        for jobs in self.by_kind.values():
            for job in jobs.values():
                _write(job.order, due=self.due(job.order))

    @cached_property
    def views(self) -> dict[str, View]:
        """What lies in sight: file below ``results/`` -> where it comes from."""
        tables = (views for name in self.profile.tables for views in table_views(self.pages, name).items())
        return dict(tables) | other_views(self.pages, self.cells)

    def is_current(self, name: str) -> bool:
        """Whether a file in sight is there and what the store holds."""
        return current(self.results, name, self.views[name])

    def refresh_views(self) -> None:
        """Make the seals newer of what a file in sight is no copy of, so that a workflow copies it."""
        for name in self.profile.tables:
            views = table_views(self.pages, name)
            if any((self.results / file).exists() for file in views):
                self._renew({file: view for file, view in views.items() if not self.is_current(file)})
        self._renew({file: view for file, view in self.views.items() if (self.results / file).exists()})

    def _renew(self, views: dict[str, View]) -> None:
        for seal in {Path(view.seal) for file, view in views.items() if not self.is_current(file)}:
            kind, name = seal.parts[-3:-1]
            # A seal newer than an order that is due would tell Snakemake that it is fulfilled.
            if seal.exists() and not self.due(self.by_kind[kind][name].order):
                issue(seal)


SOURCES = ("data", "labels", "tasks", "encoders")
SNAKEMAKE = ("snakemake", "--cores", "2")


def fetched(profile: Profile, jobs: Jobs) -> dict[str, str]:
    """Return every pointer of the profile's columns, and of its runs' initial weights, by the file that it pins."""
    places = profile.columns()
    names = dict.fromkeys(place.dataset for place in places)
    labelled = dict.fromkeys(place.dataset for place in places if place.noise in HUMAN_KINDS)
    sources = [source for name in names for source in jobs.steps.dataset(name).pointers]
    sources += [str(profile.datasets[name].human_labels) for name in labelled]
    sources += [source for source in map(jobs.steps.weights_of, all_runs(jobs.profile)) if source is not None]
    return {target_of(source): source for source in sources if is_pointer(source)}


def _write(order: Order, due: bool) -> None:
    """Write an order's document, later than the artefact if that is due, not later if it is not."""
    seal = order.folder / SEAL
    if not _is_written(order):
        write_json(order.file, order.document)
        if not due:
            os.utime(order.file, ns=(seal.stat().st_atime_ns, seal.stat().st_mtime_ns))
    if due and seal.exists() and order.file.stat().st_mtime_ns <= seal.stat().st_mtime_ns:
        issue(order.file)


def _is_written(order: Order) -> bool:
    try:
        return order.file.exists() and {**read_json(order.file), **order.document} == read_json(order.file)
    except SuiteError:
        return False

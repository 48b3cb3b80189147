"""From a profile to what people look at: tables, figures and pages, each with all that decides it.

An identity holds what the page shows by name (labels, titles) beside the ids of its runs, so a new label makes the page
anew and trains nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

from emlc.records.artefacts import file_digest
from emlc.records.store import Order
from emlc.tasks.listed import REAL
from pipelines.profile.model import Fidelity, Where
from pipelines.profile.places import ROOT
from pipelines.workflow.runs import Run, ablation_runs, figure_runs, gradient_runs, runs_at, table_runs
from pipelines.workflow.sources import digest
from pipelines.workflow.steps import Steps

PUBLISHED = ("claims.yaml", "provenance.yaml", "table1.csv", "table2.csv", "elsewhere.csv", "timing.csv")
"""The paper's numbers and claims, in ``published/``."""


@dataclass(frozen=True)
class Pages:
    """What one profile shows.

    Attributes
    ----------
    steps : Steps
    command : str
        The call of Snakemake that the name of a file completes, for the report.
    """

    steps: Steps
    command: str = "snakemake --cores 2"

    def _order(self, kind: str, module: str, identity: dict[str, Any]) -> Order:
        code = digest(f"pipelines.{module}")
        return Order(kind, {**identity, "code": code}, {}, self.steps.results)

    # Tables

    def table(self, name: str) -> Order:
        """Return a table with its comparison."""
        return self._tables[name]

    @cached_property
    def _tables(self) -> dict[str, Order]:
        return {name: self._table(name) for name in self.steps.profile.tables}

    def _table(self, name: str) -> Order:
        profile, table = self.steps.profile, self.steps.profile.tables[name]
        methods = table.methods or tuple(profile.methods)
        datasets = [self.steps.dataset(name) for name in dict.fromkeys(column.dataset for column in table.columns)]
        identity = {
            **self._names(),
            "name": name,
            "title": table.title,
            "selection": table.selection,
            "selections": self._selections(methods),
            "seeds": list(profile.seeds_of(name)),
            "datasets": [{"title": dataset.title, "released": dataset.released} for dataset in datasets],
            "methods": [profile.methods[method].label for method in methods],
            "published": _published(table.published),
            "runs": self._runs(table_runs(self.steps.profile, name)),
        }
        return self._order("tables", "table", identity)

    def _selections(self, methods: Iterable[str]) -> dict[str, str]:
        """Return what methods report by that do so otherwise than their table."""
        entries = [self.steps.profile.methods[name] for name in methods]
        return {entry.label: entry.selection for entry in entries if entry.selection is not None}

    def curves(self, name: str) -> Order:
        """Return the convergence curves of a table's runs."""
        return self._curves[name]

    @cached_property
    def _curves(self) -> dict[str, Order]:
        return {name: self._curves_of(name) for name in self.steps.profile.tables}

    def _curves_of(self, name: str) -> Order:
        columns = [self._place(column) for column in self.steps.profile.tables[name].columns]
        identity = {"name": name, "columns": columns, "runs": self._runs(table_runs(self.steps.profile, name))}
        return self._order("curves", "curves", identity)

    # Figures and ablations

    def figure(self, name: str) -> Order:
        """Return a figure of the paper: of probes, or (figure 5) of the runs' steps."""
        figure = self.steps.profile.figures[name]
        runs = figure_runs(self.steps.profile, name)
        identity = {"figure": name, "place": self._place(figure.column), "epochs": figure.epochs}
        identity |= {"runs": self._runs(runs)} if name == "fig5" else {"probes": self._probes(runs)}
        return self._order("figures", FIGURES[name], identity)

    def ablations(self) -> Order:
        """Return the ablations' tables and gradient norms."""
        ablations = self.steps.profile.ablations
        assert ablations is not None
        identity = {
            **self._names(),
            "place": self._place(ablations.column),
            "selection": ablations.selection,
            "questions": [question.model_dump(mode="json") for question in ablations.questions],
            "runs": self._runs(ablation_runs(self.steps.profile)),
            "probes": self._probes(gradient_runs(self.steps.profile)),
        }
        return self._order("ablations", "ablations", identity)

    # Audits

    def splits(self) -> Order:
        """Return the audit of the splits: every column and seed under both protocols."""
        tasks = [
            {"protocol": protocol, "seed": seed, "task": self._split_task(where, seed, protocol).id}
            | {**self._place(where), "drawn": where in self._drawn}
            for where, seed, protocol in self._splits()
        ]
        return self._order("splits", "splits", {"tasks": tasks, "seeds": list(self.steps.profile.seeds)})

    def split_tasks(self) -> list[Order]:
        """Return the tasks that the audit reads, each once."""
        tasks = [self._split_task(*place) for place in self._splits()]
        return list({task.id: task for task in tasks}.values())

    def _splits(self) -> Iterator[tuple[Where, int, str]]:
        profile = self.steps.profile
        for where, protocol, seed in product(profile.columns(), SPLITS, profile.seeds):
            yield where, seed, protocol

    def _split_task(self, where: Where, seed: int, protocol: str) -> Order:
        """Return the task that shows a split; human labels are no matter of the protocol, so a noise without any.

        Real noise comes with its split, which is that of both protocols.
        """
        if where not in self._drawn and where.noise != REAL:
            where = Where(dataset=where.dataset, noise="sym", rate=0.0)
        return self.steps.task(where, seed, self.steps.draw(where)._replace(split=SPLITS[protocol]))

    @cached_property
    def _drawn(self) -> frozenset[Where]:
        """The columns whose noise is drawn."""
        columns = self.steps.profile.columns()
        return frozenset(where for where in columns if not where.noise.startswith("human-") and where.noise != REAL)

    def timing(self) -> Order:
        """Return the times of whole methods."""
        timing = self.steps.profile.timing
        assert timing is not None
        identity = {
            "methods": [self._timed(method) for method in timing.methods],
            "nets": [net.model_dump(mode="json") for net in timing.nets],
            "rounds": timing.rounds,
            "device": self.steps.profile.device,
            "threads": self.steps.profile.threads,
            "published": _published("published/timing.csv"),
        }
        return self._order("timing", "timing", identity)

    def _timed(self, name: str) -> dict[str, Any]:
        """Return a method as it is timed: as the profile's first data set trains it, but for the network and images."""
        method = self.steps.profile.method(name)
        first = next(iter(self.steps.profile.columns()))
        return {
            "key": name,
            "label": method.label,
            "split": method.split or self.steps.protocol["split"],
            "recipe": self.steps.recipe(name, first.dataset),
            "code": digest(method.implementation),
        }

    def fidelity(self) -> Order:
        """Return the comparison of meta-gradients on one run."""
        panel, called = self._fidelity, self.fidelity_run()
        run = self.steps.run(called)
        identity = {
            "run": run.identity,
            "label": self.steps.profile.method(called.method).label,
            "place": self._place(panel.column),
            "steps": panel.steps,
            "draws": panel.draws,
        }
        order = self._order("fidelity", "metagrad", identity)
        return replace(order, about=run.about)  # where the encoder lies

    def fidelity_run(self) -> Run:
        """Return the run whose networks and batches the comparison takes."""
        panel = self._fidelity
        return runs_at(panel.column, [panel.method], [panel.seed])[0]

    @property
    def _fidelity(self) -> Fidelity:
        panel = self.steps.profile.fidelity
        assert panel is not None
        return panel

    # Claims and report

    def claims(self) -> Order:
        """Return the verdicts on what the paper says."""
        identity = {
            "tables": {name: self.table(name).id for name in self.steps.profile.tables},
            "measured": {name: f"{order.kind}/{order.id}" for name, order in self.measured().items()},
            "published": {name: file_digest(ROOT / "published" / name, "sha256") for name in PUBLISHED},
        }
        return self._order("claims", "claims", identity)

    def measured(self) -> dict[str, Order]:
        """Return what claims and the report read beside the tables, by name."""
        profile = self.steps.profile
        found = {"splits": self.splits()}
        found |= {f"figures/{name}": self.figure(name) for name in profile.figures}
        found |= {f"figures/convergence_{name}": self.curves(name) for name in profile.tables}
        found |= {"timing": self.timing()} if profile.timing else {}
        found |= {"metagrad": self.fidelity()} if profile.fidelity else {}
        return found | ({"ablations": self.ablations()} if profile.ablations else {})

    def report(self) -> Order:
        """Return the page of everything."""
        page = sorted((ROOT / "pipelines" / "page").iterdir())
        templates = {path.name: file_digest(path, "sha256") for path in page if path.suffix in TEMPLATES}
        claims = self.claims()
        published = {name: _published(table.published) for name, table in self.steps.profile.tables.items()}
        names = {**self._names(), "published_tables": published, "command": self.command, "templates": templates}
        identity = {**names, **{key: claims.identity[key] for key in ("tables", "measured", "published")}}
        return self._order("reports", "report", {**identity, "claims": claims.id})

    # What they share

    def _names(self) -> dict[str, Any]:
        return {"profile": self.steps.profile.profile, "protocol": self.steps.profile.protocol}

    def _place(self, where: Where) -> dict[str, Any]:
        title = self.steps.dataset(where.dataset).title
        return {"key": where.dataset, "dataset": title, "noise": where.noise, "rate": where.rate}

    def _runs(self, runs: Iterable[Run]) -> list[dict[str, Any]]:
        return [{"id": self.steps.run(run).id, **self._called(run)} for run in runs]

    def _probes(self, runs: Iterable[Run]) -> list[dict[str, Any]]:
        return [{"id": self.steps.probe(run).id, **self._called(run)} for run in runs]

    def _called(self, run: Run) -> dict[str, Any]:
        label, title = self.steps.profile.method(run.method).label, self.steps.dataset(run.dataset).title
        names = {"key": run.method, "method": label, "dataset": title, "noise": run.noise, "rate": run.rate}
        return {**names, "seed": run.seed}


SPLITS = {"paper": "balanced", "released": "released"}
"""A protocol's split."""

FIGURES = {"fig1": "recovery", "fig3": "corrections", "fig4": "embeddings", "fig5": "objective"}
"""A figure of the paper, and the command that draws it."""

TEMPLATES = (".j2", ".css", ".js")


def _published(file: str | None) -> dict[str, str] | None:
    """Return a file of published numbers with what is known about it, by content."""
    if file is None:
        return None
    provenance = (ROOT / file).parent / "provenance.yaml"
    known = {"provenance": file_digest(provenance, "sha256")} if provenance.exists() else {}
    return {"file": file, "sha256": file_digest(ROOT / file, "sha256"), **known}

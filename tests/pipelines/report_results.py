"""Results as the steps before the page would have left them, made by the steps themselves from hand-made records."""

from pathlib import Path
from typing import Any

from emlc.records.store import Order, filling
from pipelines.claims import make as make_claims
from pipelines.profile.load import checked
from pipelines.report import make as make_page
from pipelines.table import make as make_table
from pipelines.workflow.jobs import Jobs
from pipelines.workflow.runs import Run
from tests.pipelines.records import made, write_run
from tests.tiny import tiny_profile

LABELS = {"ce": "Cross-Entropy", "mlc": "MLC", "emlc-k1": "EMLC (k=1)", "clean": "Clean only"}
METHODS = {
    name: {"label": label, "implementation": "baselines.cross_entropy", "training": {"lr": number / 100}}
    for number, (name, label) in enumerate(LABELS.items(), start=1)
}
"""Trained alike but for the learning rate, so that each has runs of its own."""

SYM, ASYM = ({"dataset": "digits", "noise": noise, "rate": rate} for noise, rate in (("sym", 0.5), ("asym", 0.4)))
TABLES = {
    "table1": {"title": "Table 1", "published": "published/table1.csv", "columns": [SYM]},
    "table2": {
        "title": "Table 2",
        "published": "published/table2.csv",
        "methods": ["mlc", "emlc-k1"],
        "selection": "last",
        "columns": [ASYM],
    },
}
FIGURES = {"fig5": {"column": SYM, "methods": ["mlc", "emlc-k1"], "seeds": [0, 1, 2], "epochs": 1}}
SCORES: dict[str, list[float | str]] = {
    "ce": [80.0, 81.0, 83.5],
    "mlc": [71.25, 70.0, "DivergenceError: <x> & nan"],
    "emlc-k1": ["RuntimeError: 0", "RuntimeError: 1", "RuntimeError: 2"],
    "clean": [90.123456, 9.0, 60.0],
}
ASYM_SCORES: dict[str, list[float | str]] = {"mlc": [60.0, 61.0, 62.0], "emlc-k1": [63.0, 64.0, 60.0]}
SQUARE = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><rect width="40" height="40"/></svg>'
PAGE = "# Time\n\nWarm-up, <b>medians</b>.\n\n## Table\n\n| method | s |\n|---|---|\n| MLC | 2 |\n"
TIMES = 'method,seconds_per_epoch,note\nMLC,20,"a, b"\nEMLC (k=1),10,\nEMLC (k=5),9.5,<i>\n'
OBJECTIVE = "method,epoch,meta_objective\nMLC,0,2.5\nEMLC (k=1),0,1.25\n"


def page_jobs(folder: Path, configfiles: tuple[str, ...] = (), **changes: Any) -> Jobs:
    """The jobs of a profile with two tables, a figure and timing; most figures and audits are not its own."""
    blocks = {"methods": METHODS, "tables": TABLES, "figures": FIGURES, "timing": {"methods": ["mlc"]}}
    profile = tiny_profile(**blocks | {"seeds": [0, 1, 2]} | changes)
    return Jobs(checked(profile), folder / "results", configfiles)


def write_results(jobs: Jobs) -> None:
    """Write records, tables, audits, a figure and claims.

    On 50 % symmetric noise Cross-Entropy and Clean only are complete, MLC has a failed seed and EMLC only failed ones.
    """
    for noise, rate, scores in (("sym", 0.5, SCORES), ("asym", 0.4, ASYM_SCORES)):
        for method in scores.keys() & jobs.profile.methods.keys():
            for seed, score in enumerate(scores[method]):
                run = Run(method, "digits", noise, rate, seed)
                write_run(jobs.steps, run, score if isinstance(score, str) else [10.0, score])
    show(jobs)


def show(jobs: Jobs) -> None:
    """Write what the page reads beside the records."""
    for name in jobs.profile.tables:
        made(jobs.pages.table(name), make_table)
    for name, order in jobs.pages.measured().items():
        put(order, FILES.get(name, {f"{Path(name).name}.svg": SQUARE} if "figures" in name else {}))
    made(jobs.pages.claims(), make_claims)


FILES = {
    "figures/fig5": {"fig5.svg": SQUARE, "fig5.csv": OBJECTIVE, "fig5.txt": "The meta-objective & its n = 3 seeds.\n"},
    "timing": {"timing.md": PAGE, "timing.csv": TIMES},
}


def put(order: Order, files: dict[str, str]) -> None:
    """Put an artefact of some text files into the store."""
    with filling(order) as folder:
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")


def write_page(jobs: Jobs) -> Path:
    """Make the page and return it."""
    return made(jobs.pages.report(), make_page) / "report.html"

"""A tiny profile with figures and ablations, and its runs."""

from pathlib import Path
from typing import Any

from pipelines import probe
from pipelines.evidence.probes import PROBE, Probe, load_probe
from pipelines.train import train_cell
from pipelines.workflow.jobs import Jobs
from pipelines.workflow.runs import Run
from tests.pipelines.records import made
from tests.stores import tiny_jobs

COLUMN = {"dataset": "digits", "noise": "sym", "rate": 0.5}
METHODS = {
    "mlc": {"label": "MLC", "implementation": "baselines.mlc"},
    "emlc-k1": {"label": "EMLC (k=1)", "implementation": "emlc.method", "options": {"look_ahead": 1}},
    "emlc-k5": {"label": "EMLC (k=5)", "implementation": "emlc.method", "options": {"look_ahead": 5}},
}
VARIANTS = {
    "overlap": {"label": "Overlapping split", "of": "emlc-k5", "split": "released"},
    "bce-off": {"label": "L_BCE off", "of": "emlc-k5", "options": {"bce_weight": 0.0}},
}
FIGURES = {
    "fig1": {"column": COLUMN, "methods": ["emlc-k1", "mlc"], "seeds": [0, 1]},
    "fig3": {"column": COLUMN, "methods": ["emlc-k1"], "seeds": [0]},
    "fig4": {"column": COLUMN, "methods": ["emlc-k1", "mlc"], "seeds": [0, 1]},
    "fig5": {"column": COLUMN, "methods": ["mlc", "emlc-k1", "emlc-k5"], "seeds": [0, 1], "epochs": 1},
}
ABLATIONS = {
    "column": COLUMN,
    "seeds": [0, 1],
    "gradients": ["emlc-k1", "emlc-k5"],
    "gradient_seeds": [0, 1],
    "questions": [{"question": "Which part matters?", "reference": "emlc-k5", "variants": ["overlap", "bce-off"]}],
}
FIDELITY = {"column": COLUMN, "method": "bce-off", "seed": 0, "steps": 2, "draws": 2}
BLOCKS = {"methods": METHODS, "variants": VARIANTS, "figures": FIGURES, "ablations": ABLATIONS, "fidelity": FIDELITY}


def evidence_jobs(folder: Path, **changes: Any) -> Jobs:
    """The jobs of the profile, with data and tasks in the store."""
    return tiny_jobs(folder, **BLOCKS | changes)


def train_all(folder: Path) -> Jobs:
    """Train every run of the profile, and those under observation once more."""
    jobs = evidence_jobs(folder)
    for cell in jobs.by_kind["cells"].values():
        assert train_cell(cell.order, lambda: False) == 0
    for job in jobs.by_kind["probes"].values():
        made(job.order, probe.make)
    return jobs


def run_of(method: str, seed: int = 0) -> Run:
    return Run(method, *COLUMN.values(), seed)


def probe_of(jobs: Jobs, method: str, seed: int = 0) -> Probe:
    return load_probe(jobs.steps.probe(run_of(method, seed)).folder / PROBE)

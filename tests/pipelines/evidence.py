"""A tiny profile with figures and ablations, and its runs."""

from pathlib import Path
from typing import Any

from pipelines import inject, probe, train
from pipelines.evidence.runs import ablation_runs, figure_runs, gradient_runs
from pipelines.profile.load import validated
from pipelines.profile.settings import Run, Settings, runs, split_of, task_folder
from tests.tiny import tiny_profile, write_data, write_yaml

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


def evidence_profile(**changes: Any) -> Settings:
    blocks = {"methods": METHODS, "variants": VARIANTS, "figures": FIGURES, "ablations": ABLATIONS, "seeds": [0]}
    return validated(tiny_profile(**blocks | changes))


def arguments(folder: Path, run: Run, settings: Settings) -> list[str]:
    """What train and probe share."""
    values = {"config": folder / "profile.yaml", "data": folder / "data.npz", **run._asdict()}
    values["task"] = folder / "tasks" / task_folder(settings, run) / f"seed{run.seed}.npz"
    return [text for name, value in values.items() for text in (f"--{name}", str(value))]


def trained_runs(settings: Settings) -> list[Run]:
    """Every run whose record is needed: the table's, the ablations' and those of figure 5."""
    wanted = [*runs(settings), *ablation_runs(settings), *figure_runs(settings, "fig5")]
    return list(dict.fromkeys(wanted))


def probed_runs(settings: Settings) -> list[Run]:
    """Every run that is trained once more under observation."""
    figures = [run for name in ("fig1", "fig3", "fig4") for run in figure_runs(settings, name)]
    return list(dict.fromkeys([*figures, *gradient_runs(settings)]))


def train_all(folder: Path) -> Path:
    settings = evidence_profile()
    write_yaml(folder / "profile.yaml", settings)
    write_data(folder / "data.npz")
    for run in trained_runs(settings):
        draw(folder, run, settings)
        assert train.main([*arguments(folder, run, settings), "--out", str(folder / "runs" / run.folder)]) == 0
    for run in probed_runs(settings):
        draw(folder, run, settings)
        out = folder / "probes" / run.folder / "probe.npz"
        assert probe.main([*arguments(folder, run, settings), "--out", str(out)]) == 0
    return folder


def draw(folder: Path, run: Run, settings: Settings) -> None:
    """Write a run's task."""
    shared = arguments(folder, run, settings)
    names = {"--config", "--data", "--dataset", "--noise", "--rate", "--seed"}
    kept = [text for pair in zip(shared[::2], shared[1::2], strict=True) if pair[0] in names for text in pair]
    out = folder / "tasks" / task_folder(settings, run) / f"seed{run.seed}.npz"
    assert inject.main([*kept, "--split", split_of(settings, run.method), "--out", str(out)]) == 0

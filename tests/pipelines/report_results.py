"""Results as the steps before the page would have left them, made by the steps themselves from hand-made records."""

from pathlib import Path
from typing import Any

from pipelines.aggregate import main as aggregate
from pipelines.claims import by_name
from pipelines.claims import main as claims
from pipelines.compare import main as compare
from pipelines.profile.load import validated
from pipelines.profile.settings import ROOT, Run
from pipelines.report import main as report
from tests.pipelines.records import write_run
from tests.tiny import tiny_profile, write_yaml

METHODS = {
    name: {"label": label, "implementation": "baselines.cross_entropy"}
    for name, label in [("ce", "Cross-Entropy"), ("mlc", "MLC"), ("emlc-k1", "EMLC (k=1)"), ("clean", "Clean only")]
}
COLUMNS = [{"dataset": "digits", "noise": "sym", "rate": 0.5}, {"dataset": "digits", "noise": "asym", "rate": 0.4}]
SCORES = {"ce": [80.0, 81.0, 83.5], "mlc": [71.25, 70.0], "clean": [90.123456, 9.0, 60.0]}
PAGE = "# Time\n\nWarm-up, <b>medians</b>.\n\n## Table\n\n| method | s |\n|---|---|\n| MLC | 2 |\n"


def write_results(folder: Path, **changes: Any) -> Path:
    """Write a profile, records, tables, claims and some figures; return the folder of results.

    On 50 % symmetric noise Cross-Entropy and Clean only are complete, MLC has a failed seed and EMLC only failed ones;
    on asymmetric noise nothing was run.
    """
    profile = tiny_profile(methods=METHODS, columns=COLUMNS, seeds=[0, 1, 2], **changes)
    settings, results = validated(profile), folder / "results"
    write_yaml(folder / "profile.yaml", profile)
    for method, scores in SCORES.items():
        for seed, score in enumerate(scores):
            write_run(results / "runs", settings, Run(method, "digits", "sym", 0.5, seed), [10.0, score])
    write_run(results / "runs", settings, Run("mlc", "digits", "sym", 0.5, 2), "DivergenceError: <x> & nan")
    for seed in range(3):
        write_run(results / "runs", settings, Run("emlc-k1", "digits", "sym", 0.5, seed), f"RuntimeError: {seed}")
    outputs = ["--csv", "table1.csv", "--json", "table1.json", "--metrics", "metrics.json"]
    outputs = [str(results / name) if "." in name else name for name in outputs]
    aggregate(["--config", str(folder / "profile.yaml"), "--runs", str(results / "runs"), *outputs])
    judge(results)
    write_figures(results)
    return results


def judge(results: Path) -> None:
    """Compare the table with the paper's and judge the claims."""
    pages = {
        name: [str(results / f"{name}.{suffix}") for suffix in ("md", "json")] for name in ("compare_table1", "claims")
    }
    published = str(ROOT / "published" / "table1.csv")
    markdown, data = pages["compare_table1"]
    table = str(results / "table1.json")
    compare([str(results / "table1.csv"), published, "--table", table, "--md", markdown, "--json", data])
    claims(["--table", str(results / "table1.json"), "--md", pages["claims"][0], "--json", pages["claims"][1]])


def write_figures(results: Path) -> None:
    """Write a figure, a page of another step and its numbers; all other figures and pages are missing."""
    (results / "figures").mkdir()
    square = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><rect width="40" height="40"/></svg>'
    (results / "figures" / "fig5.svg").write_text(square)
    (results / "figures" / "fig5.csv").write_text("method,epoch,meta_objective\nMLC,0,2.5\nEMLC (k=1),0,1.25\n")
    (results / "figures" / "fig5.txt").write_text("The meta-objective & its n = 3 seeds.\n")
    (results / "timing.md").write_text(PAGE)
    (results / "timing.csv").write_text(
        'method,seconds_per_epoch,note\nMLC,20,"a, b"\nEMLC (k=1),10,\nEMLC (k=5),9.5,<i>\n'
    )


def write_page(folder: Path, results: Path, *options: str) -> Path:
    """Make the page and return it."""
    out = folder / "report.html"
    arguments = ["--runs", str(results / "runs"), "--results", str(results), "--out", str(out)]
    shown = map(str, shown_files(results).values())
    assert report(["--config", str(folder / "profile.yaml"), *arguments, "--shown", *shown, *options]) == 0
    return out


def shown_files(results: Path) -> dict[str, Path]:
    """What :func:`write_figures` wrote, by name."""
    return by_name([*results.glob("figures/*"), *results.glob("timing.*")], results)

"""Make the page: one HTML file with every verdict, table and figure, that opens without a network.

``python -m pipelines.report --runs results/runs/embedded --shown results/splits.md results/figures/fig5.svg
--out results/report.html``
"""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from emlc.judging.cells import Cell, noise_name, read_published
from emlc.judging.comparison import DEFAULT_TOLERANCE, compare
from emlc.judging.ledger.claims import EVIDENCE, FAILS
from emlc.judging.provenance import read_absences, read_provenance, read_vocabulary
from emlc.judging.verdicts import DEVIATES, RULE, VERDICTS
from emlc.records.artefacts import read_json, write_text
from pipelines.aggregate import collect
from pipelines.claims import PUBLISHED, by_name
from pipelines.compare import as_json
from pipelines.machine.cli import Parser, run
from pipelines.page.claims import MARK, verdict_text
from pipelines.page.parts import Files, claim_counts, figures, pages, steps_made
from pipelines.page.table import sections
from pipelines.profile.load import load_settings
from pipelines.profile.settings import DEFAULT_PROFILE, ROOT, Settings, table_facts
from pipelines.table import SELECTION_TEXT, read_table

PAGE = Path(__file__).parent / "page"


def context(settings: Settings, runs: Path, results: Path, shown: Files) -> dict[str, Any]:
    """Return everything that the page shows, as the template names it.

    Parameters
    ----------
    settings : dict
    runs : Path
        The profile's folder of run records.
    results : Path
        Holds the profile's table in JSON, its comparison with the paper's (if the paper has one) and ``claims.json``.
    shown : mapping of str to Path
        The figures and pages of other steps, and their numbers, by their names; see `pipelines.page.parts`.

    Raises
    ------
    SuiteError
        If one of the three is missing or damaged, or a record is.
    """
    facts = table_facts(settings)
    table, claims = read_table(results / f"{facts['name']}.json"), read_json(results / "claims.json")["claims"]
    cells, comparison = _published(facts, results)
    datasets = [dataset for dataset in table["datasets"] if "sha256" in dataset]
    return {
        "title": facts["title"],
        "profile": table["profile"],
        "protocol": table["protocol"],
        "seeds": table["seeds"],
        "selection": SELECTION_TEXT[table["selection"]],
        "datasets": datasets,
        "foreign": not {dataset["title"] for dataset in datasets} & {cell.dataset for cell in cells},
        "counts": comparison["counts"],
        "verdict_names": VERDICTS,
        "tolerance": comparison["tolerance"],
        "rule": RULE,
        "ranks": comparison["rank_agreement"],
        "cells": comparison["cells"],
        "claims": claims,
        "claim_counts": claim_counts(claims),
        "unsupported": [claim for claim in claims if claim["published"]["verdict"] == FAILS],
        "deviating": [cell for cell in comparison["cells"] if cell["verdict"] == DEVIATES],
        "evidence": EVIDENCE,
        "sections": sections(table, cells, comparison["cells"], collect(settings, runs)),
        "runs": runs.as_posix(),
        "figures": figures(shown),
        "pages": pages(shown),
        "defects": read_provenance(PUBLISHED / "provenance.yaml"),
        "absences": read_absences(PUBLISHED / "provenance.yaml"),
        "vocabulary": read_vocabulary(PUBLISHED / "provenance.yaml"),
        "rerun": steps_made(facts, shown),
    }


def _published(facts: Mapping[str, Any], results: Path) -> tuple[list[Cell], dict[str, Any]]:
    """Return the paper's cells for a table, and the comparison with them."""
    if "published" not in facts:
        return [], as_json(compare([], [], DEFAULT_TOLERANCE))
    return read_published(ROOT / facts["published"]), read_json(results / f"compare_{facts['name']}.json")


def render(content: Mapping[str, Any]) -> str:
    """Return the page as one HTML text with its style and script inside."""
    environment = Environment(
        loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"verdict": verdict_text, "slug": _slug, "ordered_steps": _ordered_steps}
    environment.globals |= {"noise_name": noise_name, "mark": MARK}
    style, script = (Markup((PAGE / name).read_text(encoding="utf-8")) for name in ("report.css", "report.js"))
    return environment.get_template("report.html.j2").render(**content, style=style, script=script)


def _ordered_steps(finding: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A finding's comparisons, those that speak against it before the others."""
    return sorted(finding["steps"], key=lambda step: step["holds"] is True)


def _slug(text: str) -> str:
    """A verdict's name as a class of the style sheet."""
    return text.replace(" ", "-")


def main(argv: Sequence[str]) -> int:
    """Run the step."""
    parser = Parser("pipelines.report", description="Make the page of all results, one HTML file.")
    parser.add_argument("--config", type=Path, nargs="+", default=[DEFAULT_PROFILE], help="profile files")
    parser.add_argument("--runs", type=Path, required=True, help="the profile's folder of run records")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of tables, claims and figures")
    parser.add_argument(
        "--shown", type=Path, nargs="*", default=[], help="its figures and pages of other steps to show"
    )
    parser.add_argument(
        "--configfile",
        nargs="*",
        default=[],
        help="profile files for the commands on the page (default: none)",
    )
    parser.add_argument("--out", type=Path, required=True, help="HTML file to write")
    args = parser.parse_args(argv)
    content = context(load_settings(args.config), args.runs, args.results, by_name(args.shown, args.results))
    write_text(args.out, render({**content, "snakemake": _command(args.configfile)}))
    return 0


def _command(profile_files: Sequence[str]) -> str:
    """The call of Snakemake that the name of a file completes."""
    return shlex.join(["snakemake", "--cores", "2", *(["--configfile", *profile_files, "--"] if profile_files else [])])


if __name__ == "__main__":
    run(main)

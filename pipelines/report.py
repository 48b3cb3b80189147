"""Make the page: one HTML file with every verdict, table and figure, that opens without a network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from emlc.judging.cells import noise_name, read_published
from emlc.judging.ledger.claims import EVIDENCE, FAILS
from emlc.judging.provenance import read_absences, read_provenance, read_vocabulary
from emlc.judging.verdicts import DEVIATES, REPRODUCED, RULE, VERDICTS
from emlc.records.artefacts import read_json, write_text
from emlc.records.record import read_record
from emlc.records.store import Order
from pipelines.evidence.measured import measured, table_folders
from pipelines.machine.work import work
from pipelines.page.accuracies import selection_text
from pipelines.page.claims import MARK, said_in, verdict_text
from pipelines.page.differences import real_differences
from pipelines.page.parts import claim_counts, figures, markdown_html, pages, steps_made
from pipelines.page.sections import Grid, not_run, sections
from pipelines.profile.places import PUBLISHED, ROOT

PAGE = Path(__file__).parent / "page"
PROVENANCE = PUBLISHED / "provenance.yaml"


def context(order: Order) -> dict[str, Any]:
    """Return everything that the page shows, as the templates name it.

    Raises
    ------
    SuiteError
        If something that the page is about is missing or damaged.
    """
    identity, own = order.identity, measured(order)
    claims = read_json(order.beside("claims", identity["claims"]) / "claims.json")["claims"]
    tables = [_table(order, name, table) for name, table in own.tables.items()]
    titles = {table["name"]: table["title"] for table in tables}
    datasets = {dataset["title"]: dataset for table in own.tables.values() for dataset in table["datasets"]}
    return {
        "profile": identity["profile"],
        "protocol": identity["protocol"],
        "seeds": next(iter(own.tables.values()))["seeds"],
        "datasets": list(datasets.values()),
        "foreign": not any(table["of_the_paper"] for table in tables),
        "tables": tables,
        "verdict_names": VERDICTS,
        "rule": RULE,
        "claims": claims,
        "claim_counts": claim_counts(claims),
        "unsupported": [claim for claim in claims if claim["published"]["verdict"] == FAILS],
        "evidence": EVIDENCE,
        "figures": figures(own.files, titles),
        "pages": pages(own.files),
        "defects": read_provenance(PROVENANCE),
        "absences": read_absences(PROVENANCE),
        "vocabulary": read_vocabulary(PROVENANCE),
        "rerun": steps_made(identity),
        "snakemake": identity["command"],
    }


def _table(order: Order, name: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page shows of one table."""
    source = order.identity["published_tables"][name]
    published = read_published(ROOT / source["file"]) if source else []
    comparison = read_json(table_folders(order)[name] / f"compare_{name}.json") if source else NO_COMPARISON
    grid = Grid(name, table, published, comparison["cells"], _records(order, table))
    return {
        "name": name,
        "title": table["title"],
        "selection": selection_text(table),
        "of_the_paper": bool({cell.dataset for cell in published} & {one["title"] for one in table["datasets"]}),
        "sections": sections(grid),
        "not_run": not_run(grid),
        "differences": markdown_html(real_differences(table), f"{table['title']}, differences"),
        "cells": comparison["cells"],
        "counts": comparison["counts"],
        "judged": sum(comparison["counts"][verdict] for verdict in (REPRODUCED, DEVIATES)),
        "deviating": [cell for cell in comparison["cells"] if cell["verdict"] == DEVIATES],
        "tolerance": comparison["tolerance"],
        "ranks": comparison["rank_agreement"],
    }


NO_COMPARISON: Mapping[str, Any] = {
    "cells": [],
    "counts": dict.fromkeys(VERDICTS, 0),
    "tolerance": 0,
    "rank_agreement": [],
}
"""Of a table for which the paper prints no number."""


def _records(order: Order, table: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the records of a table's runs by id."""
    names = [Path(folder).name for cell in table["cells"] for folder in cell["runs"].values()]
    return {name: read_record(order.beside("runs", name) / "record.json") for name in names}


def render(content: Mapping[str, Any]) -> str:
    """Return the page as one HTML text with its style and script inside."""
    environment = Environment(
        loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"verdict": verdict_text, "slug": _slug, "ordered_steps": _ordered_steps}
    environment.globals |= {"noise_name": noise_name, "mark": MARK, "said_in": said_in}
    style, script = (Markup((PAGE / name).read_text(encoding="utf-8")) for name in ("report.css", "report.js"))
    return environment.get_template("report.html.j2").render(**content, style=style, script=script)


def _ordered_steps(finding: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A finding's comparisons, those that speak against it before the others."""
    return sorted(finding["steps"], key=lambda step: step["holds"] is True)


def _slug(text: str) -> str:
    """A verdict's name as a class of the style sheet."""
    return text.replace(" ", "-")


def make(order: Order, folder: Path) -> None:
    """Make the page."""
    write_text(folder / "report.html", render(context(order)))


if __name__ == "__main__":
    work("pipelines.report", __doc__, "reports", make)

"""What the page shows besides tables: figures, pages of other steps, claims, and how to make each piece again."""

import base64
import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from emlc.records.errors import SuiteError

FIGURES = {
    "fig1": "Figure 1: training labels that the teacher recovers, and wrong labels that it corrects, by epoch",
    "fig3": "Figure 3, right: the teacher's outputs and the gate's weight for clean and for corrupted labels",
    "fig4": "Figure 4: t-SNE of the students' embeddings of the test set",
    "fig5": "Figure 5: the meta-objective by iteration",
}
"""Files ``figures/<name>.svg``, ``.csv`` and ``.txt`` (the caption); the name stands in for a caption."""

CURVES = "Test accuracy by epoch, mean and spread over seeds"
"""Files ``figures/convergence_<table>.svg`` and ``.csv``."""

PAGES = {
    "timing": "Time and memory",
    "metagrad": "Meta-gradients against the exact one",
    "ablations": "Ablations",
    "splits": "The splits",
}
"""Files ``<name>.md`` and ``<name>.csv``."""

MOST_ROWS = 500
"""Longer CSV files are to download only."""

COMMANDS = {
    "splits": "splits",
    "timing": "timing",
    "metagrad": "metagrad",
    "ablations": "ablations",
    "figures/fig1": "recovery",
    "figures/fig3": "corrections",
    "figures/fig4": "embeddings",
    "figures/fig5": "objective",
}
"""The command that makes a figure or page; all others are convergence curves."""

Files = Mapping[str, Path]
"""Files of results that were made, by their names, e.g. ``figures/fig1.csv``."""


def figures(files: Files, tables: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the figures; those that were not made have no ``image``.

    Parameters
    ----------
    files : mapping of str to Path
    tables : mapping of str to str
        The titles of the tables by name: each has a figure of its curves.
    """
    curves = {f"convergence_{name}": f"{title}: {CURVES[0].lower()}{CURVES[1:]}" for name, title in tables.items()}
    return [_figure(files, name, title) for name, title in (FIGURES | curves).items()]


def pages(files: Files) -> list[dict[str, Any]]:
    """Return the pages of other steps as HTML, each with its numbers; those that were not made have no ``html``."""
    return [
        {
            "name": name,
            "title": title,
            "html": markdown_html(_text(files[f"{name}.md"]), title) if f"{name}.md" in files else None,
            "data": csv_data(files.get(f"{name}.csv")),
        }
        for name, title in PAGES.items()
    ]


def markdown_html(text: str, title: str) -> Markup:
    """Return a Markdown page as HTML: without its title, headings one level down, HTML in it escaped."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    if [token.tag for token in tokens[:1]] == ["h1"]:
        tokens = tokens[3:]  # opening, text, closing
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
        if token.type == "th_open":
            token.attrSet("scope", "col")
        if token.type == "table_open":
            token.attrSet("class", "plain")
    html = parser.renderer.render(tokens, parser.options, {})
    region = f'<div class="scroll" role="region" tabindex="0" aria-label="Table: {escape(title)}">'
    return Markup(html.replace("<table", f"{region}<table").replace("</table>", "</table></div>"))


def csv_data(path: Path | None) -> dict[str, Any] | None:
    """Return a CSV file: ``columns``, ``rows`` (none if they are too many to show), ``uri`` to save it from."""
    if path is None:
        return None
    lines = list(csv.reader(_text(path).splitlines()))
    columns, rows = (lines[0], lines[1:]) if lines else ([], [])
    shown = rows if len(rows) <= MOST_ROWS else []
    return {"name": path.name, "columns": columns, "rows": shown, "count": len(rows), "uri": data_uri(path, "text/csv")}


def data_uri(path: Path, kind: str) -> str:
    """Return a file's bytes as a ``data:`` address."""
    return f"data:{kind};base64,{base64.b64encode(_bytes(path)).decode()}"


def steps_made(identity: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what can be made again: the file to ask Snakemake for, the command that makes it, and its order.

    Parameters
    ----------
    identity : mapping
        Of the page's order (:meth:`pipelines.workflow.pages.Pages.report`).
    """
    tables = [_step(f"{name}.md", "table", f"tables/{key}") for name, key in identity["tables"].items()]
    others = [_measured_step(name, place) for name, place in identity["measured"].items()]
    return [*tables, *others, _step("claims.md", "claims", f"claims/{identity['claims']}")]


def _measured_step(name: str, place: str) -> dict[str, str]:
    suffix = "svg" if name.startswith("figures/") else "md"
    return _step(f"{name}.{suffix}", COMMANDS.get(name, "curves"), place)


def _step(file: str, command: str, place: str) -> dict[str, str]:
    return {"file": file, "command": command, "order": f"{place}.json"}


def claim_counts(claims: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Return how many claims got each verdict: by the printed numbers, by our records, and on each other data set."""
    sides = {"on the numbers the paper prints": [claim["published"] for claim in claims]}
    sides["on our records of the paper's data"] = [claim["measured"] for claim in claims]
    for claim in claims:
        for item in claim["transferred"]:
            sides.setdefault(f"on {item['dataset']} instead", []).append(item)
    return {side: dict(sorted(Counter(item["verdict"] for item in found).items())) for side, found in sides.items()}


def _figure(files: Files, name: str, title: str) -> dict[str, Any]:
    image, numbers, caption = (files.get(f"figures/{name}.{suffix}") for suffix in ("svg", "csv", "txt"))
    return {
        "name": name,
        "title": title,
        "caption": title if caption is None else _text(caption).strip(),
        "image": None if image is None else data_uri(image, "image/svg+xml"),
        "data": csv_data(numbers),
    }


def _text(path: Path) -> str:
    try:
        return _bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise SuiteError(f"cannot read {path}: {error}") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SuiteError(f"cannot read {path}: {error.strerror or error}") from error

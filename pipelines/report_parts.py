"""What the page shows besides Table 1: figures, pages of other steps, claims, and how to make each piece again."""

import base64
import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from emlc.errors import SuiteError

FIGURES = {
    "fig1": "Figure 1: training labels that the teacher recovers, and wrong labels that it corrects, by epoch",
    "fig3": "Figure 3, right: the teacher's outputs and the gate's weight for clean and for corrupted labels",
    "fig4": "Figure 4: t-SNE of the students' embeddings of the test set",
    "fig5": "Figure 5: the meta-objective by iteration",
    "convergence": "Test accuracy by epoch, mean and spread over seeds",
}
"""Files ``figures/<name>.svg`` (or ``.png``), ``.csv`` and ``.txt`` (the caption); the name stands in for a caption."""

PAGES = {
    "timing": "Time and memory",
    "metagrad": "Meta-gradients against the exact one",
    "ablations": "Ablations",
    "splits": "The splits",
}
"""Files ``<name>.md`` and ``<name>.csv``."""

MOST_ROWS = 500
"""Longer CSV files are to download only."""

STEPS = {
    "report.html": "report",
    "table1.md": "table",
    "compare_table1.md": "compare",
    "claims.md": "claims",
    "splits.md": "splits",
    "timing.md": "timing",
    "metagrad.md": "metagrad",
    "ablations.md": "ablations",
    "figures/convergence.svg": "curves",
    "figures/fig1.svg": "recovery",
    "figures/fig3.svg": "corrections",
    "figures/fig4.svg": "embeddings",
    "figures/fig5.svg": "objective",
}
"""The file to ask Snakemake for, and the step that makes it."""


def figures(folder: Path) -> list[dict[str, Any]]:
    """Return the figures; those that were not made have no ``image``."""
    return [_figure(folder, name, title) for name, title in FIGURES.items()]


def pages(folder: Path) -> list[dict[str, Any]]:
    """Return the pages of other steps as HTML, each with its numbers; those that were not made have no ``html``."""
    return [
        {
            "name": name,
            "title": title,
            "html": markdown_html(folder / f"{name}.md", name),
            "data": csv_data(folder / f"{name}.csv"),
        }
        for name, title in PAGES.items()
    ]


def markdown_html(path: Path, prefix: str) -> Markup | None:
    """Return a Markdown page as HTML: without its title, headings one level down, HTML in it escaped."""
    if not path.exists():
        return None
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(_text(path))
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
    region = f'<div class="scroll" role="region" tabindex="0" aria-label="Table: {PAGES.get(prefix, prefix)}">'
    return Markup(html.replace("<table", f"{region}<table").replace("</table>", "</table></div>"))


def csv_data(path: Path) -> dict[str, Any] | None:
    """Return a CSV file: ``columns``, ``rows`` (none if they are too many to show), ``uri`` to save it from."""
    if not path.exists():
        return None
    lines = list(csv.reader(_text(path).splitlines()))
    columns, rows = (lines[0], lines[1:]) if lines else ([], [])
    shown = rows if len(rows) <= MOST_ROWS else []
    return {"name": path.name, "columns": columns, "rows": shown, "count": len(rows), "uri": data_uri(path, "text/csv")}


def data_uri(path: Path, kind: str) -> str:
    """Return a file's bytes as a ``data:`` address."""
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def steps_made(folder: Path) -> dict[str, str]:
    """Return the steps whose files are there, and the page's own."""
    return {file: step for file, step in STEPS.items() if step == "report" or (folder / file).exists()}


def claim_counts(claims: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Return how many claims got each verdict: by the printed numbers, by our records, and on each other data set."""
    sides = {"on the numbers the paper prints": [claim["published"] for claim in claims]}
    sides["on our records of the paper's data"] = [claim["measured"] for claim in claims]
    for claim in claims:
        for item in claim["transferred"]:
            sides.setdefault(f"on {item['dataset']} instead", []).append(item)
    return {side: dict(sorted(Counter(item["verdict"] for item in found).items())) for side, found in sides.items()}


def _figure(folder: Path, name: str, title: str) -> dict[str, Any]:
    kinds = {"svg": "image/svg+xml", "png": "image/png"}
    paths = [(folder / f"{name}.{suffix}", kind) for suffix, kind in kinds.items()]
    image = next((data_uri(path, kind) for path, kind in paths if path.exists()), None)
    caption = folder / f"{name}.txt"
    text = _text(caption).strip() if caption.exists() else title
    return {"name": name, "title": title, "caption": text, "image": image, "data": csv_data(folder / f"{name}.csv")}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"cannot read {path}: {error}") from error

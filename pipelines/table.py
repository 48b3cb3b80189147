"""Make a table from the records of its runs: CSV, JSON, the page beside the paper's numbers, and the comparison."""

from pathlib import Path
from typing import Any

from emlc.judging.cells import read_published
from emlc.records.artefacts import write_json, write_text
from emlc.records.store import Order
from pipelines.evidence.cells import as_csv, as_metrics, as_table
from pipelines.evidence.records import shown
from pipelines.machine.work import work
from pipelines.page.accuracies import as_markdown
from pipelines.page.comparison import read_comparison, write_comparison
from pipelines.profile.places import ROOT


def make(order: Order, folder: Path) -> None:
    """Make a table and its comparison."""
    name, source = order.identity["name"], order.identity["published"]
    table = as_table(order.identity, shown(order))
    write_text(folder / f"{name}.csv", as_csv(table))
    write_json(folder / f"{name}.json", table)
    write_json(folder / f"metrics_{name}.json", as_metrics(table))
    published = _compare(folder, name, ROOT / source["file"]) if source else []
    write_text(folder / f"{name}.md", as_markdown(table, published))


def _compare(folder: Path, name: str, published: Path) -> list[Any]:
    found = read_comparison(folder / f"{name}.csv", published, folder / f"{name}.json")
    write_comparison(found, f"{name}.csv", folder / f"compare_{name}.md", folder / f"compare_{name}.json")
    return read_published(published)


if __name__ == "__main__":
    work("pipelines.table", __doc__, "tables", make)

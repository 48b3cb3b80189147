"""What lies in sight: files below ``results/`` under names that people know, copies of what the store holds."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from emlc.records.store import SEAL, Order
from pipelines.workflow.cells import Cells
from pipelines.workflow.pages import Pages
from pipelines.workflow.runs import all_runs

RUN_FILES = ("record.json", "history.csv", "steps.csv")


class View(NamedTuple):
    """Where a file in sight comes from.

    Attributes
    ----------
    seal : str
        By which a workflow knows that the source is there.
    source : str
        The file in the store.
    """

    seal: str
    source: str


def other_views(pages: Pages, cells: Cells) -> dict[str, View]:
    """Return what lies in sight beside the tables, by path below ``results/``, in a folder of the profile's name."""
    folder = pages.steps.profile.profile
    return {f"{folder}/{name}": view for name, view in [*_page_views(pages), *_run_views(cells)]}


def table_views(pages: Pages, name: str) -> dict[str, View]:
    """Return what one table puts in sight, by path below ``results/``: its files and its curves.

    They lie in a folder of the profile's name; the table's own are in ``results/`` itself, too, where they are those of
    the profile that was asked for last.
    """
    folder, curves = pages.steps.profile.profile, pages.curves(name)
    files = {file: _view(pages.table(name), file) for file in _table_files(pages.table(name))}
    drawn = {f"{folder}/figures/{file}": _view(curves, file) for file in _curve_files(curves)}
    return files | {f"{folder}/{file}": view for file, view in files.items()} | drawn


def _view(order: Order, file: str) -> View:
    return View((order.folder / SEAL).as_posix(), (order.folder / file).as_posix())


def _table_files(table: Order) -> list[str]:
    name = table.identity["name"]
    compared = [f"compare_{name}.{suffix}" for suffix in ("md", "json")] if table.identity["published"] else []
    return [*(f"{name}.{suffix}" for suffix in ("md", "csv", "json")), *compared, f"metrics_{name}.json"]


def _curve_files(curves: Order) -> list[str]:
    name = f"convergence_{curves.identity['name']}"
    places = [f"{column['key']}_{column['noise']}-{column['rate']}" for column in curves.identity["columns"]]
    return [*(f"{name}.{suffix}" for suffix in ("png", "svg", "csv")), *(f"{name}/{place}.csv" for place in places)]


def _page_views(pages: Pages) -> Iterator[tuple[str, View]]:
    for name, order in pages.measured().items():
        for suffix in ("png", "svg", "csv", "txt") if order.kind == "figures" else ("csv", "md"):
            if order.kind != "curves":
                yield f"{name}.{suffix}", _view(order, f"{Path(name).name}.{suffix}")
    if pages.steps.profile.ablations:
        yield "gradients.csv", _view(pages.ablations(), "gradients.csv")
    yield from ((file, _view(pages.claims(), file)) for file in ("claims.json", "claims.md"))
    yield "report.html", _view(pages.report(), "report.html")


def _run_views(cells: Cells) -> Iterator[tuple[str, View]]:
    steps = cells.steps
    for run in all_runs(steps.profile):
        order = steps.run(run)
        seal = (cells.by_run[order.id].folder / SEAL).as_posix()
        place = f"runs/{run.dataset}/{run.noise}-{run.rate}/{run.method}/seed{run.seed}"
        yield from ((f"{place}/{file}", View(seal, (order.folder / file).as_posix())) for file in RUN_FILES)


def current(results: Path, name: str, view: View) -> bool:
    """Whether a file in sight is what the store holds."""
    copy, source = results / name, Path(view.source)
    return copy.exists() and source.exists() and copy.read_bytes() == source.read_bytes()

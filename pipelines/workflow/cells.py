"""The jobs that train a profile's runs: which runs share a process."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from emlc.records.store import Order
from pipelines.workflow.runs import Run, all_runs, table_runs
from pipelines.workflow.steps import Steps

T = TypeVar("T")


@dataclass(frozen=True)
class Cells:
    """The cells of one profile.

    Attributes
    ----------
    steps : Steps
        The profile's.
    """

    steps: Steps

    @cached_property
    def by_run(self) -> dict[str, Order]:
        """Run id -> the cell that trains it, each run in one cell only.

        Seeds of one place train in one process, `seeds_per_job` at a time, and so do `cells_per_job` such groups of one
        method on one data set, the profile's number or the method's own. Those of the tables come first, each table's
        own by themselves, so that a table trains nothing that only another one or a figure asks for.
        """
        cells: dict[str, Order] = {}
        for (method, *_), alike in self._alike().items():
            for chunks in _chunks(alike, self.steps.profile.cells_per_job_of(method)):
                orders = [order for chunk in chunks for order in chunk]
                cells |= dict.fromkeys((order.id for order in orders), self._cell(orders))
        return cells

    def all(self) -> list[Order]:
        """Return every cell."""
        return _distinct(self.by_run.values())

    def of(self, wanted: Iterable[Run]) -> list[Order]:
        """Return the cells that train some runs, each once."""
        return _distinct(self.by_run[self.steps.run(run).id] for run in wanted)

    def _alike(self) -> dict[tuple[Any, ...], list[Sequence[Order]]]:
        """Return the groups of seeds that may share a process: those of a method, a data set and the same tables."""
        alike: dict[tuple[Any, ...], list[Sequence[Order]]] = {}
        seen: set[str] = set()
        for (method, dataset, *_, asking), orders in self._places().items():
            new = [order for order in orders if order.id not in seen]
            seen |= {order.id for order in orders}
            alike.setdefault((method, dataset, asking), []).extend(_chunks(new, self.steps.profile.seeds_per_job))
        return alike

    def _places(self) -> dict[tuple[Any, ...], list[Order]]:
        """Return the seeds of every method, column and set of tables that asks for them."""
        asking, places = self._asking(), {}
        for run in all_runs(self.steps.profile):
            order = self.steps.run(run)
            places.setdefault((*run[:-1], asking.get(order.id)), []).append(order)
        return {place: _distinct(orders) for place, orders in places.items()}

    def _asking(self) -> dict[str, tuple[str, ...]]:
        """Return which tables show a run."""
        asking: dict[str, tuple[str, ...]] = {}
        for name in self.steps.profile.tables:
            for run in table_runs(self.steps.profile, name):
                order = self.steps.run(run)
                asking[order.id] = (*asking.get(order.id, ()), name)
        return asking

    def _cell(self, orders: Sequence[Order]) -> Order:
        minutes = self.steps.profile.checkpoint_minutes
        about = {"runs": [order.about for order in orders], "checkpoint_minutes": minutes}
        return Order("cells", {"runs": [order.identity for order in orders]}, about, self.steps.results)


def _distinct(orders: Iterable[Order]) -> list[Order]:
    return list({order.id: order for order in orders}.values())


def _chunks(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[first : first + size] for first in range(0, len(items), size)]

"""Draw a task: the clean split and the noise of one seed, shared by every method."""

from pathlib import Path

from emlc.data.prepared import load_prepared
from emlc.records.store import Order
from emlc.tasks.draw import save_task
from pipelines.machine.work import work
from pipelines.training.draws import draw_task, noise_file

TASK = "task.npz"


def make(order: Order, folder: Path) -> None:
    """Make a task."""
    identity = order.identity
    data, checksum = load_prepared(order.beside("data", identity["data"]))
    save_task(draw_task(identity, data, checksum, noise_file(order)), folder / TASK)


if __name__ == "__main__":
    work("pipelines.inject", __doc__, "tasks", make)

"""What it takes to make a profile's tables: how many steps, how many hours, how much disk.

Hours are for one run at a time: from records of the same dataset, network, method, options and batch size on the same
device or, where there are none, as :mod:`pipelines.planning.clock` estimates them; the table says which. Bytes are
estimated as :mod:`pipelines.planning.disk` says. What is in the store is not counted again. What figures and ablations
train beyond the tables is not counted.
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

from emlc.records.errors import SuiteError
from emlc.records.store import Order, sound
from pipelines.fetching.pointers import is_pointer, read_pointer
from pipelines.planning.clock import Clock
from pipelines.planning.disk import dataset_sizes, encoder_bytes, images_of, run_bytes, source_bytes
from pipelines.planning.hours import pretraining_key, run_key
from pipelines.prepare import missing
from pipelines.profile.derived import title_of, used
from pipelines.profile.places import ROOT
from pipelines.workflow.jobs import Jobs, fetched
from pipelines.workflow.runs import Run, table_runs

UNKNOWN = "unknown"


class Item(NamedTuple):
    """A step, as often as it has to be done.

    Attributes
    ----------
    step, about : str
        What it does, and to which dataset or by which method.
    times : int
    to_do : int
        How often it has not been done yet.
    size : int
        Bytes that it takes each time.
    seconds : float or None
        That it takes each time on the device; None if nothing tells.
    how : str
        Where the seconds come from.
    """

    step: str
    about: str
    times: int
    to_do: int
    size: int
    seconds: float | None = 0.0
    how: str = ""


class Times(NamedTuple):
    """What tells how long steps take on a device.

    Attributes
    ----------
    device : str
        As records name it.
    recorded : mapping of str to float
        :func:`pipelines.planning.hours.recorded_times`.
    clock : Clock or None
        For what no record tells of.
    """

    device: str
    recorded: Mapping[str, float]
    clock: Clock | None = None


def plan(jobs: Jobs, times: Times) -> list[Item]:
    """Return everything that a profile's tables take, in the order in which it is made.

    Parameters
    ----------
    jobs : Jobs
    times : Times

    Raises
    ------
    SuiteError
        If a source, a model or a ``.dvc`` file does not exist.
    """
    names = used(jobs.profile)
    wanted = [run for table in jobs.profile.tables for run in table_runs(jobs.profile, table)]
    runs = {name: [run for run in wanted if run.dataset == name] for name in names}
    return [
        *_fetch_items(jobs),
        *(item for name in names for item in _data_items(jobs, name, runs[name])),
        *(item for name in names for item in _pretraining_items(jobs, name, runs[name], times)),
        *(item for name in names for item in _run_items(jobs, name, runs[name], times)),
    ]


def _fetch_items(jobs: Jobs) -> list[Item]:
    return [
        Item("fetch", Path(file).name, 1, int(not (ROOT / file).exists()), read_pointer(ROOT / pointer).size)
        for file, pointer in fetched(jobs.profile, jobs).items()
    ]


def _item(
    step: str, about: str, orders: Iterable[Order], size: int, taken: tuple[float | None, str] = (0.0, "")
) -> Item:
    distinct = {order.id: order for order in orders}
    to_do = sum(not sound(order) for order in distinct.values())
    return Item(step, about, len(distinct), to_do, size, *taken)


def _data_items(jobs: Jobs, name: str, runs: Sequence[Run]) -> list[Item]:
    title, sizes = title_of(jobs.profile, name), dataset_sizes(jobs.profile, name, ROOT)
    tasks = [jobs.steps.task_of(run) for run in runs]
    items = [_item("prepare", title, [jobs.steps.data(name)], sizes.prepared)]
    if any(task.identity["labels"] for task in tasks):
        # Also of the prepared labels: the true ones and every label set, 8 bytes each.
        size = source_bytes(ROOT / str(jobs.profile.datasets[name].human_labels))
        items.append(_item("human", title, [jobs.steps.labels(name)], size))
    return [*items, _item("inject", title, tasks, sizes.task)]


def _pretraining_items(jobs: Jobs, name: str, runs: Sequence[Run], times: Times) -> list[Item]:
    found = [order for run in runs if (order := jobs.steps.encoder_of(run)) is not None]
    return [_pretraining_item(jobs, name, order, times) for order in {order.id: order for order in found}.values()]


def _pretraining_item(jobs: Jobs, name: str, encoder: Order, times: Times) -> Item:
    title, epochs = title_of(jobs.profile, name), encoder.identity["pretraining"]["epochs"]
    recorded = times.recorded.get(pretraining_key(title, times.device, encoder.identity))
    taken = _recorded(recorded, epochs) if recorded else _guessed(jobs, name, times, "pretraining", encoder)
    return _item("pretrain", title, [encoder], encoder_bytes(encoder.identity["model"]), taken)


def _run_items(jobs: Jobs, name: str, runs: Sequence[Run], times: Times) -> list[Item]:
    return [
        _run_item(jobs, name, [run for run in runs if run.method == method], times)
        for method in dict.fromkeys(run.method for run in runs)
    ]


def _run_item(jobs: Jobs, name: str, runs: Sequence[Run], times: Times) -> Item:
    title, orders = title_of(jobs.profile, name), [jobs.steps.run(run) for run in runs]
    training = orders[0].identity["training"]
    size = run_bytes(training, dataset_sizes(jobs.profile, name, ROOT).images)
    about = f"{title}: {jobs.profile.method(runs[0].method).label}"
    return _item("train", about, orders, size, run_seconds(jobs, orders[0], times))


def run_seconds(jobs: Jobs, run: Order, times: Times) -> tuple[float | None, str]:
    """Return how long a run takes (None if nothing tells), and how that is known."""
    recorded = times.recorded.get(run_key(run.about["title"], times.device, run.identity))
    if recorded:
        return _recorded(recorded, run.identity["training"]["epochs"])
    return _guessed(jobs, run.about["dataset"], times, "run", run)


def _recorded(per_epoch: float, epochs: int) -> tuple[float, str]:
    return per_epoch * epochs, "records"


def _guessed(jobs: Jobs, name: str, times: Times, kind: str, order: Order) -> tuple[float | None, str]:
    """Return what the clock says of a run or a pretraining that has to be done."""
    if times.clock is None or sound(order):
        return None, ""
    images = images_of(jobs.profile, name, ROOT)
    a_pass = order.identity.get("passes", {}).get("images")
    return getattr(times.clock, kind)(order, images._replace(training=a_pass or images.training))


def bytes_needed(items: Sequence[Item]) -> int:
    """Return the bytes of all that does not exist yet."""
    return sum(item.size * item.to_do for item in items)


COLUMNS = ["Step", "", "Times", "To do", "Hours to go", "Disk to go", "Hours from"]


def as_markdown(items: Sequence[Item]) -> str:
    """Return the plan as a table: one row per item, then the sum of each step and of all."""
    steps = [[item for item in items if item.step == step] for step in dict.fromkeys(item.step for item in items)]
    rows = [_row(item.step, item.about, [item]) for item in items]
    rows += [_row(f"all {step[0].step}", "", step) for step in steps if len(step) > 1]
    rows.append(_row("**all**", "", items))
    return tabulate(rows, COLUMNS, "github", disable_numparse=True)


def _row(step: str, about: str, items: Sequence[Item]) -> list[str]:
    times, to_do = (sum(getattr(item, name) for item in items) for name in ("times", "to_do"))
    how = items[0].how if len(items) == 1 and to_do else ""
    return [step, about, str(times), str(to_do), _hours(items), as_size(bytes_needed(items)), how]


def _hours(items: Sequence[Item]) -> str:
    ahead = [(item.seconds, item.to_do) for item in items if item.to_do]
    known = sum(seconds * count for seconds, count in ahead if seconds is not None) / 3600
    unknown = any(seconds is None for seconds, _ in ahead)
    if unknown:
        return f"{known:.2f} + {UNKNOWN}" if known else UNKNOWN
    return f"{known:.2f}" if known else ""


def as_size(size: int) -> str:
    """Return a number of bytes as MB, or GB from one on."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


def check_sources(jobs: Jobs) -> None:
    """Refuse a profile whose data are the user's own and not there.

    Raises
    ------
    SuiteError
        Saying what is missing.
    """
    for name in used(jobs.profile):
        for source in jobs.steps.dataset(name).pointers:
            if not is_pointer(source) and not (ROOT / source).exists():
                raise SuiteError(missing(jobs.steps.dataset(name), ROOT / source))


def check_disk(jobs: Jobs) -> None:
    """Refuse a profile whose files do not fit on the disk.

    Raises
    ------
    SuiteError
        Saying how many bytes are needed and how many are free.
    """
    needed, free = bytes_needed(plan(jobs, Times("", {}))), shutil.disk_usage(ROOT).free
    if needed > free:
        raise SuiteError(f"{ROOT} has {as_size(free)} free, but the plan needs {as_size(needed)}; make room first")

"""What it takes to make a profile's tables: how many steps, how many hours, how much disk.

Hours are for one run at a time, from records of the same dataset, network, method, options and batch size on the same
device, or unknown where there are none. Bytes are estimated as :mod:`pipelines.planning.disk` says. What is in the
store is not counted again. What figures and ablations train beyond the tables is not counted.
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

from emlc.records.errors import SuiteError
from emlc.records.store import Order, sound
from pipelines.fetching.pointers import is_pointer, read_pointer
from pipelines.planning.disk import dataset_sizes, encoder_bytes, run_bytes, source_bytes
from pipelines.planning.hours import pretraining_key, run_key
from pipelines.prepare import missing
from pipelines.profile.load import title_of, used
from pipelines.profile.places import ROOT
from pipelines.workflow.jobs import Jobs, fetched
from pipelines.workflow.steps import Run

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
    """

    step: str
    about: str
    times: int
    to_do: int
    size: int
    seconds: float | None = 0.0


def plan(jobs: Jobs, device: str, times: Mapping[str, float]) -> list[Item]:
    """Return everything that a profile's tables take, in the order in which it is made.

    Parameters
    ----------
    jobs : Jobs
    device : str
        As records name it.
    times : mapping of str to float
        :func:`pipelines.planning.hours.recorded_times`.

    Raises
    ------
    SuiteError
        If a source, a model or a ``.dvc`` file does not exist.
    """
    names = used(jobs.profile)
    wanted = [run for table in jobs.profile.tables for run in jobs.steps.table_runs(table)]
    runs = {name: [run for run in wanted if run.dataset == name] for name in names}
    return [
        *_fetch_items(jobs),
        *(item for name in names for item in _data_items(jobs, name, runs[name])),
        *(item for name in names for item in _pretraining_items(jobs, name, runs[name], device, times)),
        *(item for name in names for item in _run_items(jobs, name, runs[name], device, times)),
    ]


def _fetch_items(jobs: Jobs) -> list[Item]:
    return [
        Item("fetch", Path(file).name, 1, int(not (ROOT / file).exists()), read_pointer(ROOT / pointer).size)
        for file, pointer in fetched(jobs.profile, jobs).items()
    ]


def _item(step: str, about: str, orders: Iterable[Order], size: int, seconds: float | None = 0.0) -> Item:
    distinct = {order.id: order for order in orders}
    to_do = sum(not sound(order) for order in distinct.values())
    return Item(step, about, len(distinct), to_do, size, seconds)


def _data_items(jobs: Jobs, name: str, runs: Sequence[Run]) -> list[Item]:
    title, sizes = title_of(jobs.profile, name), dataset_sizes(jobs.profile, name, ROOT)
    tasks = [jobs.steps.task_of(run) for run in runs]
    items = [_item("prepare", title, [jobs.steps.data(name)], sizes.prepared)]
    if any(task.identity["labels"] for task in tasks):
        # Also of the prepared labels: the true ones and every label set, 8 bytes each.
        size = source_bytes(ROOT / str(jobs.profile.datasets[name].human_labels))
        items.append(_item("human", title, [jobs.steps.labels(name)], size))
    return [*items, _item("inject", title, tasks, sizes.task)]


def _pretraining_items(
    jobs: Jobs, name: str, runs: Sequence[Run], device: str, times: Mapping[str, float]
) -> list[Item]:
    encoder = next((jobs.steps.encoder_of(run) for run in runs if jobs.steps.encoder_of(run)), None)
    if encoder is None:
        return []
    title, epochs = title_of(jobs.profile, name), encoder.identity["pretraining"]["epochs"]
    seconds = _seconds(times.get(pretraining_key(title, device, encoder.identity)), epochs)
    return [_item("pretrain", title, [encoder], encoder_bytes(encoder.identity["model"]), seconds)]


def _run_items(jobs: Jobs, name: str, runs: Sequence[Run], device: str, times: Mapping[str, float]) -> list[Item]:
    title, images = title_of(jobs.profile, name), dataset_sizes(jobs.profile, name, ROOT).images
    items = []
    for method in dict.fromkeys(run.method for run in runs):
        orders = [jobs.steps.run(run) for run in runs if run.method == method]
        training = orders[0].identity["training"]
        seconds = _seconds(times.get(run_key(title, device, orders[0].identity)), training["epochs"])
        label = jobs.profile.method(method).label
        items.append(_item("train", f"{title}: {label}", orders, run_bytes(training, images), seconds))
    return items


def _seconds(per_epoch: float | None, epochs: int) -> float | None:
    return None if per_epoch is None else per_epoch * epochs


def bytes_needed(items: Sequence[Item]) -> int:
    """Return the bytes of all that does not exist yet."""
    return sum(item.size * item.to_do for item in items)


def as_markdown(items: Sequence[Item]) -> str:
    """Return the plan as a table: one row per item, then the sum of each step and of all."""
    steps = [[item for item in items if item.step == step] for step in dict.fromkeys(item.step for item in items)]
    rows = [_row(item.step, item.about, [item]) for item in items]
    rows += [_row(f"all {step[0].step}", "", step) for step in steps if len(step) > 1]
    rows.append(_row("**all**", "", items))
    return tabulate(rows, ["Step", "", "Times", "To do", "Hours to go", "Disk to go"], "github", disable_numparse=True)


def _row(step: str, about: str, items: Sequence[Item]) -> list[str]:
    times, to_do = (sum(getattr(item, name) for item in items) for name in ("times", "to_do"))
    return [step, about, str(times), str(to_do), _hours(items), as_size(bytes_needed(items))]


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
    needed, free = bytes_needed(plan(jobs, device="", times={})), shutil.disk_usage(ROOT).free
    if needed > free:
        raise SuiteError(f"{ROOT} has {as_size(free)} free, but the plan needs {as_size(needed)}; make room first")

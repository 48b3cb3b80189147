"""Say before a profile's table is made how many runs it takes, how many hours, and whether the disk holds its files.

Hours are for one run at a time, from records of the same dataset, network, method, options and batch size on the same
device, or unknown where there are none. Bytes are estimated as :mod:`pipelines.planning.disk` says. A file that exists
counts as made, whether or not it is up to date: what has to be made again, ``snakemake -n`` knows. What figures and
ablations train beyond the table is not counted.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

from emlc.data import open_dataset
from emlc.data.human import KINDS as HUMAN_KINDS
from emlc.records.errors import SuiteError
from pipelines.fetching.pointers import read_pointer
from pipelines.machine.cli import Parser, run
from pipelines.machine.devices import device_name, find_device
from pipelines.planning.disk import dataset_sizes, encoder_bytes, run_bytes, source_bytes
from pipelines.planning.hours import pretraining_key, recorded_times, run_key
from pipelines.profile.load import load_settings
from pipelines.profile.settings import (
    DEFAULT_PROFILE,
    ROOT,
    SIMCLR,
    Settings,
    dataset_options,
    encoder_file,
    human_labels,
    initialisation,
    pretraining_spec,
    run_spec,
    runs,
    table_facts,
)

UNKNOWN = "unknown"


class Item(NamedTuple):
    """A step, as often as it has to be done.

    Attributes
    ----------
    step, about : str
        What it does, and to which dataset or by which method.
    files : tuple of str
        What it makes, one file each time, relative to the repository.
    size : int
        Bytes that it takes each time.
    seconds : float or None
        That it takes each time on the device; None if nothing tells.
    """

    step: str
    about: str
    files: tuple[str, ...]
    size: int
    seconds: float | None = 0.0


def plan(settings: Settings, root: Path, device: str, times: Mapping[str, float]) -> list[Item]:
    """Return everything that a profile's table takes, in the order in which it is made.

    Parameters
    ----------
    settings : dict
    root : Path
        The repository.
    device : str
        As records name it.
    times : mapping of str to float
        :func:`pipelines.planning.hours.recorded_times`.

    Raises
    ------
    SuiteError
        If a source, a model or a ``.dvc`` file does not exist.
    """
    names = list(dict.fromkeys(column["dataset"] for column in settings["columns"]))
    return [
        *(item for name in names for item in _data_items(settings, name, root)),
        *(item for name in names for item in _pretraining_items(settings, name, device, times)),
        *(item for name in names for item in _run_items(settings, name, root, device, times)),
    ]


def _data_items(settings: Settings, name: str, root: Path) -> list[Item]:
    dataset = open_dataset(name, dataset_options(settings, name))
    sizes = dataset_sizes(settings, name, root)
    pinned = [root / pointer for pointer in dataset.pointers if pointer.endswith(".dvc")]
    places = dict.fromkeys(f"{run.column}/seed{run.seed}" for run in runs(settings) if run.dataset == name)
    tasks = tuple(f"results/tasks/{settings['profile']}/{place}.npz" for place in places)
    return [
        *(Item("fetch", dataset.title, (_target(file, root),), source_bytes(file)) for file in pinned),
        Item("prepare", dataset.title, (f"results/data/{name}.npz",), sizes.prepared),
        *_human_items(settings, name, root),
        Item("inject", dataset.title, tasks, sizes.task),
    ]


def _human_items(settings: Settings, name: str, root: Path) -> list[Item]:
    columns = [column for column in settings["columns"] if column["dataset"] == name]
    if not any(column["noise"] in HUMAN_KINDS for column in columns):
        return []
    title = open_dataset(name, dataset_options(settings, name)).title
    file = root / human_labels(settings, name)
    size = source_bytes(file)  # also of the prepared labels: the true ones and every label set, 8 bytes each
    return [
        Item("fetch", f"{title}, human labels", (_target(file, root),), size),
        Item("human", title, (f"results/human/{name}.npz",), size),
    ]


def _target(pointer: Path, root: Path) -> str:
    return str(read_pointer(pointer).target.relative_to(root))


def _pretraining_items(settings: Settings, name: str, device: str, times: Mapping[str, float]) -> list[Item]:
    wanted = any(initialisation(settings, method) == SIMCLR for method in settings["methods"])
    if not wanted or "checkpoint" in settings["datasets"][name]["pretraining"]:
        return []
    spec = pretraining_spec(settings, name)
    title = open_dataset(name, dataset_options(settings, name)).title
    seconds = _seconds(times.get(pretraining_key(title, device, spec)), spec["pretraining"]["epochs"])
    return [Item("pretrain", title, (encoder_file(settings, name),), encoder_bytes(spec["model"]), seconds)]


def _run_items(settings: Settings, name: str, root: Path, device: str, times: Mapping[str, float]) -> list[Item]:
    title = open_dataset(name, dataset_options(settings, name)).title
    images = dataset_sizes(settings, name, root).images
    items = []
    for method, block in settings["methods"].items():
        alike = [run for run in runs(settings) if (run.dataset, run.method) == (name, method)]
        spec = run_spec(settings, alike[0])
        seconds = _seconds(times.get(run_key(title, device, spec)), spec["training"]["epochs"])
        files = tuple(f"results/runs/{settings['profile']}/{run.folder}/record.json" for run in alike)
        items.append(Item("train", f"{title}: {block['label']}", files, run_bytes(spec["training"], images), seconds))
    return items


def _seconds(per_epoch: float | None, epochs: int) -> float | None:
    return None if per_epoch is None else per_epoch * epochs


def missing(item: Item, root: Path) -> int:
    """Return how many of an item's files do not exist yet."""
    return sum(not (root / file).exists() for file in item.files)


def bytes_needed(items: Sequence[Item], root: Path) -> int:
    """Return the bytes of all files that do not exist yet."""
    return sum(item.size * missing(item, root) for item in items)


def as_markdown(items: Sequence[Item], root: Path) -> str:
    """Return the plan as a table: one row per item, then the sum of each step and of all."""
    steps = [[item for item in items if item.step == step] for step in dict.fromkeys(item.step for item in items)]
    rows = [_row(item.step, item.about, [item], root) for item in items]
    rows += [_row(f"all {step[0].step}", "", step, root) for step in steps if len(step) > 1]
    rows.append(_row("**all**", "", items, root))
    return tabulate(rows, ["Step", "", "Times", "To do", "Hours to go", "Disk to go"], "github", disable_numparse=True)


def _row(step: str, about: str, items: Sequence[Item], root: Path) -> list[str]:
    times = sum(len(item.files) for item in items)
    to_do = sum(missing(item, root) for item in items)
    return [step, about, str(times), str(to_do), _hours(items, root), as_size(bytes_needed(items, root))]


def _hours(items: Sequence[Item], root: Path) -> str:
    ahead = [(item.seconds, missing(item, root)) for item in items if missing(item, root)]
    known = sum(seconds * count for seconds, count in ahead if seconds is not None) / 3600
    unknown = any(seconds is None for seconds, _ in ahead)
    if unknown:
        return f"{known:.2f} + {UNKNOWN}" if known else UNKNOWN
    return f"{known:.2f}" if known else ""


def as_size(size: int) -> str:
    """Return a number of bytes as MB, or GB from one on."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


def main(argv: Sequence[str]) -> int:
    """Run the step; an error if the disk cannot hold what is still to be made."""
    parser = Parser("pipelines.plan", description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, nargs="+", default=[DEFAULT_PROFILE], help="profile files")
    parser.add_argument("--recorded", type=Path, default=ROOT / "results" / "recorded", help="folder of more records")
    parser.add_argument("--device", help="as records name it; default: what the profile's device is on this machine")
    args = parser.parse_args(argv)
    settings = load_settings(args.config)
    device = args.device or _device_here(settings)
    folders = [ROOT / "results" / "runs", ROOT / "results" / "pretrained", args.recorded]
    items = plan(settings, ROOT, device, recorded_times(folders))
    free = as_size(shutil.disk_usage(ROOT).free)
    where = f"{table_facts(settings)['title']} of profile `{settings['profile']}` on {device}"
    print(f"{where}; {free} of disk free.\n\n{as_markdown(items, ROOT)}")
    check_disk(items, ROOT)
    return 0


def check_disk(items: Sequence[Item], root: Path) -> None:
    """Refuse a plan whose files do not fit on the disk.

    Raises
    ------
    SuiteError
        Saying how many bytes are needed and how many are free.
    """
    needed, free = bytes_needed(items, root), shutil.disk_usage(root).free
    if needed > free:
        raise SuiteError(f"{root} has {as_size(free)} free, but the plan needs {as_size(needed)}; make room first")


def _device_here(settings: Settings) -> str:
    """Return the name of the device that the profile means here, or what it asks for if that is not there."""
    try:
        return device_name(find_device(settings["device"]))
    except SuiteError:
        return f"{settings['device']} (none on this machine)"


if __name__ == "__main__":
    run(main)

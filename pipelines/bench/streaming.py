"""Show that a run's memory does not grow with the number of its images: peaks for 1,000 and 100,000 tiny files.

Each number of images is a child process of its own that trains a small network on files that stay on disk, for the same
number of steps, and passes over all of them once.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from tabulate import tabulate
from torch.nn import functional as F

from emlc.data.image_files import Files
from emlc.data.listing import Listing
from emlc.data.streaming.photographs import photographs
from emlc.data.streaming.preprocessing import preprocessing
from emlc.engine.contract import Training
from emlc.engine.recipe import Recipe
from emlc.engine.run import build_method
from emlc.tasks.draw import TaskSpec, make_task

SIDE, CLASSES, BATCH, PER_FOLDER = 16, 10, 100, 1000
CPU = torch.device("cpu")


class Peak(NamedTuple):
    """What one run took.

    Attributes
    ----------
    images : int
    before, after : int
        Peak resident bytes of the run's process and of its largest worker, before and after it passed over all images.
    per_second : float
        Images of that pass per second.
    """

    images: int
    before: int
    after: int
    per_second: float


def write_files(folder: Path, count: int) -> np.ndarray:
    """Write `count` JPEG files of 16x16 pixels and return their keys: copies of ten pictures, one per class."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(CLASSES):
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(folder / "picture.jpg")
        pictures.append((folder / "picture.jpg").read_bytes())
    keys = [f"{number // PER_FOLDER}/{number}.jpg" for number in range(count)]
    for number, key in enumerate(keys):
        (folder / key).parent.mkdir(exist_ok=True)
        (folder / key).write_bytes(pictures[number % CLASSES])
    return np.array([key.encode() for key in keys])


def train_and_pass(folder: Path, count: int, workers: int) -> Peak:
    """Train ten steps on the first images, then pass over all of `count` files, and say what that took."""
    keys = write_files(folder, count)
    labels = np.arange(count) % CLASSES
    listing = Listing(
        keys, labels, keys[:BATCH], labels[:BATCH], None, np.zeros((CLASSES, CLASSES), np.int64), tuple("abcdefghij")
    )
    data = photographs(
        listing, lambda some: Files(folder, some), preprocessing("central", SIDE, SIDE).read, SIDE, workers
    )
    spec = TaskSpec(
        dataset="tiny",
        data_sha256="0" * 64,
        kind="sym",
        rate=0.5,
        sampling="per-label",
        split="balanced",
        clean_per_class=1,
    )
    method = build_method(_recipe(), make_task(listing, spec, None, 0), data, CPU)
    method.begin_epoch(0)
    for _ in range(10):
        method.step()
    before, started, seen = _peak(), time.perf_counter(), 0
    for batch in method.setting.noisy.batches():
        with torch.inference_mode():
            F.cross_entropy(method.logits(batch.inputs), batch.labels)
        seen += len(batch)
    return Peak(count, before, _peak(), seen / (time.perf_counter() - started))


def _recipe() -> Recipe:
    return Recipe(
        implementation="baselines.cross_entropy",
        options={},
        training=Training(1, BATCH, 0.01, 0.9, 0.0),
        model={"name": "cnn-small", "width": 4},
        order="reshuffled",
        crop_padding=0,
        flips=True,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        seed=0,
        preprocessing=preprocessing("central", SIDE, SIDE),
    )


def _peak() -> int:
    """Return the peak resident bytes of this process and of the largest child that has ended."""
    kilobytes = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return 1024 * kilobytes


def measured(count: int, workers: int) -> Peak:
    """Return what a run over `count` files takes, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder, multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_in_child, (Path(folder), count, workers))


def _in_child(folder: Path, count: int, workers: int) -> Peak:
    torch.set_num_threads(1)
    return train_and_pass(folder, count, workers)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser("pipelines.bench.streaming", description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--workers", type=int, default=0, help="processes that decode ahead (default: none)")
    args = parser.parse_args(argv)
    rows = [
        [
            f"{peak.images:,}",
            *(f"{value / 2**20:.1f}" for value in (peak.before, peak.after)),
            f"{peak.per_second:,.0f}",
        ]
        for peak in (measured(count, args.workers) for count in args.images)
    ]
    heads = ["Images", "Peak after 10 steps (MiB)", "Peak after a pass over all (MiB)", "Images per second"]
    print(tabulate(rows, heads, "github", disable_numparse=True))


if __name__ == "__main__":
    main()

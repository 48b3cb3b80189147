"""Bring a dataset's human labels into the order of its prepared arrays, checked against its own labels."""

from pathlib import Path

from emlc.data import open_dataset
from emlc.data.human import prepare_human_labels, save_human_labels
from emlc.records.store import Order
from pipelines.fetching.pointers import read_pointer, require_file
from pipelines.machine.work import work
from pipelines.prepare import source_files
from pipelines.profile.places import ROOT

LABELS = "labels.npz"


def make(order: Order, folder: Path) -> None:
    """Make human labels."""
    pointer = ROOT / order.about["pointer"]
    dataset = open_dataset(order.about["dataset"], order.about["options"])
    label_file = require_file(pointer)
    human = prepare_human_labels(dataset, source_files(dataset, ROOT), label_file, read_pointer(pointer).md5)
    save_human_labels(folder / LABELS, human)


if __name__ == "__main__":
    work("pipelines.human", __doc__, "labels", make)

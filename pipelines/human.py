"""Bring a dataset's human labels into the order of its prepared arrays, checked against its own labels."""

from collections.abc import Sequence
from pathlib import Path

from emlc.data import open_dataset
from emlc.data.human import prepare_human_labels, save_human_labels
from pipelines.fetching.pointers import read_pointer, require_file
from pipelines.machine.cli import Parser, run
from pipelines.prepare import source_files
from pipelines.profile.load import load_settings
from pipelines.profile.settings import DEFAULT_PROFILE, ROOT, dataset_options, human_labels


def main(argv: Sequence[str]) -> int:
    """Run the step."""
    parser = Parser("pipelines.human", description=__doc__)
    parser.add_argument("--config", type=Path, nargs="+", default=[DEFAULT_PROFILE], help="profile files")
    parser.add_argument("--dataset", required=True, help="a key of the profile's datasets, with human_labels")
    parser.add_argument("--out", type=Path, required=True, help="where to write the labels (.npz)")
    args = parser.parse_args(argv)
    settings = load_settings(args.config)
    pointer = ROOT / human_labels(settings, args.dataset)
    dataset = open_dataset(args.dataset, dataset_options(settings, args.dataset))
    label_file = require_file(pointer)
    human = prepare_human_labels(dataset, source_files(dataset, ROOT), label_file, read_pointer(pointer).md5)
    save_human_labels(args.out, human)
    return 0


if __name__ == "__main__":
    run(main)

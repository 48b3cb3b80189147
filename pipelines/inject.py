"""Draw a task: the clean split and the noise of one seed, shared by every method."""

from collections.abc import Sequence
from pathlib import Path

from emlc.data import open_dataset
from emlc.data.store import load_arrays
from emlc.tasks import TaskSpec, make_task, save_task
from pipelines.cli import Parser, run
from pipelines.settings import DEFAULT_PROFILE, Settings, dataset_options, load_settings, task_spec


def inject(settings: Settings, data: Path, dataset: str, noise: str, rate: float, seed: int, out: Path) -> None:
    """Draw one task of a profile and write it to `out`.

    Raises
    ------
    SuiteError
        If the data are damaged, or the split or the noise is impossible.
    """
    spec = task_spec(settings, dataset, noise, rate)
    arrays, checksum = load_arrays(data)
    facts = open_dataset(dataset, dataset_options(settings, dataset))
    task = make_task(
        arrays,
        TaskSpec(
            dataset=dataset,
            data_sha256=checksum,
            kind=noise,
            rate=rate,
            sampling=spec["sampling"],
            split=spec["split"],
            clean_per_class=spec["clean_per_class"],
        ),
        facts.class_map,
        seed,
    )
    save_task(task, out)


def main(argv: Sequence[str]) -> int:
    """Run the step."""
    parser = Parser("pipelines.inject", description=__doc__)
    parser.add_argument("--config", type=Path, nargs="+", default=[DEFAULT_PROFILE], help="profile files")
    parser.add_argument("--data", type=Path, required=True, help="prepared arrays (pipelines.prepare)")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--noise", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    inject(load_settings(args.config), args.data, args.dataset, args.noise, args.rate, args.seed, args.out)
    return 0


if __name__ == "__main__":
    run(main)

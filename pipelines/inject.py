"""Draw a task: the clean split and the noise of one seed, shared by every method."""

from collections.abc import Sequence
from pathlib import Path

from emlc.data import Arrays, open_dataset
from emlc.data.store import load_arrays
from emlc.splits import SPLITS
from emlc.tasks import Task, TaskSpec, make_task, save_task
from pipelines.cli import Parser
from pipelines.cli import run as run_step
from pipelines.settings import DEFAULT_PROFILE, Run, Settings, dataset_options, load_settings, task_spec


def draw_task(settings: Settings, arrays: Arrays, checksum: str, run: Run, split: str | None = None) -> Task:
    """Return the task of a run, the same for every method; of another split than the protocol's if one is given.

    Raises
    ------
    SuiteError
        If the split or the noise is impossible.
    """
    spec = task_spec(settings, run.dataset, run.noise, run.rate, split)
    kind = spec.pop("noise")
    dataset = open_dataset(run.dataset, dataset_options(settings, run.dataset))
    return make_task(arrays, TaskSpec(kind=kind, data_sha256=checksum, **spec), dataset.class_map, run.seed)


def main(argv: Sequence[str]) -> int:
    """Run the step."""
    parser = Parser("pipelines.inject", description=__doc__)
    parser.add_argument("--config", type=Path, nargs="+", default=[DEFAULT_PROFILE], help="profile files")
    parser.add_argument("--data", type=Path, required=True, help="prepared arrays (pipelines.prepare)")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--noise", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--split", choices=sorted(SPLITS), help="in place of the protocol's")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    every_method = ""
    which = Run(every_method, args.dataset, args.noise, args.rate, args.seed)
    save_task(draw_task(load_settings(args.config), *load_arrays(args.data), which, args.split), args.out)
    return 0


if __name__ == "__main__":
    run_step(main)

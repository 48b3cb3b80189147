"""Draw a task: the clean split and the noise of one seed, shared by every method."""

from collections.abc import Sequence
from pathlib import Path

from emlc.data import Arrays, open_dataset
from emlc.data.human import KINDS as HUMAN_KINDS
from emlc.data.human import load_human_labels
from emlc.data.store import load_arrays
from emlc.records.errors import SuiteError
from emlc.tasks.draw import Task, TaskSpec, make_task, make_task_from_labels, save_task
from emlc.tasks.splits import SPLITS
from pipelines.machine.cli import Parser
from pipelines.machine.cli import run as run_step
from pipelines.profile.load import load_settings
from pipelines.profile.settings import DEFAULT_PROFILE, Run, Settings, dataset_options, task_spec


def draw_task(
    settings: Settings,
    arrays: Arrays,
    checksum: str,
    run: Run,
    human: Path | None = None,
    split: str | None = None,
) -> Task:
    """Return the task of a run: the same for every method.

    Parameters
    ----------
    settings : dict
    arrays : Arrays
    checksum : str
        SHA-256 of `arrays`.
    run : Run
    human : Path, optional
        The dataset's human labels (:mod:`pipelines.human`), for noise that is one of them.
    split : str, optional
        In place of the protocol's, a key of :data:`emlc.tasks.splits.SPLITS`.

    Raises
    ------
    SuiteError
        If the split or the noise is impossible, or human labels are missing, of other images or of another rate.
    """
    facts = task_spec(settings, run.dataset, run.noise, run.rate, split)
    spec = TaskSpec(kind=facts.pop("noise"), data_sha256=checksum, **facts)
    if spec.kind in HUMAN_KINDS:
        if human is None:
            raise SuiteError(f"noise {spec.kind} needs the data set's human labels: give --human (pipelines.human)")
        labels = load_human_labels(human).of(spec.kind, spec.rate, arrays.train_labels)
        return make_task_from_labels(arrays, spec, labels, run.seed)
    dataset = open_dataset(run.dataset, dataset_options(settings, run.dataset))
    return make_task(arrays, spec, dataset.class_map, run.seed)


def main(argv: Sequence[str]) -> int:
    """Run the step."""
    parser = Parser("pipelines.inject", description=__doc__)
    parser.add_argument("--config", type=Path, nargs="+", default=[DEFAULT_PROFILE], help="profile files")
    parser.add_argument("--data", type=Path, required=True, help="prepared arrays (pipelines.prepare)")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--noise", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--human", type=Path, help="human labels (pipelines.human), for noise human-...")
    parser.add_argument("--split", choices=sorted(SPLITS), help="in place of the protocol's")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    every_method = ""
    which = Run(every_method, args.dataset, args.noise, args.rate, args.seed)
    task = draw_task(load_settings(args.config), *load_arrays(args.data), which, args.human, args.split)
    save_task(task, args.out)
    return 0


if __name__ == "__main__":
    run_step(main)

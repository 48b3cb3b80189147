"""Train one run once more under observation: corrected labels, the gate, gradients, embeddings."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from emlc.records.bundles import read_bundle, write_bundle
from emlc.records.errors import SuiteError
from pipelines.machine.cli import Parser
from pipelines.machine.cli import run as run_step
from pipelines.machine.devices import open_device, use_reproducible_kernels
from pipelines.profile.load import load_settings
from pipelines.profile.settings import DEFAULT_PROFILE, Run, Settings, run_spec

SCHEMA = "emlc.probe/1"
ARRAYS = {
    "soft_labels": "<f4",
    "retained": "<f4",
    "noisy_labels": "<i8",
    "true_labels": "<i8",
    "embeddings": "<f4",
    "test_labels": "<i8",
}


class Probe(NamedTuple):
    """What a run showed.

    Attributes
    ----------
    run : Run
    config : dict
        The run's spec, as in its record.
    history : list of dict
        The epochs as the run's record has them: observing changes nothing.
    epochs : list of dict
        See :class:`pipelines.evidence.observation.Observer`.
    arrays : mapping of str to ndarray
        After the last epoch: ``soft_labels`` [N, C], ``retained`` [N] (empty without a gate), ``noisy_labels`` and
        ``true_labels`` [N]; ``embeddings`` [M, d] and ``test_labels`` [M].
    """

    run: Run
    config: dict[str, Any]
    history: list[dict[str, Any]]
    epochs: list[dict[str, Any]]
    arrays: Mapping[str, np.ndarray]


def observe(settings: Settings, run: Run, data: Path, task_file: Path, pretrained: Path | None = None) -> Probe:
    """Train a run as :mod:`pipelines.train` does, watching.

    Raises
    ------
    SuiteError
        As :func:`pipelines.experiment.opened` does; or if the run diverges or its method corrects no labels.
    """
    from emlc.engine.loop import train
    from emlc.engine.run import build_method, build_scored
    from emlc.models.precision import matrix_products
    from pipelines.evidence.observation import Observer
    from pipelines.experiment import opened

    spec, _, arrays, _, task, recipe = opened(settings, run, data, task_file, pretrained)
    device = open_device(spec["device"], spec["threads"])
    with matrix_products(recipe.training.precision):
        method = build_method(recipe, task, arrays, device)
        scored = build_scored(recipe, task, arrays, device)
        observer = Observer(scored.test, task.true_labels)
        history = train(method, scored, recipe.training.epochs, keeper=observer)
        values = {
            "soft_labels": observer.corrected(method),
            "retained": observer.retained(method),
            "embeddings": observer.embeddings(method),
        }
    found = {name: value.float().cpu().numpy() for name, value in values.items()}
    labels = {"noisy_labels": task.noisy_labels, "true_labels": task.true_labels, "test_labels": arrays.test_labels}
    return Probe(run, spec, history.epochs, observer.epochs, {name: (found | labels)[name] for name in ARRAYS})


def save_probe(path: Path, probe: Probe) -> None:
    """Write a probe to one ``.npz`` file, atomically."""
    meta = {"schema": SCHEMA, "run": probe.run._asdict(), "config": probe.config}
    meta |= {"history": probe.history, "epochs": probe.epochs}
    write_bundle(path, meta, {name: probe.arrays[name].astype(dtype) for name, dtype in ARRAYS.items()})


def load_probe(path: Path) -> Probe:
    """Read a probe.

    Raises
    ------
    SuiteError
        If the file is missing, damaged or something else.
    """
    meta, arrays = read_bundle(path, ARRAYS)
    if not isinstance(meta, dict) or meta.get("schema") != SCHEMA:
        raise SuiteError(f"{path} is not a probe of schema {SCHEMA}; delete it and run again")
    return Probe(Run(**meta["run"]), meta["config"], meta["history"], meta["epochs"], arrays)


def probes(settings: Settings, wanted: Sequence[Run], folder: Path) -> dict[Run, Probe]:
    """Return the probes of some runs, by run.

    Raises
    ------
    SuiteError
        If one is missing, damaged or not of the profile.
    """
    found = {run: load_probe(folder / run.folder / "probe.npz") for run in wanted}
    for run, probe in found.items():
        if (probe.run, probe.config) != (run, run_spec(settings, run)):
            raise SuiteError(f"the probe of {run.folder} is not of this profile; delete it and run again")
    return found


def main(argv: Sequence[str]) -> int:
    """Run the step."""
    args = _parser().parse_args(argv)
    use_reproducible_kernels()
    settings = load_settings(args.config)
    which = Run(args.method, args.dataset, args.noise, args.rate, args.seed)
    save_probe(args.out, observe(settings, which, args.data, args.task, args.pretrained))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser("pipelines.probe", description=__doc__)
    parser.add_argument("--config", type=Path, nargs="+", default=[DEFAULT_PROFILE], help="profile files")
    parser.add_argument("--method", required=True, help="a key of the profile's methods or variants")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--noise", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True, help="prepared arrays (pipelines.prepare)")
    parser.add_argument("--task", type=Path, required=True, help="task (pipelines.inject)")
    parser.add_argument("--pretrained", type=Path, help="encoder of a run that starts from SimCLR")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    return parser


if __name__ == "__main__":
    run_step(main)

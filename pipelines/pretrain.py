"""Pretrain a dataset's encoder by SimCLR, without labels, for the runs that start from one."""

import argparse
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emlc.data import open_dataset
from emlc.data.store import load_arrays
from emlc.records.artefacts import file_digest, sha256_bytes, write_json
from emlc.records.errors import SuiteError
from pipelines.machine.cli import Parser, run
from pipelines.machine.devices import device_name, open_device, use_reproducible_kernels, versions
from pipelines.machine.interrupts import Keep, StopRequest, stoppable
from pipelines.profile.load import load_settings
from pipelines.profile.settings import (
    DEFAULT_PROFILE,
    ROOT,
    Settings,
    checkpoint_minutes,
    dataset_options,
    pretraining_spec,
)
from pipelines.workflow.sources import sources

if TYPE_CHECKING:
    from emlc.engine.checkpoints import CheckpointFile

SCHEMA = "emlc.engine.pretraining/1"


def pretrain_dataset(settings: Settings, name: str, data: Path, out: Path, keep: Keep | None = None) -> dict[str, Any]:
    """Pretrain on all training images, write the encoder to `out` and return what there is to tell about it.

    With `keep`, it goes on from the pretraining's checkpoint if there is one.

    Returns
    -------
    dict
        JSON values; all but ``timing`` are the same on every call on the CPU, and so are the encoder's bytes.

    Raises
    ------
    Interrupted
        If the process was asked to stop.
    SuiteError
        If the profile or the data cannot be trusted, the loss diverges or the device's memory is too small; nothing is
        written then.
    """
    import torch

    from emlc.engine.pretraining import pretrain
    from emlc.engine.simclr import Recipe
    from emlc.models.checkpoint import save_encoder

    spec = pretraining_spec(settings, name)
    dataset = open_dataset(name, dataset_options(settings, name))
    recipe = Recipe(model=spec["model"], flips=dataset.flips, mean=dataset.mean, std=dataset.std, **spec["pretraining"])
    arrays, checksum = load_arrays(data)
    device = open_device(spec["device"], spec["threads"])
    images = torch.from_numpy(arrays.train_images).permute(0, 3, 1, 2).contiguous()
    facts = {"dataset": name, "title": dataset.title, "config": spec, "seed": recipe.seed, "data": {"sha256": checksum}}
    made_by = {"device": device_name(device), "versions": versions()}
    kept = None if keep is None else _checkpoint(keep, {**facts, **made_by}, settings)
    started = time.perf_counter()
    try:
        pretrained = pretrain(images, recipe, device, kept)
    except torch.OutOfMemoryError as error:
        raise SuiteError(f"the device's memory is too small for batches of {recipe.batch_size}; lower it") from error
    history = pretrained.history
    save_encoder(out, pretrained.encoder, pretrained.head, recipe.epochs, facts)
    return {
        "schema": SCHEMA,
        **facts,
        "losses": pretrained.losses,
        "checkpoint": {"sha256": file_digest(out, "sha256")},
        **made_by,
        "timing": {
            "seconds_per_epoch": [round(seconds, 6) for seconds in history.seconds],
            "total_seconds": round(history.spent + time.perf_counter() - started, 6),
            "resumed": history.resumed,
        },
    }


def _checkpoint(keep: Keep, facts: dict[str, Any], settings: Settings) -> "CheckpointFile":
    """Return the file of a pretraining: other settings, data, software or source code make it another one."""
    from emlc.engine.checkpoints import CheckpointFile

    code = sha256_bytes(*((ROOT / path).read_bytes() for path in sources("pipelines.pretrain")))
    return CheckpointFile(keep.path, {**facts, "sources": code}, checkpoint_minutes(settings), keep.stopped)


def main(argv: Sequence[str]) -> int:
    """Run the step.

    With ``--checkpoints``, SIGTERM and SIGINT end it after the training step at hand, with status 128 + signal.
    """
    parser = Parser("pipelines.pretrain", description=__doc__)
    parser.add_argument("--config", type=Path, nargs="+", default=[DEFAULT_PROFILE], help="profile files")
    parser.add_argument("--dataset", required=True, help="a key of the profile's datasets, with a pretraining block")
    parser.add_argument("--data", type=Path, required=True, help="prepared arrays (pipelines.prepare)")
    parser.add_argument("--out", type=Path, required=True, help="encoder to write, in SupContrast's layout")
    parser.add_argument("--record", type=Path, help="JSON to write beside it (default: same name, .json)")
    parser.add_argument("--checkpoints", type=Path, help="folder to go on from, and to leave a checkpoint in")
    args = parser.parse_args(argv)
    settings = load_settings(args.config)
    use_reproducible_kernels()
    return _run(settings, args, None) if args.checkpoints is None else stoppable(partial(_run, settings, args))


def _run(settings: Settings, args: argparse.Namespace, stopped: StopRequest | None) -> int:
    keep = None if stopped is None else Keep(args.checkpoints / f"{args.dataset}.pt", stopped)
    record = pretrain_dataset(settings, args.dataset, args.data, args.out, keep)
    write_json(args.record or args.out.with_suffix(".json"), record)
    return 0


if __name__ == "__main__":
    run(main)

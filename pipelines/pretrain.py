"""Pretrain a dataset's encoder by SimCLR, without labels, for the runs that start from one."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emlc.artefacts import file_digest, write_json
from emlc.data import open_dataset
from emlc.data.store import load_arrays
from emlc.errors import SuiteError
from pipelines.cli import Parser, run
from pipelines.devices import device_name, open_device, use_reproducible_kernels, versions
from pipelines.profiles import load_settings
from pipelines.settings import DEFAULT_PROFILE, Settings, dataset_options, pretraining_spec

SCHEMA = "emlc.pretraining/1"


def pretrain_dataset(settings: Settings, name: str, data: Path, out: Path) -> dict[str, Any]:
    """Pretrain on all training images, write the checkpoint to `out` and return what there is to tell about it.

    Returns
    -------
    dict
        JSON values; all but ``timing`` are the same on every call on the CPU, and so are the checkpoint's bytes.

    Raises
    ------
    SuiteError
        If the profile or the data cannot be trusted, the loss diverges or the device's memory is too small; nothing is
        written then.
    """
    import torch

    from emlc.models.checkpoint import save_encoder
    from emlc.simclr import Recipe, pretrain

    spec = pretraining_spec(settings, name)
    dataset = open_dataset(name, dataset_options(settings, name))
    recipe = Recipe(model=spec["model"], flips=dataset.flips, mean=dataset.mean, std=dataset.std, **spec["pretraining"])
    arrays, checksum = load_arrays(data)
    device = open_device(spec["device"], spec["threads"])
    images = torch.from_numpy(arrays.train_images).permute(0, 3, 1, 2).contiguous()
    started = time.perf_counter()
    try:
        pretrained = pretrain(images, recipe, device)
    except torch.OutOfMemoryError as error:
        raise SuiteError(f"the device's memory is too small for batches of {recipe.batch_size}; lower it") from error
    facts = {"dataset": name, "title": dataset.title, "config": spec, "seed": recipe.seed, "data": {"sha256": checksum}}
    save_encoder(out, pretrained.encoder, pretrained.head, recipe.epochs, facts)
    return {
        "schema": SCHEMA,
        **facts,
        "losses": pretrained.losses,
        "checkpoint": {"sha256": file_digest(out, "sha256")},
        "device": device_name(device),
        "versions": versions(),
        "timing": {
            "seconds_per_epoch": [round(seconds, 6) for seconds in pretrained.seconds],
            "total_seconds": round(time.perf_counter() - started, 6),
        },
    }


def main(argv: Sequence[str]) -> int:
    """Run the step."""
    parser = Parser("pipelines.pretrain", description=__doc__)
    parser.add_argument("--config", type=Path, nargs="+", default=[DEFAULT_PROFILE], help="profile files")
    parser.add_argument("--dataset", required=True, help="a key of the profile's datasets, with a pretraining block")
    parser.add_argument("--data", type=Path, required=True, help="prepared arrays (pipelines.prepare)")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint to write, in SupContrast's layout")
    parser.add_argument("--record", type=Path, help="JSON to write beside it (default: same name, .json)")
    args = parser.parse_args(argv)
    settings = load_settings(args.config)
    use_reproducible_kernels()
    record = pretrain_dataset(settings, args.dataset, args.data, args.out)
    write_json(args.record or args.out.with_suffix(".json"), record)
    return 0


if __name__ == "__main__":
    run(main)

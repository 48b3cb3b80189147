"""Pretrain a dataset's encoder by SimCLR, without labels, for the runs that start from one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emlc.data.listing import Listing
from emlc.data.prepared import load_prepared
from emlc.records.artefacts import file_digest, write_json
from emlc.records.errors import SuiteError
from emlc.records.store import Order
from pipelines.machine.cli import run
from pipelines.machine.devices import device_name, open_device, use_reproducible_kernels, versions
from pipelines.machine.interrupts import Keep, StopRequest, stoppable
from pipelines.machine.work import fulfil, order_of

if TYPE_CHECKING:
    import torch

    from emlc.data.streaming.images import StreamedImages
    from emlc.engine.simclr import Recipe

SCHEMA = "emlc.engine.pretraining/1"
ENCODER = "encoder.pt"
MINUTES = 10
"""From one checkpoint to the next within an epoch."""


def pretrain_dataset(order: Order, out: Path, keep: Keep) -> dict[str, Any]:
    """Pretrain on all training images, write the encoder to `out` and return what there is to tell about it.

    It goes on from the pretraining's checkpoint if there is one.

    Returns
    -------
    dict
        JSON values; all but ``timing`` are the same on every call on the CPU, and so are the encoder's bytes.

    Raises
    ------
    Interrupted
        If the process was asked to stop.
    SuiteError
        If the data cannot be trusted, the loss diverges or the device's memory is too small; nothing is written then.
    """
    import torch

    from emlc.engine.checkpoints import CheckpointFile
    from emlc.engine.pretraining import pretrain
    from emlc.models.checkpoint import save_encoder

    spec = order.identity
    recipe = _recipe(spec)
    device = open_device(spec["device"], spec["threads"])
    images, checksum = _images(order, device)
    facts = {"id": order.id, "config": spec, "seed": recipe.seed, "data": {"sha256": checksum}}
    made_by = {"device": device_name(device), "versions": versions()}
    kept = CheckpointFile(keep.path, {"id": order.id, **made_by}, MINUTES, keep.stopped)
    started = time.perf_counter()
    try:
        pretrained = pretrain(images, recipe, device, kept)
    except torch.OutOfMemoryError as error:
        raise SuiteError(f"the device's memory is too small for batches of {recipe.batch_size}; lower it") from error
    history = pretrained.history
    save_encoder(out, pretrained.encoder, pretrained.head, recipe.epochs, facts)
    return {
        "schema": SCHEMA,
        **{name: order.about[name] for name in ("dataset", "title")},
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


def _recipe(spec: Mapping[str, Any]) -> Recipe:
    from emlc.engine.simclr import Recipe

    return Recipe(
        model=spec["model"],
        flips=spec["flips"],
        mean=tuple(spec["mean"]),
        std=tuple(spec["std"]),
        size=(spec["preprocessing"] or {}).get("size"),
        **spec["pretraining"],
    )


def _images(order: Order, device: torch.device) -> tuple[torch.Tensor | StreamedImages, str]:
    """Return all training images, in memory or on disk, and the checksum of the prepared data."""
    import torch

    from pipelines.training.pictures import on_disk

    folder = order.beside("data", order.identity["data"])
    data, checksum = load_prepared(folder)
    if isinstance(data, Listing):
        return on_disk(order, data, folder).train_images.on(device), checksum
    return torch.from_numpy(data.train_images).permute(0, 3, 1, 2).contiguous(), checksum


def main(argv: Sequence[str]) -> int:
    """Run the step. SIGTERM and SIGINT end it after the training step at hand, with status 128 + signal."""
    order = order_of("pipelines.pretrain", __doc__, "encoders", argv)
    use_reproducible_kernels()
    return stoppable(partial(_pretrain, order))


def _pretrain(order: Order, stopped: StopRequest) -> int:
    keep = Keep(order.results / "checkpoints" / f"{order.id}.pt", stopped)

    def make(order: Order, folder: Path) -> None:
        write_json(folder / "record.json", pretrain_dataset(order, folder / ENCODER, keep))

    fulfil(order, make)
    return 0


if __name__ == "__main__":
    run(main)

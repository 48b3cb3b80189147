"""Time whole methods through the engine (section 4.3): seconds per iteration and per epoch, ratios, peak memory."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from emlc.data.base import Arrays
from emlc.records.artefacts import write_text
from emlc.records.errors import SuiteError
from emlc.records.store import Order
from pipelines.machine.devices import device_name, open_device, use_reproducible_kernels
from pipelines.machine.work import work
from pipelines.page.timing import as_markdown
from pipelines.profile.places import ROOT

if TYPE_CHECKING:
    import torch

    from emlc.engine.contract import StudentMethod
    from emlc.engine.run import Recipe

CLASSES = 10
AGAINST = ("mlc", "mlc-double-backward")
"""Methods that the others' speed is compared with, by their keys."""


@dataclass(frozen=True)
class Net:
    """What is timed: a student, its images, and how many of them make an epoch (a profile's ``timing.nets``)."""

    title: str
    model: dict[str, Any]
    channels: int
    side: int
    batch: int
    epoch_images: int
    repeats: int


def synthetic(net: Net) -> Arrays:
    """Return random images in the net's shape: what a step costs does not depend on what they show."""
    rng = np.random.default_rng(0)
    per_class = math.ceil(12 * net.batch / CLASSES)
    labels = np.repeat(np.arange(CLASSES), per_class)
    images = rng.integers(0, 256, (len(labels), net.side, net.side, net.channels), dtype=np.uint8)
    return Arrays(images, labels, images[:CLASSES], labels[:CLASSES], tuple(f"class {i}" for i in range(CLASSES)))


def prepare(method: Mapping[str, Any], net: Net, device: "torch.device") -> "StudentMethod":
    """Return a method of an order's identity in its initial state, for a net and its images.

    Raises
    ------
    SuiteError
        If it does not train one student batch by batch.
    """
    from emlc.engine.contract import StudentMethod
    from emlc.engine.run import build_method
    from emlc.tasks.draw import TaskSpec, make_task

    recipe, arrays = recipe_of(method["recipe"], net), synthetic(net)
    spec = TaskSpec(
        dataset="synthetic",
        data_sha256="0" * 64,
        kind="sym",
        rate=0.5,
        sampling="per-label",
        split=method["split"],
        clean_per_class=math.ceil(net.batch / CLASSES),
    )
    task = make_task(arrays, spec, None, seed=0)
    built = build_method(recipe, task, arrays, device)
    if not isinstance(built, StudentMethod):
        raise SuiteError(f"{method['label']} does not train one student batch by batch; leave it out of the timing")
    built.begin_epoch(0)
    return built


def recipe_of(recipe: Mapping[str, Any], net: Net) -> "Recipe":
    """Return how the profile trains a method, with a net, its batch and images instead of a data set's."""
    from pipelines.training.runs import build_recipe

    images = {"mean": [0.5] * net.channels, "std": [0.25] * net.channels, "flips": net.channels == 3}
    augmented = {"crop_padding": max(1, net.side // 8), "padding": "zero", "auto_augment": "cifar10"}
    augmented |= {"preprocessing": None, "passes": {"name": "all", "images": None}}
    training = {**recipe["training"], "epochs": 1, "batch_size": net.batch}
    return build_recipe({**recipe, **images, **augmented, "model": net.model, "training": training, "seed": 0})


def measure(methods: Sequence[Mapping[str, Any]], net: Net, rounds: int, device: "torch.device") -> pd.DataFrame:
    """Return one row per method and round: milliseconds of one iteration (one student update), and peak memory."""
    from emlc.models.precision import matrix_products
    from pipelines.machine.stopwatch import interleaved, peak_bytes

    prepared = {method["key"]: prepare(method, net, device) for method in methods}
    per_step = {key: method.noisy.size // net.batch for key, method in prepared.items()}
    updates = net.repeats * math.lcm(*per_step.values())

    def work(key: str) -> None:
        method = prepared[key]
        with matrix_products(method.setting.training.precision):
            for _ in range(updates // per_step[key]):
                method.step()

    works = {key: partial(work, key) for key in prepared}
    seconds = interleaved(works, rounds, warm_up=2, device=device)
    rows = [
        {"net": net.title, "method": method["label"], "round": number}
        | {"iteration_ms": 1000 * taken / updates, "peak_mib": peak / 2**20}
        for method in methods
        for peak in [peak_bytes(works[method["key"]], device)]
        for number, taken in enumerate(seconds[method["key"]])
    ]
    return pd.DataFrame(rows)


def summarise(measured: pd.DataFrame, net: Net, against: Sequence[str]) -> pd.DataFrame:
    """Return one row per method: medians and quartiles, and how many times faster than others, paired by round."""
    from pipelines.machine.stopwatch import spread

    by_round = measured.pivot_table(index="round", columns="method", values="iteration_ms", sort=False)
    rows = []
    for label in by_round.columns:
        time = spread(by_round[label].to_numpy())
        row = {"net": net.title, "batch": net.batch, "method": label, "n": time.n}
        row |= _columns("iteration_ms", time) | {"epoch_s": time.median / 1000 * (net.epoch_images // net.batch)}
        for other in against:
            row |= _columns(f"times faster than {other}", spread((by_round[other] / by_round[label]).to_numpy()))
        rows.append(row | {"peak_mib": measured.loc[measured["method"] == label, "peak_mib"].iloc[0]})
    return pd.DataFrame(rows)


def _columns(name: str, values: Any) -> dict[str, float]:
    return {name: values.median, f"{name} (q1)": values.lower, f"{name} (q3)": values.upper}


def make(order: Order, folder: Path) -> None:
    """Make the table of times and its page."""
    use_reproducible_kernels()
    identity = order.identity
    methods, nets = identity["methods"], [Net(**net) for net in identity["nets"]]
    device = open_device(identity["device"], identity["threads"])
    against = [method["label"] for method in methods if method["key"] in AGAINST]
    tables = [summarise(measure(methods, net, identity["rounds"], device), net, against) for net in nets]
    table = pd.concat(tables, ignore_index=True).assign(device=device_name(device))
    table.round(6).to_csv(folder / "timing.csv", index=False, lineterminator="\n")
    published = pd.read_csv(ROOT / identity["published"]["file"])
    write_text(folder / "timing.md", as_markdown(table, _facts(identity, nets, device), against, published))


def _facts(identity: Mapping[str, Any], nets: Sequence[Net], device: "torch.device") -> dict[str, Any]:
    """Return what the page says of how it was measured."""
    updates = math.lcm(*(method["recipe"]["options"].get("look_ahead", 1) for method in identity["methods"]))
    source = "CUDA allocator's peak" if device.type == "cuda" else "allocations that PyTorch's profiler sees"
    return {
        "threads": identity["threads"],
        "device": device_name(device),
        "updates": "; ".join(f"{net.title} {net.repeats * updates}" for net in nets),
        "epochs": "; ".join(f"{net.title} {net.epoch_images:,}" for net in nets),
        "source": source,
    }


if __name__ == "__main__":
    work("pipelines.timing", __doc__, "timing", make)

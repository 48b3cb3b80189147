"""Time whole methods through the engine (section 4.3): seconds per iteration and per epoch, ratios, peak memory."""

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from emlc.data.base import Arrays
from emlc.records.artefacts import atomic_path, write_text
from emlc.records.errors import SuiteError
from pipelines.machine.cli import Parser, run
from pipelines.machine.devices import device_name, open_device, use_reproducible_kernels
from pipelines.profile.load import load_settings
from pipelines.profile.settings import DEFAULT_PROFILE, ROOT, Settings, method_settings, method_spec, split_of

if TYPE_CHECKING:
    import torch

    from emlc.engine.contract import StudentMethod
    from emlc.engine.run import Recipe

CLASSES = 10
METHODS = ("cross-entropy", "mlc", "mlc-double-backward", "emlc-k1", "emlc-k5")
AGAINST = ("mlc", "mlc-double-backward")
"""Methods that the others' speed is compared with."""

PUBLISHED = ROOT / "published" / "timing.csv"
"""Hours per epoch of Clothing1M on an A6000 (section 4.3)."""
PUBLISHED_BASE = "MLC (double backward)"


@dataclass(frozen=True)
class Case:
    """What is timed: a student, its images, and how many of them make an epoch."""

    title: str
    model: dict[str, Any]
    channels: int
    side: int
    batch: int
    epoch_images: int
    repeats: int = 1
    """How often a round repeats its iterations: small ones are over before a clock tells them apart."""


CASES = (
    Case("embedded net (cnn-small, 8x8x1)", {"name": "cnn-small"}, 1, 8, 28, 1407, repeats=8),
    Case("ResNet-18, width 16 (32x32x3)", {"name": "resnet18", "width": 16}, 3, 32, 16, 49_000),
)
"""The embedded profile's student and batch, and a ResNet that one core can time."""


def synthetic(case: Case) -> Arrays:
    """Return random images in the case's shape: what a step costs does not depend on what they show."""
    rng = np.random.default_rng(0)
    per_class = math.ceil(12 * case.batch / CLASSES)
    labels = np.repeat(np.arange(CLASSES), per_class)
    images = rng.integers(0, 256, (len(labels), case.side, case.side, case.channels), dtype=np.uint8)
    return Arrays(images, labels, images[:CLASSES], labels[:CLASSES], tuple(f"class {i}" for i in range(CLASSES)))


def prepare(settings: Settings, name: str, case: Case, device: "torch.device") -> "StudentMethod":
    """Return a method of the profile in its initial state, for the case's student and images."""
    from emlc.engine.run import build_method
    from emlc.tasks.draw import TaskSpec, make_task

    recipe, arrays = recipe_of(settings, name, case), synthetic(case)
    spec = TaskSpec(
        dataset="synthetic",
        data_sha256="0" * 64,
        kind="sym",
        rate=0.5,
        sampling="per-label",
        split=split_of(settings, name),
        clean_per_class=math.ceil(case.batch / CLASSES),
    )
    task = make_task(arrays, spec, None, seed=0)
    method = build_method(recipe, task, arrays, device)
    method.begin_epoch(0)
    return method


def recipe_of(settings: Settings, name: str, case: Case) -> "Recipe":
    """Return how the profile trains a method, with the case's student and batch."""
    from emlc.data.image_folder import ImageFolder
    from pipelines.experiment import build_recipe

    spec = method_spec(settings, name) | {"model": case.model, "crop_padding": max(1, case.side // 8)}
    spec |= {"padding": "zero", "auto_augment": "cifar10"}
    spec["training"] |= {"epochs": 1, "batch_size": case.batch}
    mean, std = (0.5,) * case.channels, (0.25,) * case.channels
    images = ImageFolder("synthetic", (), mean=mean, std=std, flips=case.channels == 3)
    return build_recipe(spec, images, seed=0)


def measure(settings: Settings, case: Case, names: Sequence[str], rounds: int, device: "torch.device") -> pd.DataFrame:
    """Return one row per method and round: milliseconds of one iteration (one student update), and peak memory."""
    from emlc.models.precision import matrix_products
    from pipelines.machine.stopwatch import interleaved, peak_bytes

    prepared = {name: prepare(settings, name, case, device) for name in names}
    updates = case.repeats * math.lcm(*(method.noisy.size // case.batch for method in prepared.values()))

    def work(name: str) -> None:
        method = prepared[name]
        with matrix_products(method.setting.training.precision):
            for _ in range(updates // (method.noisy.size // case.batch)):
                method.step()

    works = {name: (lambda name=name: work(name)) for name in names}
    seconds = interleaved(works, rounds, warm_up=2, device=device)
    rows = [
        {"net": case.title, "method": method_settings(settings, name)["label"], "round": number}
        | {"iteration_ms": 1000 * taken / updates, "peak_mib": peak / 2**20}
        for name in names
        for peak in [peak_bytes(works[name], device)]
        for number, taken in enumerate(seconds[name])
    ]
    return pd.DataFrame(rows)


def summarise(measured: pd.DataFrame, case: Case, against: Sequence[str]) -> pd.DataFrame:
    """Return one row per method: medians and quartiles, and how many times faster than others, paired by round."""
    from pipelines.machine.stopwatch import spread

    by_round = measured.pivot_table(index="round", columns="method", values="iteration_ms", sort=False)
    rows = []
    for label in by_round.columns:
        time = spread(by_round[label].to_numpy())
        row = {"net": case.title, "batch": case.batch, "method": label, "n": time.n}
        row |= _columns("iteration_ms", time) | {"epoch_s": time.median / 1000 * (case.epoch_images // case.batch)}
        for other in against:
            row |= _columns(f"times faster than {other}", spread((by_round[other] / by_round[label]).to_numpy()))
        rows.append(row | {"peak_mib": measured.loc[measured["method"] == label, "peak_mib"].iloc[0]})
    return pd.DataFrame(rows)


def _columns(name: str, values: Any) -> dict[str, float]:
    return {name: values.median, f"{name} (q1)": values.lower, f"{name} (q3)": values.upper}


PROTOCOL = """\
## Protocol

- An iteration is one update of the student on one noisy batch, through the engine: the batch is drawn and augmented,
  the method's `step` does all the rest. A step of EMLC with k = 5 is five iterations. Evaluation is not in it.
- Same student, same batch (noisy and clean alike), same random images, {threads} CPU thread(s), device {device}.
- All methods take turns: one round times {updates} iterations of each ({repeats} times as many of the small net), in
  rotating order, after two rounds of warm-up that do not count; the device is waited for before every reading of the
  clock. n is the number of rounds.
- Shown are the median and, in brackets, the quartiles. Ratios are taken within a round and then summarised. An epoch is
  the median iteration times the full batches of an epoch, which was not run: {epochs}.
- Peak memory is that of tensors during such a round above what is alive before them (weights, optimiser
  states), from the {source}; what libraries allocate past PyTorch is unmeasured.
- `MLC` gets its meta-gradient from forward products, as EMLC does here. `MLC (double backward)` takes the very same
  steps but computes them as the public code (microsoft/MLC) does, clean gradient before each step included.
"""


def page(table: pd.DataFrame, facts: Mapping[str, Any], against: Sequence[str]) -> str:
    """Return the table as Markdown with its protocol and the paper's ratios."""
    parts = ["# Computation time (section 4.3)\n"]
    for net, rows in table.groupby("net", sort=False):
        shown = pd.DataFrame({"Method": rows["method"], "ms per iteration": _bracketed(rows, "iteration_ms", 2)})
        shown["s per epoch"] = rows["epoch_s"].map("{:.3g}".format)
        for other in against:
            shown[f"times faster than {other}"] = _bracketed(rows, f"times faster than {other}", 2)
        shown["peak memory (MiB)"] = rows["peak_mib"].map("{:.1f}".format)
        shown["n"] = rows["n"]
        parts.append(f"## {net}, batch {rows['batch'].iloc[0]}\n\n{shown.to_markdown(index=False)}\n")
    published = pd.read_csv(PUBLISHED).set_index("method")["hours_per_epoch"]
    hours = "; ".join(f"{name} {value} h" for name, value in published.items())
    ratios = published[PUBLISHED_BASE] / published.drop(PUBLISHED_BASE)
    told = " and ".join(f"{value:.2f} times for {name}" for name, value in ratios.items())
    parts.append(
        f"The paper reports, for one epoch of Clothing1M on an A6000: {hours}. As a ratio, MLC takes {told}. Its hours "
        "depend on its machine, data and batches and are compared with nothing here.\n"
    )
    return "\n".join([*parts, PROTOCOL.format(**facts)])


def _bracketed(rows: pd.DataFrame, name: str, digits: int) -> list[str]:
    values = zip(rows[name], rows[f"{name} (q1)"], rows[f"{name} (q3)"], strict=True)
    return [f"{middle:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]" for middle, low, high in values]


def main(argv: Sequence[str]) -> int:
    """Run the step."""
    args = _parser().parse_args(argv)
    use_reproducible_kernels()
    cases = _cases(args)
    settings = load_settings(args.config)
    device = open_device(args.device, args.threads)
    against = [method_settings(settings, name)["label"] for name in AGAINST if name in args.methods]
    tables = [summarise(measure(settings, case, args.methods, args.rounds, device), case, against) for case in cases]
    table = pd.concat(tables, ignore_index=True)
    look_aheads = [method_spec(settings, name)["options"].get("look_ahead", 1) for name in args.methods]
    facts = {"threads": args.threads, "device": device_name(device), "updates": math.lcm(*look_aheads)}
    facts["repeats"] = max(case.repeats for case in cases)
    facts["epochs"] = "; ".join(f"{case.epoch_images:,} noisy images for the {case.title}" for case in cases)
    facts["source"] = "CUDA allocator's peak" if device.type == "cuda" else "allocations that PyTorch's profiler sees"
    with atomic_path(args.out / "timing.csv") as path:
        table.assign(device=facts["device"]).round(6).to_csv(path, index=False, lineterminator="\n")
    write_text(args.out / "timing.md", page(table, facts, against))
    return 0


def _cases(args: argparse.Namespace) -> list[Case]:
    """The built-in cases, or the one that the command line describes.

    Raises
    ------
    SuiteError
        If a number is too small to time anything.
    """
    for name, least in (("rounds", 1), ("batch", 2), ("side", 1), ("channels", 1), ("epoch_images", 1), ("threads", 1)):
        if getattr(args, name) < least:
            raise SuiteError(f"--{name.replace('_', '-')} is {getattr(args, name)}; it must be at least {least}")
    if args.model is None:
        return list(CASES)
    model = {"name": args.model} | ({} if args.width is None else {"width": args.width})
    shape = f"{args.side}x{args.side}x{args.channels}"
    width = "" if args.width is None else f", width {args.width}"
    return [Case(f"{args.model}{width} ({shape})", model, args.channels, args.side, args.batch, args.epoch_images)]


def _parser() -> argparse.ArgumentParser:
    parser = Parser("pipelines.timing", description=__doc__)
    parser.add_argument("--config", type=Path, nargs="+", default=[DEFAULT_PROFILE], help="profile with the methods")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), help="keys of its methods or variants")
    parser.add_argument("--model", help="time this backbone instead of the built-in cases, e.g. resnet34")
    parser.add_argument("--width", type=int, help="the backbone's width, where it has one")
    parser.add_argument("--batch", type=int, default=128, help="noisy and clean batch, with --model")
    parser.add_argument("--side", type=int, default=32, help="pixels, with --model")
    parser.add_argument("--channels", type=int, default=3, help="with --model")
    parser.add_argument("--epoch-images", type=int, default=49_000, help="noisy images per epoch, with --model")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=12, help="that count; two more warm up")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder for timing.csv and timing.md")
    return parser


if __name__ == "__main__":
    run(main)

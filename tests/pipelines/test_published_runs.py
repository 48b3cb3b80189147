"""Every method of `config/published.yaml` trains on the CPU: its own network at full width, one epoch, few images.

`make test` trains on 50 images of 8x8 pixels; ``python -m pytest -m full tests/pipelines/test_published_runs.py`` on
300 of 32x32, an hour on a slow core.
"""

from typing import Any

import numpy as np
import pytest

from emlc.data.base import Arrays
from emlc.data.store import save_arrays
from emlc.records.record import COMPLETED, read_record
from emlc.records.store import filling
from pipelines.evidence.cells import recipe_of
from pipelines.inject import make as make_task
from pipelines.pretrain import main as pretrain
from pipelines.profile.load import checked, load_profile
from pipelines.profile.places import ROOT
from pipelines.train import train_run
from pipelines.workflow.jobs import Jobs
from pipelines.workflow.runs import Run
from tests.stores import write_order

PUBLISHED = load_profile([ROOT / "config" / "published.yaml"])
PER_CLASS = {"clean_per_class": 1, "validation_per_class": 2}
EARLY = {"mslc": {"warm_up": 0.0}, "mlnt": {"pretrain_epochs": 0, "num_fast": 2}}
"""What lets a method do all that it does in one epoch."""


def shortened(method: str, batch: int) -> dict[str, Any]:
    """The profile with one epoch, smaller batches and smaller clean sets; all else stands."""
    profile = PUBLISHED.model_dump(mode="json", exclude_unset=True)
    short = {"epochs": 1, "batch_size": batch}
    profile["training"] |= short
    entry = profile["methods"][method]
    entry["training"] = {**entry.get("training", {}), **short, "milestones": []}
    entry["options"] = {**entry.get("options", {}), **EARLY.get(method, {})}
    for block in (entry, *profile["datasets"].values(), *entry.get("datasets", {}).values()):
        block |= {key: value for key, value in PER_CLASS.items() if key in block}
    profile["datasets"]["cifar10"]["pretraining"] |= {"epochs": 1, "warm_up_epochs": 0, "batch_size": 50}
    profile |= {"device": "cpu", "threads": 1, "seeds": [0], "profile": "short"}
    return profile


def images(count: int, side: int) -> Arrays:
    """Random images in colour of ten classes, `count` to train on, 10 to test on."""
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (number, side, side, 3), dtype=np.uint8) for number in (count, 10)]
    labels = [np.arange(number) % 10 for number in (count, 10)]
    names = tuple(f"class {number}" for number in range(10))
    return Arrays(pixels[0], labels[0], pixels[1], labels[1], names)


def trained(folder, method, arrays, batch):
    """The record of a method's run."""
    jobs = Jobs(checked(shortened(method, batch)), folder / "results")
    run = Run(method, "cifar10", "sym", 0.5, 0)
    with filling(jobs.steps.data("cifar10")) as part:
        save_arrays(part / "arrays.npz", arrays, "cifar10")
    with filling(jobs.steps.task_of(run)) as part:
        make_task(jobs.steps.task_of(run), part)
    encoder = jobs.steps.encoder_of(run)
    if encoder is not None:
        pretrain([str(write_order(encoder))])
    order = jobs.steps.run(run)
    train_run(order, 10, lambda: False)
    return read_record(order.folder / "record.json")


def check(record, method):
    assert record["status"] == COMPLETED, record.get("error")
    entry, data = PUBLISHED.methods[method], PUBLISHED.data(method, "cifar10")
    told = recipe_of(record)
    assert told["network"] == data.model.name
    assert "width" not in record["config"]["model"]
    assert told["initialisation"] == (entry.initialisation or PUBLISHED.initialisation)
    assert (told["padding"], told["padding_content"]) == (data.crop_padding, data.padding)
    assert (told["clean_images"], told["validation_images"]) == (10, 20 if data.validation_per_class else 0)
    training = PUBLISHED.training_of(method, "cifar10")
    assert record["config"]["training"]["lr"] == training.lr
    assert len(record["epochs"]) == 1


@pytest.mark.parametrize("method", PUBLISHED.tables["table1"].methods)
def test_every_method_trains_at_full_width(method, tmp_path):
    """In two steps; a step of five batches in one."""
    batch = 4 if PUBLISHED.methods[method].options.get("look_ahead") == 5 else 10
    check(trained(tmp_path, method, images(50, 8), batch), method)


@pytest.mark.full
@pytest.mark.parametrize("method", [*PUBLISHED.tables["table1"].methods, *PUBLISHED.tables["table_mw_net"].methods])
def test_every_method_trains_on_images_of_cifar_s_size(method, tmp_path):
    check(trained(tmp_path, method, images(300, 32), batch=25), method)

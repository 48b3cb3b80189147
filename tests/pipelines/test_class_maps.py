"""A class map from a profile, through the order of a task, to the labels that turn into others."""

import json

import numpy as np
import pytest

from emlc.data.store import load_arrays
from emlc.records.errors import SuiteError
from emlc.tasks.draw import load_task
from pipelines import inject, prepare
from pipelines.machine.work import fulfil
from pipelines.profile.load import load_profile
from pipelines.workflow.jobs import Jobs
from tests.fixtures import encode
from tests.stores import write_order
from tests.tiny import tiny_profile

PER_CLASS = 6


def task_of(folder, names, class_map, **options):
    """The task of asymmetric noise at rate 1 on a folder of images; the profile is a file, as a user's is."""
    for split in ("train", "test"):
        for position, name in enumerate(names * PER_CLASS):
            path = folder / "images" / split / name / f"x{position}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(np.full((4, 4, 3), position, np.uint8)))
    facts = {"source": str(folder / "images"), "class_map": class_map, **options}
    digits = tiny_profile()["datasets"]["digits"] | {"kind": "image-folder", "options": facts, "clean_per_class": 1}
    columns = [{"dataset": "digits", "noise": "asym", "rate": 1.0}]
    profile = tiny_profile(tables={"table1": {"title": "Asym", "columns": columns}}, datasets={"digits": digits})
    file = folder / "profile.json"
    file.write_text(json.dumps(profile))
    steps = Jobs(load_profile([file]), folder / "results").steps
    where = next(iter(steps.profile.columns()))
    data, task = steps.data("digits"), steps.task(where, 0)
    fulfil(data, prepare.make)
    write_order(task)
    fulfil(task, inject.make)
    return load_arrays(data.folder / prepare.ARRAYS)[0], load_task(task.folder / inject.TASK)


def turned(arrays, task):
    """Which class turned into which, by name."""
    pairs = np.unique(np.stack([task.true_labels, task.noisy_labels]), axis=1).T
    return {arrays.class_names[true]: arrays.class_names[noisy] for true, noisy in pairs if true != noisy}


@pytest.mark.parametrize(
    ("names", "class_map", "expected"),
    [
        (["crow", "owl", "raven"], {"crow": "raven"}, {"crow": "raven"}),
        (["crow", "owl", "raven"], {"2": 0}, {"raven": "crow"}),
        ([str(i) for i in range(12)], {"2": 10, "10": [1]}, {"2": "10", "10": "1"}),
        (["1", "2", "3"], {"1": "3"}, {"1": "3"}),
    ],
)
def test_classes_turn_into_what_the_profile_names(tmp_path, names, class_map, expected):
    assert turned(*task_of(tmp_path, names, class_map)) == expected


def test_a_given_label_order_decides_what_numbers_mean(tmp_path):
    names = ["crow", "owl", "raven"]
    arrays, task = task_of(tmp_path, names, {"0": 2}, classes=["raven", "owl", "crow"])
    assert turned(arrays, task) == {"raven": "crow"}


@pytest.mark.parametrize(
    ("names", "class_map", "message"),
    [
        (["crow", "owl"], {"crow": "rook"}, r"there is no class 'rook'; classes are 0 'crow', 1 'owl'$"),
        (["crow", "owl"], {"crow": 2}, r"2 is not a class, classes are 0 to 1"),
        (["1", "2", "3"], {"1": 2}, r"class 2 may be a number or a name; write names, in quotes"),
    ],
)
def test_what_is_no_class_is_refused_and_no_task_is_left(tmp_path, names, class_map, message):
    with pytest.raises(SuiteError, match=message):
        task_of(tmp_path, names, class_map)
    assert not list((tmp_path / "results").glob("store/tasks/*"))

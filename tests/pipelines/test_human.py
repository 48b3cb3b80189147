"""Human labels as noise, step by step: prepared once, injected for every seed, planned, and refused where they miss."""

import numpy as np
import pytest

from emlc.data.human import load_human_labels
from emlc.data.store import load_arrays
from emlc.records.errors import SuiteError
from emlc.tasks.draw import load_task
from pipelines import human, inject, prepare
from pipelines.plan import plan
from pipelines.profile.load import load_settings
from pipelines.profile.settings import ROOT, human_labels
from tests.fixtures import write_cifar_archive, write_human_labels, write_pointer
from tests.tiny import tiny_profile, write_yaml


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A profile on a small archive with human labels, 40 % of them wrong; returns what the steps are called with."""
    archive, labels = tmp_path / "cifar.tar.gz", tmp_path / "human.pt"
    write_cifar_archive(archive, images_per_class=5)
    settings = {"kind": "cifar10", "options": {"source": str(archive)}, "human_labels": str(tmp_path / "human.dvc")}
    profile = tiny_profile(columns=[{"dataset": "digits", "noise": "human-worst", "rate": 0.4}], seeds=[0, 1])
    profile["datasets"]["digits"] |= settings
    config = ["--config", str(write_yaml(tmp_path / "p.yaml", profile)), "--dataset", "digits"]
    prepare.main([*config, "--out", str(tmp_path / "data.npz")])
    write_human_labels(labels, load_arrays(tmp_path / "data.npz")[0].train_labels, {"worse_label": 0.4})
    write_pointer(tmp_path / "human.dvc", labels)
    return tmp_path, config


def noise(folder, seed, *more):
    data, out = folder / "data.npz", folder / f"task{seed}.npz"
    axes = ["--noise", "human-worst", "--rate", "0.4", "--seed", str(seed)]
    return [*axes, "--data", str(data), "--out", str(out), *more]


def test_every_seed_has_the_same_labels_and_another_clean_set(place):
    folder, config = place
    human.main([*config, "--out", str(folder / "human.npz")])
    labels = load_human_labels(folder / "human.npz")
    for seed in (0, 1):
        inject.main([*config, *noise(folder, seed, "--human", str(folder / "human.npz"))])
    tasks = [load_task(folder / f"task{seed}.npz") for seed in (0, 1)]
    for task in tasks:
        assert (task.kind, task.rate, task.sampling) == ("human-worst", 0.4, "given")
        np.testing.assert_array_equal(task.noisy_labels, labels.labels[0][task.noisy_indices])
    assert tasks[0].clean_indices.tolist() != tasks[1].clean_indices.tolist()
    np.testing.assert_array_equal(tasks[0].matrix, tasks[1].matrix)


def test_a_task_without_the_labels_is_refused(place):
    folder, config = place
    with pytest.raises(SuiteError, match=r"noise human-worst needs the data set's human labels: give --human"):
        inject.main([*config, *noise(folder, 0)])
    assert not (folder / "task0.npz").exists()


def test_other_bytes_than_the_pinned_ones_are_refused(place):
    folder, config = place
    (folder / "human.pt").write_bytes((folder / "human.pt").read_bytes()[:-1])
    with pytest.raises(SuiteError, match=r"human\.pt is damaged: it has .* bytes instead of"):
        human.main([*config, "--out", str(folder / "human.npz")])
    assert not (folder / "human.npz").exists()


def test_a_profile_without_human_labels_has_none_to_prepare(tmp_path):
    settings = load_settings([write_yaml(tmp_path / "p.yaml", tiny_profile())])
    with pytest.raises(SuiteError, match=r"datasets\.digits\.human_labels: missing"):
        human_labels(settings, "digits")


def test_the_plan_knows_the_label_files():
    settings = load_settings([ROOT / "config" / "cifarn.yaml"])
    items = {(item.step, item.about): item for item in plan(settings, ROOT, "none", {})}
    assert items["fetch", "CIFAR-10, human labels"].files == ("data/CIFAR-10_human.pt",)
    assert items["fetch", "CIFAR-10, human labels"].size == 2_401_007
    assert items["human", "CIFAR-100"].files == ("results/human/cifar100.npz",)
    assert len(items["inject", "CIFAR-10"].files) == 25

"""Human labels of a dataset: the order checked on all of it, a subset's labels those of its own images."""

import numpy as np
import pytest

from emlc.data import open_dataset
from emlc.data.human import load_human_labels, prepare_human_labels, save_human_labels
from emlc.data.subset import train_positions
from emlc.records.artefacts import file_digest
from emlc.records.bundles import read_bundle, write_bundle
from emlc.records.errors import SuiteError
from tests.fixtures import write_cifar_archive, write_human_labels

PER_CLASS = 6
SUBSET = {"kind": "cifar10", "subset": {"train": 20, "test": 10}}


@pytest.fixture
def official(tmp_path):
    """A small CIFAR-10 archive and a label file in its order; returns both, the labels and the archive's arrays."""
    archive, labels = tmp_path / "cifar.tar.gz", tmp_path / "human.pt"
    write_cifar_archive(archive, PER_CLASS)
    arrays = open_dataset("cifar10", {"kind": "cifar10"}).prepare((archive,))
    human = write_human_labels(labels, arrays.train_labels, {"aggre_label": 0.1, "worse_label": 0.4})
    return archive, labels, human, arrays


def prepared(official, options):
    archive, labels, *_ = official
    dataset = open_dataset("cifar10", options)
    return prepare_human_labels(dataset, (archive,), labels, file_digest(labels, "md5")), dataset.prepare((archive,))


def test_the_whole_dataset(official):
    human, arrays = prepared(official, {"kind": "cifar10"})
    np.testing.assert_array_equal(human.of("human-worst", 0.4, arrays.train_labels), official[2]["worse_label"])
    np.testing.assert_array_equal(human.of("human-aggre", 0.1, arrays.train_labels), official[2]["aggre_label"])


def test_a_subset_has_its_own_images_labels_and_the_whole_s_rates(official):
    human, arrays = prepared(official, SUBSET)
    whole = official[3]
    pixels = {image.tobytes(): position for position, image in enumerate(whole.train_images)}
    positions = [pixels[image.tobytes()] for image in arrays.train_images]
    labels = human.of("human-worst", 0.4, arrays.train_labels)
    np.testing.assert_array_equal(labels, official[2]["worse_label"][positions])
    assert len(labels) == 20
    assert dict(human.rates) == {"aggre": 0.1, "worst": 0.4}


def test_a_subset_does_not_hide_another_order(official):
    _, labels, _, arrays = official
    kept = train_positions(open_dataset("cifar10", SUBSET), arrays.train_labels)
    others = np.setdiff1d(np.arange(len(arrays.train_labels)), kept)
    first, second = others[0], others[arrays.train_labels[others] != arrays.train_labels[others[0]]][0]
    swapped = arrays.train_labels.copy()
    swapped[[first, second]] = swapped[[second, first]]
    write_human_labels(labels, swapped, {"worse_label": 0.4})
    with pytest.raises(SuiteError, match=r"its true labels \(60 images\) are not those of the dataset \(60 images"):
        prepared(official, SUBSET)


def test_other_noise_rates_and_images_are_refused(official):
    human, arrays = prepared(official, {"kind": "cifar10"})
    with pytest.raises(SuiteError, match="no labels human-noisy; the label file has human-aggre, human-worst"):
        human.of("human-noisy", 0.4, arrays.train_labels)
    with pytest.raises(SuiteError, match=r"human-worst has rate 0\.4000, not 0\.4021"):
        human.of("human-worst", 0.4021, arrays.train_labels)
    with pytest.raises(SuiteError, match="other images than the prepared arrays"):
        human.of("human-worst", 0.4, arrays.train_labels[::-1])


def test_a_file_and_back(official, tmp_path):
    human, _ = prepared(official, SUBSET)
    path = tmp_path / "labels.npz"
    save_human_labels(path, human)
    first = path.read_bytes()
    again = load_human_labels(path)
    assert again.rates == human.rates
    np.testing.assert_array_equal(again.labels, human.labels)
    save_human_labels(path, again)
    assert path.read_bytes() == first


def test_edited_and_foreign_files_are_refused(official, tmp_path):
    human, _ = prepared(official, SUBSET)
    path = tmp_path / "labels.npz"
    save_human_labels(path, human)
    meta, arrays = read_bundle(path, {"true_labels": "<i8", "labels": "<i8"})
    for edited, content in [
        (meta, arrays | {"labels": arrays["labels"][::-1]}),
        (meta, arrays | {"true_labels": arrays["true_labels"][::-1]}),
        (meta | {"rates": {"aggre": 0.1, "worst": 0.3}}, arrays),
        (meta, arrays | {"labels": arrays["labels"][:, 1:]}),
    ]:
        write_bundle(path, edited, content)
        with pytest.raises(SuiteError, match=r"labels\.npz: content and sha256 do not agree"):
            load_human_labels(path)
    for foreign in ({}, [], {**meta, "schema": "emlc.data/1"}, {**meta, "rates": [0.1, 0.4]}):
        write_bundle(path, foreign, arrays)
        with pytest.raises(SuiteError, match="not a file of human labels"):
            load_human_labels(path)

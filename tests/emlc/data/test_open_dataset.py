import subprocess
import sys

import pytest

from emlc.data import CLASS_MAPS, open_dataset
from emlc.noise.class_maps import CIFAR10_MSLC, MNIST
from emlc.records.errors import SuiteError


def test_no_torch():
    code = "import sys, emlc.data, emlc.data.store, emlc.data.cifar_n; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("kind", "title", "pointer"),
    [
        ("digits", "UCI digits", "data.dvc"),
        ("cifar10", "CIFAR-10", "data/cifar10.dvc"),
        ("cifar100", "CIFAR-100", "data/cifar100.dvc"),
    ],
)
def test_kinds_need_no_options(kind, title, pointer):
    dataset = open_dataset("mine", {"kind": kind})
    assert (dataset.name, dataset.title, dataset.pointers) == ("mine", title, (pointer,))


def test_facts_can_be_replaced():
    options = {
        "title": "CIFAR-10 (JPEG)",
        "released": "2009-04-08",
        "source": "data/cifar10-jpeg.dvc",
        "class_map": "cifar10-mslc",
        "mean": [0.5, 0.4, 0.3],
        "std": [1, 1, 1],
        "flips": False,
        "classes": ["a", "b"],
    }
    dataset = open_dataset("x", {"kind": "image-folder", **options})
    assert (dataset.title, dataset.released, dataset.pointers) == (options["title"], "2009-04-08", (options["source"],))
    assert dataset.class_map == CIFAR10_MSLC
    assert (dataset.mean, dataset.std, dataset.flips) == ((0.5, 0.4, 0.3), (1.0, 1.0, 1.0), False)
    assert dataset.classes == ("a", "b")


def test_class_maps_by_name_or_by_number():
    assert open_dataset("x", {"kind": "digits"}).class_map == MNIST
    given = open_dataset("x", {"kind": "digits", "class_map": {"1": 7, 3: [5, 8]}})
    assert given.class_map == {1: (7,), 3: (5, 8)}
    assert all(open_dataset("x", {"kind": "digits", "class_map": name}).class_map for name in CLASS_MAPS)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({}, r"datasets\.x\.kind is None; it must be one of digits, cifar10, cifar100, clothes, image-folder"),
        ({"kind": "mnist"}, r"datasets\.x\.kind is 'mnist'"),
        ({"kind": ["digits"]}, r"datasets\.x\.kind is \['digits'\]"),
        ({"kind": "image-folder"}, r"datasets\.x\.options\.source is missing"),
        ({"kind": "digits", "classes": ["a"]}, r"options\.classes is not an option of kind 'digits'"),
        ({"kind": "digits", "meen": [1]}, r"options\.meen is not an option of kind 'digits'"),
        ({"kind": "digits", "mean": 0.5}, r"options\.mean is 0\.5; it must be one number per channel"),
        ({"kind": "digits", "flips": "no"}, r"options\.flips is 'no'; it must be true or false"),
        ({"kind": "digits", "title": 3}, r"options\.title is 3; it must be a text"),
        ({"kind": "digits", "class_map": "letters"}, r"options\.class_map is 'letters'"),
        ({"kind": "digits", "class_map": {"a": 1}}, r"options\.class_map is"),
    ],
)
def test_mistakes_name_the_key(block, message):
    with pytest.raises(SuiteError, match=message):
        open_dataset("x", block)

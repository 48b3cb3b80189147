import subprocess
import sys

import pytest

from emlc.data import CLASS_MAPS, KINDS, open_dataset
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
    given = open_dataset("x", {"kind": "digits", "class_map": {"1": 7, 3: [5, "cat"]}})
    assert given.class_map == {"1": (7,), 3: (5, "cat")}
    assert all(open_dataset("x", {"kind": "digits", "class_map": name}).class_map for name in CLASS_MAPS)


KNOWN = "digits, cifar10, cifar100, clothes, clothing1m, image-folder, photo-folder"


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({}, rf"datasets\.x\.kind is None; it must be one of {KNOWN}"),
        ({"kind": "mnist"}, r"datasets\.x\.kind is 'mnist'"),
        ({"kind": ["digits"]}, r"datasets\.x\.kind is \['digits'\]"),
        ({"kind": "image-folder"}, r"datasets\.x\.options\.source is missing"),
        ({"kind": "digits", "classes": ["a"]}, r"options\.classes is not an option of kind 'digits'"),
        ({"kind": "digits", "meen": [1]}, r"options\.meen is not an option of kind 'digits'"),
        ({"kind": "digits", "mean": 0.5}, r"options\.mean is 0\.5; it must be one number per channel"),
        ({"kind": "digits", "flips": "no"}, r"options\.flips is 'no'; it must be true or false"),
        ({"kind": "digits", "title": 3}, r"options\.title is 3; it must be a text"),
        ({"kind": "digits", "class_map": "letters"}, r"options\.class_map is 'letters'"),
        ({"kind": "digits", "class_map": {1: True}}, r"options\.class_map is \{1: True\}; it must be one of mnist, "),
        ({"kind": "digits", "class_map": {1: 2.0}}, r"or classes by class, e\.g\. \{2: 7\} or \{cat: dog\}"),
        ({"kind": "digits", "class_map": [1, 2]}, r"options\.class_map is \[1, 2\]"),
        ({"kind": "digits", "mean": "0.5"}, r"options\.mean is '0\.5'; it must be one number per channel"),
        ({"kind": "digits", "std": [True]}, r"options\.std is \[True\]; it must be one number per channel"),
    ],
)
def test_mistakes_name_the_key(block, message):
    with pytest.raises(SuiteError, match=message):
        open_dataset("x", block)


@pytest.mark.parametrize(
    ("kind", "facts", "message"),
    [
        ("cifar10", {"mean": [125.3, 123.0, 113.9]}, r"mean is \[125\.3, .*: pixels go from 0 to 1; divide .* by 255"),
        ("cifar10", {"std": [63.0, 62.1, 66.7]}, r"std is \[63\.0, .*: pixels go from 0 to 1; divide .* by 255"),
        ("cifar10", {"mean": [0.5, -0.1, 0.5]}, r"mean is \[0\.5, -0\.1, 0\.5\]: .* none can be negative"),
        ("cifar10", {"std": [0.2, 0.2, -0.2]}, r"std is \[0\.2, 0\.2, -0\.2\]: .* none can be negative"),
        ("cifar10", {"std": [0.2, 0.0, 0.2]}, r"std is \[0\.2, 0\.0, 0\.2\]: 0 divides pixels by nothing; 1 leaves"),
        ("cifar10", {"mean": [0, 0, 0]}, r"mean is \[0\.0, 0\.0, 0\.0\]: no image has a mean of 0; give"),
        ("cifar10", {"mean": [0.5, ".nan", 0.5]}, r"mean is '?\["),
        ("cifar10", {"mean": [0.5, float("nan"), 0.5]}, r"mean is \[0\.5, nan, 0\.5\]: not all are finite"),
        ("cifar10", {"std": [float("inf"), 1, 1]}, r"std is \[inf, 1\.0, 1\.0\]: not all are finite"),
        ("cifar10", {"mean": [0.5]}, r"mean is \[0\.5\]: it must be one number per channel, 3 in all"),
        ("digits", {"std": [0.5, 0.5, 0.5]}, r"std is .*: it must be one number per channel, 1 in all"),
        ("cifar100", {"mean": []}, r"mean is \[\]: it must be one number per channel, 3 in all"),
    ],
)
def test_normalisation_that_cannot_be_of_these_pixels_is_refused(kind, facts, message):
    with pytest.raises(SuiteError, match=rf"^datasets\.x\.options\.{message}") as caught:
        open_dataset("x", {"kind": kind, **facts})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("mean", "std"),
    [([0.5, 0.4, 0.3], [0.2, 0.1, 1.0]), ([0, 0, 0], [1, 1, 1]), ([1.0, 0.001, 0.5], [1e-4, 0.5, 0.9])],
)
def test_normalisation_on_the_right_scale_is_taken(mean, std):
    dataset = open_dataset("x", {"kind": "cifar10", "mean": mean, "std": std})
    assert (dataset.mean, dataset.std) == (tuple(mean), tuple(std))


def test_every_kind_s_own_normalisation_is_on_the_right_scale():
    for kind in KINDS:
        source = {"source": "images"} if kind.endswith("-folder") else {}
        assert len(open_dataset("x", {"kind": kind, **source}).mean) in (1, 3)

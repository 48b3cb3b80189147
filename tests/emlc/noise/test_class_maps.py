"""Class maps by number and by name, and where a number may be taken for a name."""

import json

import pytest

from emlc.noise import class_maps
from emlc.noise.class_maps import as_pairs, numbered, read_class_map
from emlc.records.errors import SuiteError

ANIMALS = ("ant", "cat", "dog")
TWELVE = tuple(str(i) for i in range(12))


@pytest.mark.parametrize(
    ("given", "names", "expected"),
    [
        ({0: 1}, ANIMALS, {0: (1,)}),
        ({"cat": "dog"}, ANIMALS, {1: (2,)}),
        ({"cat": ["dog", 0], 2: "ant"}, ANIMALS, {1: (2, 0), 2: (0,)}),
        ({"1": 2}, ANIMALS, {1: (2,)}),  # as a JSON profile has to say it
        ({2: 10}, TWELVE, {2: (10,)}),
        ({"2": "10"}, TWELVE, {2: (10,)}),
        ({2: 1}, ("00", "01", "02"), {2: (1,)}),
        ({"3": "1"}, ("1", "2", "3"), {2: (0,)}),  # folders, in quotes
        ({}, ANIMALS, {}),
    ],
)
def test_numbers_in_the_place_of_names(given, names, expected):
    assert numbered(read_class_map(given), names) == expected


@pytest.mark.parametrize(
    ("given", "names", "message"),
    [
        ({"cat": "dgo"}, ANIMALS, r"entry 'cat' -> \['dgo'\]: there is no class 'dgo'; classes are 0 'ant', 1 'cat'"),
        ({"Cat": "dog"}, ANIMALS, r"entry 'Cat' -> .*: there is no class 'Cat'"),
        ({"cat": "dog", 1: 0}, ANIMALS, r"entry 1 -> \[0\]: the class is there twice"),
        ({1: 2}, ("1", "2", "3"), r"entry 1 -> \[2\]: class 1 may be a number or a name; write names, in quotes"),
        ({"0": "1"}, ("1", "2", "3"), r"class 0 may be a number or a name"),
        ({2: 1}, ("0", "1", "10", "2"), r"class 2 may be a number or a name"),
        ({"x": 1}, tuple(f"c{i}" for i in range(100)), r"18 'c18', 19 'c19' and 80 more$"),
    ],
)
def test_classes_that_are_not_there_or_not_clear(given, names, message):
    with pytest.raises(SuiteError, match=message) as caught:
        numbered(read_class_map(given), names)
    assert "\n" not in str(caught.value)


def test_the_field_s_maps_are_numbers_already():
    names = tuple(f"class {i}" for i in range(100))
    for known in (class_maps.MNIST, class_maps.CIFAR10, class_maps.CIFAR100_CYCLIC, class_maps.CIFAR100_WITHIN):
        assert numbered(known, names) == known


@pytest.mark.parametrize("value", [{1.0: 2}, {True: 2}, {1: None}, {1: [2, False]}])
def test_only_whole_numbers_and_texts_are_classes(value):
    with pytest.raises(TypeError):
        read_class_map(value)


def test_json_keeps_numbers_apart_from_names():
    given = read_class_map({"2": [1], 2: ["1", 0], "b": "a"})
    assert as_pairs(given) == [[2, ["1", 0]], ["2", [1]], ["b", ["a"]]]
    assert read_class_map(dict(json.loads(json.dumps(as_pairs(given))))) == given
    assert as_pairs({"b": ("a",), 3: (1,), 1: (0,)}) == as_pairs({1: (0,), "b": ("a",), 3: (1,)})

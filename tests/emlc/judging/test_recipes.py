"""Recipes: what counts as a difference, what does not, and one clear line for a broken file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emlc.judging.cells import Cell
from emlc.judging.comparison import compare
from emlc.judging.provenance import Defect
from emlc.judging.recipes import KEYS, Difference, PublishedRecipe, differences, read_recipes, recipe_of
from emlc.judging.verdicts import DEVIATES, NOT_COMPARABLE, NOT_RUN, REPRODUCED
from emlc.records.errors import SuiteError

FILE = """\
recipes:
  - methods: [MLC, M-L-C two]
    datasets: [CIFAR-10]
    noise_type: sym
    noise_rates: [0.2, 0.5]
    recipe: {network: resnet32, epochs: [1, 3], padding: 4}
    evidence: inferred
    source: its code
"""
MLC = PublishedRecipe(
    ("MLC",), ("CIFAR-10",), {"network": "resnet32", "epochs": [1, 3], "padding": 4}, "verified", "its code"
)


def read(folder, text):
    path = folder / "provenance.yaml"
    path.write_text(text)
    return read_recipes(path)


def test_an_entry_and_the_cells_that_it_covers(tmp_path):
    (recipe,) = read(tmp_path, FILE)
    assert recipe.recipe == {"network": "resnet32", "epochs": [1, 3], "padding": 4}
    cells = [Cell("mlc", "cifar10", "symmetric", rate) for rate in (0.2, 0.5, 0.8)]
    cells += [Cell("MLC", "CIFAR-10", "asym", 0.2), Cell("MLC", "CIFAR-100", "sym", 0.2), Cell("CE", "CIFAR-10")]
    assert [recipe_of(cell, [recipe]) for cell in cells] == [recipe, recipe, None, None, None, None]
    with pytest.raises(SuiteError, match=r"two recipes cover mlc on cifar10 symmetric 0\.2; keep one"):
        recipe_of(cells[0], [recipe, recipe])


def test_a_file_without_recipes_has_none(tmp_path):
    assert read(tmp_path, "vocabulary: {}\ncells: []\n") == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("network: resnet32", "netwrok: resnet32", "'netwrok' was unexpected"),
        ("padding: 4", "padding: four", "recipes[0].recipe.padding: 'four' is not"),
        ("[1, 3]", "[3]", "recipes[0].recipe.epochs"),
        ("evidence: inferred", "evidence: sure", "recipes[0].evidence: 'sure' is not one of"),
        ("    source: its code\n", "", "'source' is a required property"),
        ("methods: [MLC, M-L-C two]", "methods: MLC", "recipes[0].methods: 'MLC' is not of type 'array'"),
        ("[0.2, 0.5]", "[20]", "recipes[0].noise_rates[0]"),
    ],
)
def test_a_broken_recipe_is_one_clear_line(tmp_path, old, new, message):
    with pytest.raises(SuiteError) as caught:
        read(tmp_path, FILE.replace(old, new))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("run", "keys"),
    [
        ({"network": "resnet32", "epochs": 1, "padding": 4}, []),
        ({"network": "resnet32", "epochs": 3, "padding": 4, "batch_size": 7}, []),  # the published batch is not known
        ({}, []),  # nor is anything of the run
        ({"epochs": 2}, ["epochs"]),
        ({"padding": 0, "network": "resnet34", "epochs": 15}, ["network", "epochs", "padding"]),
    ],
)
def test_only_what_is_known_of_both_can_differ(run, keys):
    assert [difference.key for difference in differences(run, MLC)] == keys
    assert differences(run, None) == ()


def test_differences_in_words():
    assert str(Difference("epochs", 15, (1, 3), "verified")) == "epochs 15 (published: 1 or 3)"
    assert str(Difference("batch_size", 128, (100,), "inferred")) == "batch size 128 (published: 100, inferred)"


@given(st.dictionaries(st.sampled_from(list(KEYS)), st.integers(0, 2)), st.data())
def test_the_published_recipe_itself_differs_in_nothing_and_any_other_value_does(recipe, data):
    published = PublishedRecipe(("A",), ("B",), recipe, "verified", "here")
    assert differences(recipe, published) == ()
    for key in recipe:
        other = data.draw(st.integers(3, 5))
        assert [(one.key, one.run) for one in differences({**recipe, key: other}, published)] == [(key, other)]


PRINTED = [Cell("MLC", "CIFAR-10", "sym", 0.5, 88.0), Cell("MLC", "CIFAR-10", "sym", 0.9, 68.0)]


def verdict(run, mean=88.0, defect=None):
    measured = [Cell("MLC", "CIFAR-10", "sym", 0.5, mean, 0.1, 5, recipe=run)]
    row = compare(PRINTED, measured, 1.0, [defect] if defect else [], [MLC]).rows[0]
    return row.judgement.verdict, row.judgement.reason, row.judgement.why


def test_a_number_of_another_recipe_is_neither_reproduced_nor_deviated_from():
    other = {"network": "resnet34", "epochs": 15, "padding": 4}
    for mean, points in ((88.0, "no difference"), (60.0, "28 points below")):
        assert verdict(other, mean) == (
            NOT_COMPARABLE,
            "recipe",
            f"{points}, but by another recipe than the published number: network resnet34 (published: resnet32), "
            "epochs 15 (published: 1 or 3)",
        )
        assert verdict({}, mean)[0] == (REPRODUCED if mean == 88.0 else DEVIATES)
        assert verdict({"epochs": 3}, mean)[0] == (REPRODUCED if mean == 88.0 else DEVIATES)


def test_a_defect_of_the_number_weighs_more_and_a_mild_one_is_named():
    shifted = Defect("MLC", "CIFAR-10", "shifted-column", False, "verified", "It belongs elsewhere.")
    assert verdict({"epochs": 15}, 60.0, shifted)[:2] == (NOT_COMPARABLE, "shifted-column")
    untraced = Defect("MLC", "CIFAR-10", "untraced", True, "unknown", "No source found.")
    found = verdict({"epochs": 15}, 60.0, untraced)
    assert (found[:2], found[2].endswith("; known defect of the published number: untraced")) == (
        (NOT_COMPARABLE, "recipe"),
        True,
    )


def test_differences_stand_beside_what_was_run_and_nothing_else():
    measured = [
        Cell("MLC", "CIFAR-10", "sym", 0.5, 88.0, recipe={"epochs": 15}),
        Cell("MLC", "Digits", "sym", 0.9, 9.0),
    ]
    rows = compare(PRINTED, measured, 1.0, recipes=[MLC]).rows
    assert [[str(one) for one in row.differences] for row in rows] == [["epochs 15 (published: 1 or 3)"], []]
    assert [row.judgement.reason for row in rows] == ["recipe", "dataset"]
    assert compare(PRINTED, [], 1.0, recipes=[MLC]).rows[0].judgement.verdict == NOT_RUN

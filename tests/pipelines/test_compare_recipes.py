"""Comparing with recipes: hand-made results of the paper's recipe, of every number's own, and of none."""

import csv
import json
from pathlib import Path

import pytest

from emlc.judging.cells import Cell, read_published
from emlc.judging.recipes import KEYS, read_recipes, recipe_of
from emlc.records.errors import SuiteError
from pipelines.compare import main
from pipelines.evidence.cells import recipe_of as written
from pipelines.profile.load import load_profile
from tests.pipelines.recipes import run_of, told_of

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "published"
RECIPES = read_recipes(PUBLISHED / "provenance.yaml")
FIRST = read_published(PUBLISHED / "table1.csv")[0]
COLUMNS = ("method", "dataset", "noise_type", "noise_rate", "mean", "std", "n_seeds")
SHIFTED = {("CIFAR-10", 0.5), ("CIFAR-10", 0.8), ("CIFAR-10", 0.9), ("CIFAR-100", 0.5), ("CIFAR-100", 0.8)}


def as_the_paper_says(cell: Cell) -> dict:
    """What `config/paper.yaml` trains every method by, and the table reports by best-clean."""
    network = {"CIFAR-10": "resnet34", "CIFAR-100": "resnet50"}[cell.dataset]
    shared = {"initialisation": "simclr", "epochs": 15, "batch_size": 128, "padding": 4, "clean_images": 1000}
    return {"network": network, **shared}


def as_published(cell: Cell) -> dict:
    """What the number itself came from, and further things that nobody knows of it."""
    known = recipe_of(cell, RECIPES).recipe
    single = {key: value[-1] if isinstance(value, list) else value for key, value in known.items()}
    return {"padding_content": "zero", "epochs": 77, **single}


def compared(folder, recipe=None, table="table1", selection="best-clean", shift=0.0):
    """The comparison of a result that is `shift` off every published mean, its runs by `recipe(cell)`."""
    cells = read_published(PUBLISHED / f"{table}.csv")
    rows = [{name: getattr(cell, name) for name in COLUMNS} | {"mean": cell.mean + shift} for cell in cells]
    with (folder / "result.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    told = [row | ({} if recipe is None else {"recipe": recipe(cell)}) for row, cell in zip(rows, cells, strict=True)]
    (folder / "result.json").write_text(json.dumps({"selection": selection, "cells": told}))
    arguments = [str(folder / "result.csv"), str(PUBLISHED / f"{table}.csv"), "--json", str(folder / "out.json")]
    status = main([*arguments, "--md", str(folder / "out.md"), "--table", str(folder / "result.json")])
    found = json.loads((folder / "out.json").read_text())["cells"]
    return status, {(cell["published"]["method"], *_place(cell)): cell for cell in found}


def _place(cell):
    return cell["published"]["dataset"], cell["published"]["noise_type"], cell["published"]["noise_rate"]


def test_the_papers_recipe_reruns_its_own_rows_and_nothing_else(tmp_path):
    status, cells = compared(tmp_path, as_the_paper_says)
    verdicts = {key: (cell["verdict"], cell["reason"]) for key, cell in cells.items()}
    own = {key for key in cells if key[0].startswith("EMLC")}
    assert (status, len(own)) == (0, 18)
    assert {verdicts[key][0] for key in own} == {"reproduced"}
    shifted = {key for key in cells if key[0] == "FasTEN" and (key[1], key[3]) in SHIFTED}
    assert {verdicts[key] for key in shifted} == {("not comparable", "shifted-column")}
    assert {verdicts[key] for key in cells.keys() - own - shifted} == {("not comparable", "recipe")}
    assert all(cells[key]["recipe_differences"] for key in cells.keys() - own)
    assert not any(cells[key]["recipe_differences"] for key in own)


def test_differences_are_listed(tmp_path):
    _, cells = compared(tmp_path, as_the_paper_says)
    cell = cells["MLC", "CIFAR-10", "sym", 0.5]
    assert [(one["key"], one["run"], one["published"]) for one in cell["recipe_differences"]] == [
        ("network", "resnet34", ["resnet32"]),
        ("initialisation", "simclr", ["scratch"]),
        ("epochs", 15, [120]),
        ("batch_size", 128, [100]),
    ]
    words = "but by another recipe than the published number: network resnet34 (published: resnet32, inferred)"
    assert words in cell["why"]
    assert words in (tmp_path / "out.md").read_text()
    mlnt = {one["key"]: one["published"] for one in cells["MLNT", "CIFAR-10", "sym", 0.2]["recipe_differences"]}
    assert mlnt["selection"] == ["best-test"]  # the table's selection is what its cells report by
    assert {one["key"] for one in cells["MW-Net", "CIFAR-10", "asym", 0.4]["recipe_differences"]} == {"initialisation"}


def test_every_number_is_compared_with_a_run_of_its_own_recipe(tmp_path):
    status, cells = compared(tmp_path, as_published)
    verdicts = [(cell["verdict"], cell["reason"]) for cell in cells.values()]
    assert status == 0
    assert verdicts.count(("not comparable", "shifted-column")) == 5
    assert sum(verdict == "reproduced" for verdict, _ in verdicts) == 61
    assert all(cell["recipe_differences"] == [] for cell in cells.values())


def test_the_papers_profile_is_its_own_recipe_and_no_other(tmp_path):
    profile = load_profile([ROOT / "config" / "paper.yaml"])
    status, cells = compared(tmp_path, lambda cell: told_of(profile, run_of(profile, cell)))
    found = {key[0] for key, cell in cells.items() if cell["verdict"] == "reproduced"}
    assert (status, found) == (0, {"EMLC (k=1)", "EMLC (k=5)"})
    mslc = {one["key"]: (one["run"], one["published"]) for one in differing(cells, "MSLC", "CIFAR-100", "sym", 0.8)}
    assert mslc == {
        "network": ("resnet50", ["resnet34"]),
        "initialisation": ("simclr", ["scratch"]),
        "epochs": (15, [120]),
        "batch_size": (128, [100]),
        "padding_content": ("zero", ["reflect"]),
        "selection": ("best-clean", ["best-test"]),
    }
    fasten = {one["key"]: one["run"] for one in differing(cells, "FasTEN", "CIFAR-10", "sym", 0.2)}
    assert fasten["validation_images"] == 0


def test_the_published_recipes_profile_is_judged_row_by_row(tmp_path):
    profile = load_profile([ROOT / "config" / "published.yaml"])
    status, cells = compared(tmp_path, lambda cell: told_of(profile, run_of(profile, cell)))
    other = [key for key, cell in cells.items() if cell["reason"] == "recipe"]
    shifted = [key for key, cell in cells.items() if cell["reason"] == "shifted-column"]
    assert (status, other, len(shifted)) == (0, [("MLNT", "CIFAR-10", "sym", 0.2)], 5)
    (selection,) = differing(cells, *other[0])
    assert (selection["key"], selection["run"], selection["published"]) == ("selection", "last", ["best-test"])
    assert sum(cell["verdict"] == "reproduced" for cell in cells.values()) == 60


def test_a_row_of_another_mean_deviates_only_from_a_number_of_its_recipe(tmp_path):
    for name, verdicts in [("paper", {"not comparable"}), ("published", {"deviates", "not comparable"})]:
        profile = load_profile([ROOT / "config" / f"{name}.yaml"])
        _, cells = compared(tmp_path, lambda cell, p=profile: told_of(p, run_of(p, cell)), shift=-9.0)
        assert {cell["verdict"] for key, cell in cells.items() if not key[0].startswith("EMLC")} == verdicts
        assert {cell["verdict"] for key, cell in cells.items() if key[0].startswith("EMLC")} == {"deviates"}


def differing(cells, *key):
    return cells[key]["recipe_differences"]


def test_a_result_that_does_not_say_how_it_came_about_is_compared_as_it_stands(tmp_path):
    status, cells = compared(tmp_path, None, selection="last")
    assert (status, sum(cell["verdict"] == "reproduced" for cell in cells.values())) == (0, 61)
    assert all(cell["recipe_differences"] == [] for cell in cells.values())


def test_another_selection_is_another_recipe(tmp_path):
    status, cells = compared(tmp_path, as_the_paper_says, selection="best-test")
    assert status == 3  # not even the paper's own rows
    own = cells["EMLC (k=1)", "CIFAR-10", "sym", 0.5]
    assert own["why"].startswith(
        "no difference, but by another recipe than the published number: selection best-test (published: best-clean)"
    )
    head = (tmp_path / "out.md").read_text().partition("## ")[0]
    assert (
        "No published number could be judged: 61 run by another recipe than theirs, 5 not what their column says."
        in (head)
    )


@pytest.mark.parametrize(("epochs", "verdicts"), [(5, {"reproduced"}), (3, {"reproduced"}), (15, {"not comparable"})])
def test_sources_that_disagree_are_as_good_as_each_other(tmp_path, epochs, verdicts):
    """The paper trains five epochs on Clothing1M, the released code three."""
    start = {"network": "resnet50", "initialisation": "imagenet", "epochs": epochs, "clean_images": 47570}
    _, cells = compared(tmp_path, lambda cell: start, "table2")
    assert {cell["verdict"] for key, cell in cells.items() if key[0].startswith("EMLC")} == verdicts
    assert (cells["MLC", "Clothing1M", "", None]["verdict"] == "reproduced") == (epochs == 15)
    assert cells["C2D", "Clothing1M", "", None]["reason"] == "recipe"
    assert cells["SANM", "Clothing1M", "", None]["verdict"] == "reproduced"  # nothing is known of its recipe


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"netwrok": "resnet34"}, "cells[0].recipe: Additional properties are not allowed ('netwrok' was unexpected)"),
        ({"epochs": "15"}, "cells[0].recipe.epochs: '15' is not of type 'integer'"),
        ({"initialisation": "self-supervised"}, "cells[0].recipe.initialisation: 'self-supervised' is not one of"),
        (3, "cells[0].recipe: 3 is not of type 'object'"),
    ],
)
def test_a_recipe_that_says_nothing_known_is_one_clear_line(tmp_path, recipe, message):
    with pytest.raises(SuiteError) as caught:
        compared(tmp_path, lambda cell: recipe if cell == FIRST else {})
    assert str(caught.value).startswith(f"{tmp_path / 'result.json'}: {message}")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.json").exists()


def test_tables_write_recipes_in_these_words():
    config = {"model": {"name": "resnet34"}, "initialisation": "simclr", "crop_padding": 4}
    config["training"] = {"epochs": 15, "batch_size": 128}
    assert written({"config": config, "task": {"clean": 1000}}).items() >= as_the_paper_says(FIRST).items()
    assert {*written({"config": config, "task": {"clean": 1000}})} <= {*KEYS}

"""The published numbers: complete, well formed and, where the paper's text is at hand, equal to it digit by digit."""

import csv
import re
from pathlib import Path

import pytest
import yaml

from emlc.judging.cells import PUBLISHED_COLUMNS, read_published
from emlc.judging.provenance import defect_of, read_absences, read_provenance
from emlc.judging.recipes import read_recipes, recipe_of

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "published"
PAPER = ROOT.parent / "shared" / "paper"
COLUMNS = [("CIFAR-10", "sym", rate) for rate in ("0.2", "0.5", "0.8", "0.9")] + [("CIFAR-10", "asym", "0.4")]
COLUMNS += [("CIFAR-100", "sym", rate) for rate in ("0.2", "0.5", "0.8", "0.9")]
METHODS1 = ["Cross-Entropy", "MW-Net", "MLNT", "MLC", "MSLC", "FasTEN", "EMLC (k=1)", "EMLC (k=5)"]
METHODS2 = ["Cross-entropy", "Joint-Optim", "P-correction", "C2D", "DivideMix", "ELR+", "AugDesc", "SANM"]
METHODS2 += ["Meta Cleaner", "Meta-Learning", "MW-Net", "FaMUS", "MLC", "MSLG", "Self Learning", "FasTEN"]
METHODS2 += ["EMLC (k=1)", "EMLC (k=5)"]


def rows(name):
    with (PUBLISHED / name).open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture(scope="module")
def paper():
    texts = sorted(PAPER.glob("*.txt"))
    if not texts:
        pytest.skip("the paper's text is not beside this repository (../shared/paper)")
    return "\n".join(path.read_text(encoding="utf-8") for path in texts)


def table_lines(text, heading, caption):
    """Rows of the tab-separated table between its `heading` line and its `caption`, as lists of stripped cells."""
    block = text[text.index(heading) : text.index(caption)]
    return [[part.strip() for part in line.split("\t")] for line in block.splitlines()[1:] if "\t" in line]


def method_name(printed):
    """The method as printed, without citation, mathematics marks and the spaces within brackets."""
    name = re.sub(r"\s*\[\d+\]$", "", printed).replace("$", "")
    return re.sub(r"\(k\s*=\s*(\d)\)", r"(k=\1)", name)


def test_table_1_equals_the_paper_digit_by_digit(paper):
    expected, last = {}, None
    for first, *values in table_lines(paper, "Method\t20%\t50%", "Table 1: Comparison"):
        last = method_name(first) or last
        for column, text in zip(COLUMNS, values, strict=True):
            if first and text != "_":
                expected[last, *column] = [text, ""]
            elif not first:
                expected[last, *column][1] = re.sub(r"±|\\pm|\$|\s", "", text)
    assert len(expected) == 66
    found = {
        (row["method"], row["dataset"], row["noise_type"], row["noise_rate"]): [row["mean"], row["std"]]
        for row in rows("table1.csv")
    }
    assert found == expected
    assert sum(bool(std) for _, std in expected.values()) == 18


def test_table_2_equals_the_paper_digit_by_digit(paper):
    lines = table_lines(paper, "Method\tExtra Data", "Table 2: Comparison")
    expected = [[method_name(line[0]), line[2]] for line in lines]
    assert len(expected) == 18
    assert [[row["method"], row["mean"]] for row in rows("table2.csv")] == expected


@pytest.mark.parametrize(("name", "count", "methods"), [("table1.csv", 66, METHODS1), ("table2.csv", 18, METHODS2)])
def test_tables_are_complete_and_well_formed(name, count, methods):
    table = rows(name)
    assert tuple(table[0]) == PUBLISHED_COLUMNS
    assert len(table) == count
    assert list(dict.fromkeys(row["method"] for row in table)) == methods
    cells = read_published(PUBLISHED / name)  # ranges, whole numbers, no cell twice
    assert len(cells) == count
    for row in table:
        assert 10 <= float(row["mean"]) < 95
        assert row["source"].startswith(f"paper Table {name[5]}")
        assert row["note"]


def test_only_the_papers_own_rows_of_table_1_have_a_spread():
    for row in rows("table1.csv"):
        own = row["method"].startswith("EMLC")
        assert bool(row["std"]) == own
        assert row["n_seeds"] == ("5" if own else "")
        assert (row["dataset"], row["noise_type"], row["noise_rate"]) in COLUMNS
    for row in rows("table2.csv"):
        assert (row["dataset"], row["noise_type"], row["noise_rate"], row["std"], row["n_seeds"]) == (
            "Clothing1M",
            "",
            "",
            "",
            "",
        )


def test_every_defect_names_cells_and_no_cell_has_two():
    provenance = read_provenance(PUBLISHED / "provenance.yaml")
    cells = read_published(PUBLISHED / "table1.csv") + read_published(PUBLISHED / "table2.csv")
    found = [defect_of(cell, provenance) for cell in cells]
    assert {defect for defect in found if defect is not None} == set(provenance)
    vocabulary = yaml.safe_load((PUBLISHED / "provenance.yaml").read_text())["vocabulary"]
    assert {name for defect in provenance for name in defect.names} == set(vocabulary)


def test_exactly_fastens_shifted_columns_are_not_comparable():
    provenance = read_provenance(PUBLISHED / "provenance.yaml")
    flawed = set()
    for cell in read_published(PUBLISHED / "table1.csv"):
        defect = defect_of(cell, provenance)
        assert defect is not None  # no cell of Table 1 is free of a protocol difference
        if not defect.comparable:
            assert defect.name == "shifted-column"
            assert "shifted column" in cell.note
            flawed.add((cell.method, cell.dataset, cell.noise_rate))
    expected = {("FasTEN", "CIFAR-10", rate) for rate in (0.5, 0.8, 0.9)} | {
        ("FasTEN", "CIFAR-100", rate) for rate in (0.5, 0.8)
    }
    assert flawed == expected


def test_asymmetric_cells_and_fasten_say_all_that_is_wrong_with_them():
    provenance = read_provenance(PUBLISHED / "provenance.yaml")
    for cell in read_published(PUBLISHED / "table1.csv"):
        defect = defect_of(cell, provenance)
        assert ("asym-definition" in defect.names) == (cell.noise_type == "asym"), cell
        assert ("other-clean-budget" in defect.names) == (cell.method == "FasTEN"), cell
        assert (defect.clean_labels == 6000) == (cell.method == "FasTEN"), cell
    budgets = {defect.clean_labels for defect in provenance if defect.dataset != "Clothing1M"}
    assert budgets == {None, 0, 1000, 6000}


def test_what_is_absent_is_named_and_really_higher():
    absent = {entry.method: entry for entry in read_absences(PUBLISHED / "provenance.yaml")}
    assert absent["C2D"].datasets == ("CIFAR-10", "CIFAR-100")
    best = {}
    for row in rows("elsewhere.csv"):
        if "C2D" in row["method"] and row["noise_type"] == "sym":
            column = row["dataset"], row["noise_rate"]
            best[column] = max(best.get(column, 0), float(row["mean"]))
    for row in rows("table1.csv"):
        if row["noise_type"] == "sym":
            assert float(row["mean"]) < best[row["dataset"], row["noise_rate"]]
    printed = [f"{best['CIFAR-10', rate]:.2f}" for rate in ("0.2", "0.5", "0.8", "0.9")]
    assert ", ".join(printed) in absent["C2D"].explanation


def test_inference_is_marked_in_words_wherever_it_is_marked_by_name():
    provenance = read_provenance(PUBLISHED / "provenance.yaml")
    for name in ("table1.csv", "table2.csv"):
        for cell in read_published(PUBLISHED / name):
            defect = defect_of(cell, provenance)
            if defect is not None and defect.evidence == "inferred":
                assert "inference" in cell.source + cell.note, cell


def test_numbers_of_other_publications_have_a_source_and_a_method_of_their_own():
    table = rows("elsewhere.csv")
    assert tuple(table[0]) == PUBLISHED_COLUMNS
    assert all(row["source"] and row["note"] for row in table)
    assert len(read_published(PUBLISHED / "elsewhere.csv")) == len(table)
    assert not {row["method"] for row in table} & {*METHODS1, *METHODS2}
    printed = {
        (row["dataset"], row["noise_type"], row["noise_rate"]) for row in rows("table1.csv") + rows("table2.csv")
    }
    assert {(row["dataset"], row["noise_type"], row["noise_rate"]) for row in table} <= printed


def test_times_are_those_of_section_4_3(paper):
    table = rows("timing.csv")
    assert [row["method"] for row in table] == ["MLC (double backward)", "EMLC (k=1)", "EMLC (k=5)"]
    hours = [float(row["hours_per_epoch"]) for row in table]
    for row, value in zip(table, hours, strict=True):
        assert f"{row['hours_per_epoch']} hours" in paper
        assert float(row["times faster than MLC (double backward)"]) == pytest.approx(hours[0] / value, abs=5e-5)


def test_every_number_of_table_1_has_one_recipe_and_every_recipe_numbers():
    recipes = read_recipes(PUBLISHED / "provenance.yaml")
    first, second = (read_published(PUBLISHED / name) for name in ("table1.csv", "table2.csv"))
    found = [recipe_of(cell, recipes) for cell in first + second]
    assert [cell.method for cell, recipe in zip(first, found, strict=False) if recipe is None] == []
    unknown = [cell.method for cell, recipe in zip(second, found[66:], strict=True) if recipe is None]
    assert unknown == ["Cross-entropy", "Joint-Optim", "SANM", "Meta Cleaner", "FasTEN"]
    assert all(any(recipe is entry for entry in found) for recipe in recipes)
    for recipe in recipes:
        assert recipe.recipe
        assert recipe.evidence in ("verified", "inferred")
        assert len(recipe.source) > 10


def test_only_the_papers_own_rows_of_table_1_start_from_simclr():
    recipes = read_recipes(PUBLISHED / "provenance.yaml")
    for cell in read_published(PUBLISHED / "table1.csv"):
        own = cell.method.startswith("EMLC")
        recipe = recipe_of(cell, recipes).recipe
        assert recipe["initialisation"] == ("simclr" if own else "scratch")
        if own:
            assert recipe["network"] == {"CIFAR-10": "resnet34", "CIFAR-100": "resnet50"}[cell.dataset]
            assert (recipe["epochs"], recipe["clean_images"], recipe["selection"]) == (15, 1000, "best-clean")
            assert "noise" not in recipe  # the paper leaves the class map to its appendix


def test_recipes_and_defects_say_the_same_of_selection_and_clean_labels():
    provenance, recipes = (read(PUBLISHED / "provenance.yaml") for read in (read_provenance, read_recipes))
    rules = {"peak-not-final": "best-test", "final-not-selected": "last"}
    for cell in read_published(PUBLISHED / "table1.csv"):
        defect, recipe = defect_of(cell, provenance), recipe_of(cell, recipes).recipe
        for name in defect.names:
            assert recipe.get("selection") == rules.get(name, recipe.get("selection")), cell
        if defect.clean_labels == 6000:
            assert recipe["clean_images"] + recipe["validation_images"] == 6000
        elif defect.clean_labels and "clean_images" in recipe:
            assert recipe["clean_images"] == defect.clean_labels, cell


def test_table_2_knows_its_wrong_ticks_and_the_variants_that_it_prints():
    """The audit of what each cell really is; the numbers beside it are those of the methods' own sources."""
    provenance = read_provenance(PUBLISHED / "provenance.yaml")
    known = {cell.method: defect_of(cell, provenance) for cell in read_published(PUBLISHED / "table2.csv")}
    named = {method: defect.name for method, defect in known.items() if defect is not None}
    ticked = {method for method, name in named.items() if name == "wrong-tick"}
    assert ticked == {"Meta Cleaner", "Meta-Learning", "FaMUS"}
    assert (known["FaMUS"].evidence, known["Meta Cleaner"].evidence) == ("verified", "inferred")
    variants = {method for method, name in named.items() if name == "variant-chosen"}
    assert variants == {"Cross-entropy", "C2D", "AugDesc", "Self Learning"}
    printed = {row["method"]: float(row["mean"]) for row in rows("table2.csv")}
    other = {row["method"]: float(row["mean"]) for row in rows("elsewhere.csv") if row["dataset"] == "Clothing1M"}
    assert other["AugDesc, default"] < printed["DivideMix"] < printed["AugDesc"]
    assert other["Self Learning without verified labels"] < printed["Self Learning"]
    assert other["ELR+ with C2D"] > printed["C2D"]
    assert round(other["FaMUS, its supplement"] - printed["FaMUS"], 2) == 0.03
    assert "74.720" in known["AugDesc"].explanation
    assert "74.45" in known["Self Learning"].explanation
    (absent,) = [entry for entry in read_absences(PUBLISHED / "provenance.yaml") if entry.method == "Self Learning"]
    assert (absent.datasets, "74.45" in absent.explanation) == (("Clothing1M",), True)

"""The Markdown page to the byte, for a small hand-made table, and what it must not hide."""

# ruff: noqa: RUF001  (the page has dashes where there is no number)

import json

import pytest

from emlc.judging.cells import Cell, read_published
from emlc.records.errors import SuiteError
from pipelines.page.accuracies import as_markdown, read_table
from pipelines.profile.places import ROOT

PUBLISHED = [
    Cell("Cross-Entropy", "CIFAR-10", "sym", 0.5, 79.4),
    Cell("Cross-Entropy", "CIFAR-10", "asym", 0.4, 83.2),
    Cell("MLC", "CIFAR-10", "sym", 0.5, 88.1),
    Cell("EMLC (k=1)", "CIFAR-10", "sym", 0.5, 91.16, 0.25),
    Cell("EMLC (k=1)", "CIFAR-10", "asym", 0.4, 91.81, 0.05),
    Cell("EMLC (k=1)", "CIFAR-100", "sym", 0.5, 67.08, 0.35),
]


def cell(method, noise_type, noise_rate, mean=None, std=None, **more):
    facts = {"dataset": "UCI digits", "failed": []} | more
    return {"method": method, "noise_type": noise_type, "noise_rate": noise_rate, "mean": mean, "std": std, **facts}


def failure(seed):
    return {
        "seed": seed,
        "folder": f"digits/sym-0.5/mlc/seed{seed}",
        "error": f"DivergenceError: x is nan in step {seed}",
    }


def table(cells, **changes):
    content = {
        "profile": "tiny",
        "title": "Table 1",
        "protocol": "paper",
        "selection": "best-clean",
        "seeds": [0, 1, 2],
        "datasets": [{"title": "UCI digits", "sha256": "0123456789abcdef", "released": "1998-07"}],
        "methods": ["Cross-Entropy", "MLC", "EMLC (k=1)", "Clean only"],
        "cells": cells,
        "paired": [],
    }
    return content | changes


CELLS = [
    cell("Cross-Entropy", "sym", 0.5, 84.004, 1.8),
    cell("MLC", "sym", 0.5, 80.0, failed=[failure(1)]),
    cell("EMLC (k=1)", "sym", 0.5, 87.126, 0.5),
    cell("Clean only", "sym", 0.5, 78.1, 0.1),
    cell("MLC", "asym", 0.4, failed=[failure(0), failure(1), failure(2)]),
    cell("EMLC (k=1)", "asym", 0.4, 69.0, 1.0, failed=[failure(2)]),
    cell("Clean only", "asym", 0.4, 70.0, 2.0),
]


def against(method, reference, difference, low, high, real):
    numbers = {"difference": difference, "low": low, "high": high, "p": 0.01 if real else 0.5, "n": 3}
    return {"method": method, "reference": reference, **numbers, "real": real}


PAIRED = [
    {
        "dataset": "UCI digits",
        "noise_type": "sym",
        "noise_rate": 0.5,
        "best": "EMLC (k=1)",
        "top": ["EMLC (k=1)", "Cross-Entropy"],
        "with_best": [
            against("Cross-Entropy", "EMLC (k=1)", -3.126, -7.0, 0.75, False),
            against("MLC", "EMLC (k=1)", -7.126, -8.0, -6.25, True),
            against("Clean only", "EMLC (k=1)", -9.026, None, None, False),
        ],
        "with_clean": [],
    }
]

PAGE = """\
# Table 1, profile `tiny`

Test accuracy (%), mean ± standard deviation over seeds 0, 1, 2; protocol `paper`; reported is the epoch with the best \
clean-set accuracy (section 4.1; ties by lower clean loss). Bold: the best mean of a column and all that cannot be \
told from it (below). *Paper* rows are published numbers, which no record here backs; differences across data sets \
are not comparable and stand in parentheses. Data: UCI digits of 1998-07, sha256 0123456789ab.

## UCI digits

| Method              | 50%              | Asym. 40%               |
|---------------------|------------------|-------------------------|
| Cross-Entropy       | **84.00 ± 1.80** | not run                 |
| ↳ *paper, CIFAR-10* | 79.4             | 83.2                    |
| ↳ *difference*      | (+4.60)          | –                       |
| MLC                 | 80.00 (1 failed) | failed                  |
| ↳ *paper, CIFAR-10* | 88.1             | –                       |
| ↳ *difference*      | (-8.10)          | –                       |
| EMLC (k=1)          | **87.13 ± 0.50** | 69.00 ± 1.00 (1 failed) |
| ↳ *paper, CIFAR-10* | 91.16 ± 0.25     | 91.81 ± 0.05            |
| ↳ *difference*      | (-4.03)          | (-22.81)                |
| Clean only          | 78.10 ± 0.10     | 70.00 ± 2.00            |

## CIFAR-10
"""

DIFFERENCES = """\
### Difference to the best of the column, UCI digits

| Method        | 50%                      |
|---------------|--------------------------|
| Cross-Entropy | -3.13 [-7.00, +0.75]     |
| MLC           | **-7.13 [-8.00, -6.25]** |
| EMLC (k=1)    | best                     |
| Clean only    | -9.03                    |
"""


def rows_of(page, title):
    """The cells of one section, without padding."""
    section = page.split(f"## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[part.strip() for part in line.strip("|").split("|")] for line in lines if "---" not in line]


def test_the_page_to_the_byte():
    page = as_markdown(table(CELLS, paired=PAIRED), PUBLISHED)
    assert page.startswith(PAGE)
    assert DIFFERENCES in page
    assert page.endswith("\n")
    assert not page.endswith("\n\n")


def labelled(method, trained, selected=30, given=100, selection="best-clean", validation=30):
    recipe = {"clean_images": given, "validation_images": validation, "selection": selection}
    counts = {"given": given, "trained": trained, "selected": selected}
    return cell(method, "sym", 0.5, 50.0, recipe=recipe, clean_labels=counts)


def section_of(cells, methods=("Cross-Entropy", "MLC", "My own")):
    return as_markdown(table(cells, methods=list(methods)), PUBLISHED[2:3]).split("## ")[1]


def test_clean_labels_to_train_and_to_select_on_are_columns_where_they_differ():
    cells = [labelled("Cross-Entropy", 0), labelled("MLC", 1_100, given=1_100), labelled("My own", None)]
    assert (
        section_of(cells)
        == """\
UCI digits

| Method              | Clean labels trained on   | Selected on   | 50%      |
|---------------------|---------------------------|---------------|----------|
| Cross-Entropy       | 0                         | 30            | 50.00    |
| MLC                 | 1,100                     | 30            | 50.00    |
| ↳ *paper, CIFAR-10* |                           |               | 88.1     |
| ↳ *difference*      |                           |               | (-38.10) |
| My own              |                           |               | 50.00    |

"""
    )


def test_clean_labels_that_do_both_are_a_sentence():
    same = {"given": 30, "validation": 0}
    cells = [labelled("Cross-Entropy", 0, **same), labelled("MLC", 30, **same)]
    assert section_of(cells).splitlines()[2] == (
        "Clean labels: 30 choose the epoch; all methods but Cross-Entropy train on them, too."
    )
    assert section_of(cells[1:]).splitlines()[2] == "Clean labels: 30 choose the epoch; all methods train on them, too."
    assert "trained on" not in section_of(cells)


@pytest.mark.parametrize(("selection", "said"), [("last", "0"), ("best-test", "test set")])
def test_where_no_clean_label_chooses_the_epoch_the_column_says_what_does(selection, said):
    cells = [labelled("MLC", 30, 0, given=30, selection=selection, validation=0)]
    assert rows_of("## " + section_of(cells, ["MLC"]), "UCI digits")[1] == ["MLC", "30", said, "50.00"]


def test_a_method_without_runs_has_no_clean_labels():
    rows = rows_of("## " + section_of([labelled("MLC", 100)]), "UCI digits")
    assert rows[1] == ["Cross-Entropy", "", "", "not run"]


def test_data_sets_of_the_paper_without_a_record_are_shown_as_not_run():
    page = as_markdown(table(CELLS), PUBLISHED)
    assert rows_of(page, "CIFAR-10") == [
        ["Method", "50%", "Asym. 40%"],
        ["Cross-Entropy", "not run", "not run"],
        ["↳ *paper, CIFAR-10*", "79.4", "83.2"],
        ["↳ *difference*", "–", "–"],
        ["MLC", "not run", "not run"],
        ["↳ *paper, CIFAR-10*", "88.1", "–"],
        ["↳ *difference*", "–", "–"],
        ["EMLC (k=1)", "not run", "not run"],
        ["↳ *paper, CIFAR-10*", "91.16 ± 0.25", "91.81 ± 0.05"],
        ["↳ *difference*", "–", "–"],
        ["Clean only", "not run", "not run"],
    ]
    assert rows_of(page, "CIFAR-100")[-4:] == [
        ["EMLC (k=1)", "not run"],
        ["↳ *paper, CIFAR-100*", "67.08 ± 0.35"],
        ["↳ *difference*", "–"],
        ["Clean only", "not run"],
    ]
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        "## UCI digits", "## CIFAR-10", "## CIFAR-100", "## Failed runs"
    ]  # fmt: skip


def test_on_the_paper_s_own_data_set_differences_have_no_parentheses():
    cells = [{**content, "dataset": "CIFAR-10"} for content in CELLS]
    datasets = [{"title": "CIFAR-10", "sha256": "ff" * 32, "released": "2009"}]
    page = as_markdown(table(cells, datasets=datasets), PUBLISHED)
    rows = rows_of(page, "CIFAR-10")
    assert [row[1] for row in rows if row[0] == "↳ *difference*"] == ["+4.60", "-8.10", "-4.03"]
    assert page.count("## CIFAR-10\n") == 1


def test_failed_runs_are_listed_with_their_errors():
    page = as_markdown(table(CELLS), PUBLISHED)
    assert page.split("## Failed runs\n\n")[1].splitlines() == [
        f"- `digits/sym-0.5/mlc/seed{seed}`: DivergenceError: x is nan in step {seed}" for seed in (1, 0, 1, 2, 2)
    ]
    assert "Failed runs" not in as_markdown(table(CELLS[:1]), PUBLISHED)


@pytest.mark.parametrize("selection", ["best-clean", "last", "best-test", "mean-last-5"])
def test_every_selection_is_explained(selection):
    assert "reported is the " in as_markdown(table(CELLS, selection=selection), PUBLISHED)


def test_the_real_published_table_keeps_the_paper_s_columns():
    page = as_markdown(table(CELLS), read_published(ROOT / "published" / "table1.csv"))
    assert rows_of(page, "CIFAR-10")[0] == ["Method", "20%", "50%", "80%", "90%", "Asym. 40%"]
    assert rows_of(page, "CIFAR-100")[0] == ["Method", "20%", "50%", "80%", "90%"]


def test_methods_of_the_paper_that_the_profile_lacks_are_rows_in_the_paper_s_order():
    page = as_markdown(table(CELLS), read_published(ROOT / "published" / "table1.csv"))
    methods = [row[0] for row in rows_of(page, "UCI digits")[1:] if not row[0].startswith("↳")]
    paper = ["Cross-Entropy", "MW-Net", "MLNT", "MLC", "MSLC", "FasTEN", "EMLC (k=1)", "EMLC (k=5)"]
    assert methods == [*paper[:-1], "Clean only", paper[-1]]  # after EMLC (k=1), as in the profile
    assert rows_of(page, "UCI digits")[4:6] == [["MW-Net", "not run", "not run"], ["↳ *paper, CIFAR-10*", "–", "88.69"]]


def test_methods_that_the_paper_lacks_come_after_the_profile_s_method_before_them():
    ours = ["First", "MLC", "Second", "Third", "cross-entropy"]
    page = as_markdown(table([cell("MLC", "sym", 0.5, 50.0)], methods=ours), PUBLISHED)
    rows = [row[0] for row in rows_of(page, "UCI digits")[1:] if not row[0].startswith("↳")]
    assert rows == ["First", "cross-entropy", "MLC", "Second", "Third", "EMLC (k=1)"]


def test_table_2_can_be_printed():
    page = as_markdown(table([], datasets=[{"title": "Clothing1M"}]), read_published(ROOT / "published" / "table2.csv"))
    assert "69.21" in page
    assert rows_of(page, "Clothing1M")[0] == ["Method", "Accuracy"]


def test_clothing1m_s_labels_as_collected_stand_beside_any_noise_of_another_data_set():
    clothes = {"dataset": "Clothes", "noise_type": "idn-part-dependent", "noise_rate": 0.385, "std": None, "failed": []}
    content = table([{**clothes, "method": "MLC", "mean": 80.0}], datasets=[{"title": "Clothes"}], methods=["MLC"])
    page = as_markdown(content, read_published(ROOT / "published" / "table2.csv"))
    rows = rows_of(page, "Clothes")
    assert rows[0] == ["Method", "Instance-dep. 38.5%"]
    place = rows.index(["MLC", "80.00"])
    assert rows[place + 1 : place + 3] == [["↳ *paper, Clothing1M*", "75.78"], ["↳ *difference*", "(+4.22)"]]


def test_headings_tell_rates_apart():
    page = as_markdown(table([cell("MLC", "sym", rate, 50.0) for rate in (0.12, 0.125)]), PUBLISHED)
    header = rows_of(page, "UCI digits")[0]
    assert header == ["Method", "12%", "12.5%"]


@pytest.mark.parametrize("content", ["{}", "[]", '{"profile": "tiny"}', json.dumps(table([{}])), json.dumps(table(3))])
def test_json_that_is_no_table_is_refused_by_name(tmp_path, content):
    (tmp_path / "foreign.json").write_text(content)
    with pytest.raises(SuiteError, match=r"foreign\.json is not a table of results; give the JSON that .*wrote$"):
        read_table(tmp_path / "foreign.json")


def test_a_table_that_the_paper_does_not_have():
    facts = {"dataset": "CIFAR-10", "failed": [], "std": None}
    cells = [
        {"method": "MLC", "noise_type": "human-aggre", "noise_rate": 0.0901, "mean": 90.0, **facts},
        {"method": "MLC", "noise_type": "human-random1", "noise_rate": 0.1723, "mean": 88.0, **facts},
    ]
    content = table(cells, datasets=[{"title": "CIFAR-10"}], methods=["MLC"], title="Human label noise")
    page = as_markdown(content, [])
    assert page.startswith("# Human label noise, profile `tiny`\n")
    assert "No published numbers stand beside them: the paper has none for these columns. Data:" in page
    assert "*Paper* rows" not in page
    assert rows_of(page, "CIFAR-10") == [["Method", "Aggre 9.01%", "Random1 17.23%"], ["MLC", "90.00", "88.00"]]
    assert [line for line in page.splitlines() if line.startswith("## ")] == ["## CIFAR-10"]

"""What the page shows of a table beside its numbers."""

from pipelines.page.sections import Grid, sections


def cell(method, given, trained, validation):
    return {
        "method": method,
        "dataset": "Clothes",
        "noise_type": "sym",
        "noise_rate": 0.5,
        "mean": 50.0,
        "std": None,
        "runs": {},
        "recipe": {"selection": "best-clean", "validation_images": validation},
        "clean_labels": {"given": given, "trained": trained, "selected": validation or given},
    }


def section_of(*cells):
    methods = [cell["method"] for cell in cells]
    table = {
        "cells": cells,
        "datasets": [{"title": "Clothes"}],
        "methods": methods,
        "paired": [],
        "selection": "best-clean",
    }
    (section,) = sections(Grid("table2", table, (), (), {}))
    return section["words"], section["headings"], [row["labels"] for row in section["rows"]]


def test_clean_labels_are_columns_where_others_choose_the_epoch():
    words, headings, labels = section_of(cell("Cross-Entropy", 1_000, 0, 30), cell("MLC", 1_000, 1_000, 30))
    assert (words, headings) == ("", ("Clean labels trained on", "Selected on"))
    assert labels == [("0", "30"), ("1,000", "30")]


def test_clean_labels_are_a_sentence_where_they_choose_the_epoch_too():
    words, headings, labels = section_of(cell("Cross-Entropy", 30, 0, 0), cell("MLC", 30, 30, 0))
    assert words == "Clean labels: 30 choose the epoch; all methods but Cross-Entropy train on them, too."
    assert (headings, labels) == ((), [(), ()])

"""Known defects: which cells an entry covers, and one clear line for a broken file."""

import pytest

from emlc.judging.cells import Cell
from emlc.judging.provenance import Absence, Defect, defect_of, read_absences, read_provenance, read_vocabulary
from emlc.records.errors import SuiteError

ENTRY = """\
vocabulary:
  shifted-column: printed under another noise rate
cells:
  - method: FasTEN
    dataset: CIFAR-10
    noise_type: sym
    noise_rates: [0.5, 0.9]
    defect: shifted-column
    comparable: false
    evidence: inferred
    explanation: >-
      One
      line.
"""


def read(folder, text):
    path = folder / "provenance.yaml"
    path.write_text(text)
    return read_provenance(path)


def test_an_entry_and_the_cells_that_it_covers(tmp_path):
    (defect,) = read(tmp_path, ENTRY)
    assert defect == Defect("FasTEN", "CIFAR-10", "shifted-column", False, "inferred", "One line.", "sym", (0.5, 0.9))
    assert [rate for rate in (0.2, 0.5, 0.8, 0.9) if defect.covers(Cell("FasTEN", "CIFAR-10", "sym", rate))] == [
        0.5,
        0.9,
    ]
    assert not defect.covers(Cell("FasTEN", "CIFAR-10", "asym", 0.5))
    assert not defect.covers(Cell("FasTEN", "CIFAR-100", "sym", 0.5))
    assert not defect.covers(Cell("MLC", "CIFAR-10", "sym", 0.5))


def test_an_entry_without_noise_covers_the_row(tmp_path):
    text = ENTRY.replace("    noise_type: sym\n    noise_rates: [0.5, 0.9]\n", "")
    (defect,) = read(tmp_path, text)
    assert all(defect.covers(Cell("fasten", "CIFAR-10", kind, rate)) for kind, rate in [("sym", 0.2), ("asym", 0.4)])


def test_further_defects_and_the_number_of_clean_labels(tmp_path):
    text = ENTRY.replace("vocabulary:\n", "vocabulary:\n  other-clean-budget: more labels\n")
    (defect,) = read(
        tmp_path,
        text.replace("    comparable", "    also: [other-clean-budget]\n    clean_labels: 6000\n    comparable"),
    )
    assert (defect.names, defect.clean_labels) == (("shifted-column", "other-clean-budget"), 6000)
    assert defect.covers(Cell("FasTEN", "CIFAR-10", "sym", 0.5))
    with pytest.raises(SuiteError, match="defect 'other' of FasTEN is not in its vocabulary"):
        read(tmp_path, ENTRY.replace("    comparable", "    also: [other]\n    comparable"))


def test_what_is_absent_from_the_tables(tmp_path):
    absent = "absent:\n  - {method: C2D, datasets: [CIFAR-10, CIFAR-100], evidence: verified, explanation: Higher.}\n"
    assert len(read(tmp_path, ENTRY + absent)) == 1
    assert read_absences(tmp_path / "provenance.yaml") == [
        Absence("C2D", ("CIFAR-10", "CIFAR-100"), "verified", "Higher.")
    ]
    read(tmp_path, ENTRY)
    assert read_absences(tmp_path / "provenance.yaml") == []


def test_a_cell_has_at_most_one_defect(tmp_path):
    (defect,) = read(tmp_path, ENTRY)
    assert defect_of(Cell("FasTEN", "CIFAR-10", "sym", 0.5), [defect]) is defect
    assert defect_of(Cell("FasTEN", "CIFAR-10", "sym", 0.2), [defect]) is None
    with pytest.raises(SuiteError, match=r"two provenance entries cover FasTEN on CIFAR-10 sym 0\.5"):
        defect_of(Cell("FasTEN", "CIFAR-10", "sym", 0.5), [defect, defect])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("comparable: false", "comparable: perhaps", "cells[0].comparable: 'perhaps' is not of type 'boolean'"),
        ("    comparable: false\n", "", "'comparable' is a required property"),
        ("defect: shifted-column", "defect: shiftd-column", "'shiftd-column' of FasTEN is not in its vocabulary"),
        ("evidence: inferred", "evidence: sure", "cells[0].evidence"),
        ("noise_type", "noise", "'noise' was unexpected"),
        ("[0.5, 0.9]", "[50]", "cells[0].noise_rates[0]"),
        ("cells:", "cell:", "'cell' was unexpected"),
        ("cells:", "cells: [", "not valid YAML"),
        ("evidence: inferred", "evidence: inferred\n    evidence: verified", "key 'evidence' is there twice"),
        ("[0.5, 0.9]", "&rates [0.5, *rates]", "does an alias name what it lies in?"),
        (ENTRY, "", "None is not of type 'object'"),
    ],
)
def test_a_broken_file_is_one_clear_line(tmp_path, old, new, message):
    with pytest.raises(SuiteError) as caught:
        read(tmp_path, ENTRY.replace(old, new))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_words_are_explained(tmp_path):
    read(tmp_path, ENTRY)
    assert read_vocabulary(tmp_path / "provenance.yaml") == {"shifted-column": "printed under another noise rate"}


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(SuiteError, match=r"cannot read .*provenance\.yaml"):
        read_provenance(tmp_path / "provenance.yaml")

"""Reading a ledger: one clear line per mistake; judging a claim for each member of a group."""

import pytest
import yaml

from emlc.judging.cells import Cell
from emlc.judging.ledger.claims import judge, judge_remark
from emlc.judging.ledger.csv_files import CsvFiles
from emlc.judging.ledger.evidence import (
    defects_function,
    elsewhere_function,
    no_numbers,
    on_dataset,
    table_functions,
)
from emlc.judging.ledger.logic import MissingNumberError
from emlc.judging.ledger.reading import read_ledger
from emlc.judging.provenance import Defect
from emlc.records.errors import SuiteError

CLAIM = {
    "id": "above-90",
    "quotes": [{"section": "4.1", "text": "more than 90%"}],
    "asserts": "Each variant is above 90 %.",
    "evidence": "table",
    "each": "own",
    "expression": "cell(each, 'A', 'sym', 0.9) > 90",
    "transfers": True,
    "remarks": [{"asserts": "one is", "expression": "any(cell(m, 'A', 'sym', 0.9) > 90 for m in own)"}],
}
PRINTED = [
    Cell("one", "A", "sym", 0.9, 90.71, 0.07),
    Cell("two", "A", "sym", 0.9, 89.57),
    Cell("old", "A", "sym", 0.9, 79.52),
    Cell("old", "A", "sym", 0.5, 88.0),
]


def ledger(folder, claim=None, **changes):
    entry = {key: value for key, value in {**(claim or CLAIM), **changes}.items() if value is not None}
    path = folder / "claims.yaml"
    path.write_text(yaml.safe_dump({"groups": {"own": ["one", "two"], "all": ["old", "one"]}, "claims": [entry]}))
    return read_ledger(path)


def test_a_claim_must_hold_for_each_member_of_its_group(tmp_path):
    read = ledger(tmp_path)
    claim = read.claims[0]
    found = judge(claim, read.groups, table_functions(PRINTED, PRINTED))
    assert (found.verdict, found.only) == ("does not hold", ("one",))
    assert [step.text for step in found.steps] == [
        "one, A, Sym. 90% (90.71 ± 0.07) > 90",
        "two, A, Sym. 90% (89.57) > 90",
    ]
    better = [Cell("two", "A", "sym", 0.9, 90.01), *(cell for cell in PRINTED if cell.method != "two")]
    assert judge(claim, read.groups, table_functions(better, PRINTED)).verdict == "holds"
    assert judge(claim, read.groups, table_functions(better, PRINTED)).only == ()
    worse = [Cell(cell.method, "A", "sym", cell.noise_rate, 10.0) for cell in PRINTED]
    assert judge(claim, read.groups, table_functions(worse, PRINTED)).only == ()
    assert judge_remark(claim, claim.remarks[0], read, table_functions(PRINTED, PRINTED)).verdict == "holds"


@pytest.mark.parametrize(
    ("known", "verdict"), [("one", "not measured"), ("two", "does not hold"), ("none", "not measured")]
)
def test_part_of_the_numbers_may_decide(tmp_path, known, verdict):
    read = ledger(tmp_path)
    some = [cell for cell in PRINTED if cell.method == known]
    assert judge(read.claims[0], read.groups, table_functions(some, PRINTED)).verdict == verdict


def test_best_takes_all_that_the_paper_prints_in_the_column():
    best = table_functions(PRINTED, PRINTED)["best"]
    assert (best(["old", "one"], "A", "sym", 0.9).value, best(["old", "one"], "A", "sym", 0.5).value) == (90.71, 88.0)
    assert best(["old", "one"], "A", "sym", 0.9).label == "one, A, Sym. 90%"
    without = table_functions([cell for cell in PRINTED if cell.method != "old"], PRINTED)
    with pytest.raises(MissingNumberError, match=r"no number for old, A, Sym\. 90%"):
        without["best"](["old", "one"], "A", "sym", 0.9)
    with pytest.raises(SuiteError, match=r"prints no cell of one in A, Sym\. 50%"):
        best(["one"], "A", "sym", 0.5)
    with pytest.raises(SuiteError, match=r"prints no cell three, A, Sym\. 90%"):
        without["cell"]("three", "A", "sym", 0.9)


def test_names_are_read_without_case_and_spaces_as_everywhere():
    assert table_functions(PRINTED, PRINTED)["cell"]("ONE", "a", "Sym", 0.9).value == 90.71


def test_another_dataset_stands_in_under_its_own_name():
    own = [Cell("one", "Digits", "sym", 0.9, 70.0), Cell("one", "Other", "sym", 0.9, 60.0)]
    stand_in = on_dataset(own, "Digits", PRINTED)
    assert [(cell.dataset, cell.mean) for cell in stand_in] == [("A", 70.0)]
    read = table_functions(stand_in, PRINTED, "Digits")["cell"]("one", "A", "sym", 0.9)
    assert (read.value, read.label) == (70.0, "one, Digits, Sym. 90%")


def test_defects_are_counted_by_any_of_their_names():
    provenance = [
        Defect("old", "A", "shifted", True, "verified", "x", noise_rates=(0.9,), also=("budget",)),
        Defect("two", "A", "budget", True, "verified", "x"),
    ]
    defects = defects_function(provenance, PRINTED)["defects"]
    assert [defects(name).value for name in ("shifted", "budget")] == [1, 2]
    assert defects("budget", "A").shown == "two, old" or defects("budget", "A").shown == "old, two"
    assert (defects("budget", "B").value, defects("budget", "B").shown) == (0, "none")
    with pytest.raises(SuiteError, match="no cell has a defect 'other'"):
        defects("other")


def test_numbers_of_files(tmp_path):
    path = tmp_path / "numbers.csv"
    path.write_text("method,epoch,loss,note\nMLC,0,3,x\nMLC,1,1,x\nMLC,1,2,x\nEMLC,1,,x\n")
    (tmp_path / "fig6.csv").write_text("loss\n1\n")
    read = CsvFiles({"figures/fig5.csv": path}, "{file} was not made").functions()
    assert read["value"]("figures/fig5", "loss", method="MLC", epoch=0).value == 3
    assert read["average"]("figures/fig5", "loss", method="MLC").value == 2
    assert read["least"]("figures/fig5", "loss", method="MLC").value == 1
    assert read["least"]("figures/fig5", "loss").label == "least figures/fig5.csv, loss"
    assert read["last"]("figures/fig5", "loss", "epoch", method="MLC").value == 1.5
    assert read["last"]("figures/fig5", "loss", "epoch").shown == "1.5, n = 2"
    assert read["value"]("figures/fig5", "loss", epoch=0.0).label == "figures/fig5.csv, loss, epoch 0.0"
    for name, arguments, message in [
        ("value", ("figures/fig5", "loss"), "4 different|3 different"),
        ("value", ("figures/fig5", "loss", "EMLC"), None),
        ("average", ("figures/fig5", "gain"), "no number for figures/fig5.csv, gain"),
        ("average", ("figures/fig6", "loss"), "fig6.csv was not made"),
        ("last", ("figures/fig5", "loss", "note"), "no column of numbers note"),
    ]:
        with pytest.raises(MissingNumberError if message else TypeError, match=message):
            read[name](*arguments)
    for path in ("../secret", "/etc/passwd", "a/b/c", "", "A"):
        with pytest.raises(SuiteError, match="is no name of a file of numbers"):
            read["value"](path, "loss")


def test_refusals_say_why():
    with pytest.raises(MissingNumberError, match="nothing was run"):
        no_numbers(["value"], "nothing was run")["value"]("timing", "seconds", method="MLC")


def test_numbers_of_other_publications():
    elsewhere = elsewhere_function(PRINTED)["elsewhere"]
    assert elsewhere("old", "A", "sym", 0.9).value == 79.52
    with pytest.raises(SuiteError, match=r"no number published elsewhere is at hand for old, A, Sym\. 20%"):
        elsewhere("old", "A", "sym", 0.2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expression": "cell(each > 90"}, "claim above-90: `cell(each > 90` is no expression"),
        ({"expression": "import os"}, "claim above-90: `import os` is no expression"),
        ({"remarks": [{"asserts": "x", "expression": "x.y"}]}, "claim above-90: `x.y` uses Attribute"),
        ({"each": "others"}, "claim above-90: no group 'others'"),
        ({"evidence": "rumour"}, "claims[0].evidence: 'rumour' is not one of"),
        ({"transfers": None}, "claims[0]: 'transfers' is a required property"),
        ({"quotes": []}, "claims[0].quotes: [] should be non-empty"),
        ({"verdict": "holds"}, "claims[0]: Additional properties are not allowed ('verdict' was unexpected)"),
    ],
)
def test_a_ledger_that_breaks_the_rules_gets_one_clear_line(tmp_path, changes, message):
    with pytest.raises(SuiteError, match=r"claims.yaml: ") as caught:
        ledger(tmp_path, **changes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mistake_that_shows_when_judged_names_the_claim(tmp_path):
    read = ledger(tmp_path, expression="cell(each, 'B', 'sym', 0.9) > 90")
    with pytest.raises(SuiteError, match=r"claim above-90: the paper prints no cell one, B, Sym\. 90%"):
        judge(read.claims[0], read.groups, table_functions(PRINTED, PRINTED))


def test_ids_are_unique_and_files_readable(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump({"groups": {"own": ["one"]}, "claims": [CLAIM, CLAIM]}))
    with pytest.raises(SuiteError, match="claim above-90 is there twice"):
        read_ledger(path)
    path.write_text("claims: [")
    with pytest.raises(SuiteError, match="is not valid YAML"):
        read_ledger(path)
    with pytest.raises(SuiteError, match="cannot read"):
        read_ledger(tmp_path / "none.yaml")

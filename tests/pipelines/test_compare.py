"""The compare step as its users meet it: exit status, files, one line per mistake."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emlc.records.artefacts import write_json
from emlc.records.errors import SuiteError
from pipelines.compare import main

ROOT = Path(__file__).parents[2]
TABLE1 = ROOT / "published" / "table1.csv"
HEADER = "method,dataset,noise_type,noise_rate,mean,std,n_seeds"
DIGITS = [
    "Cross-Entropy,Digits,sym,0.5,84.0,1.0,3",
    "MLC,Digits,sym,0.5,85.0,1.0,3",
    "EMLC (k=1),Digits,sym,0.5,87.0,1.0,3",
    "EMLC (k=5),Digits,sym,0.5,,,0",
    "Clean only,Digits,sym,0.5,78.0,1.0,3",
]


@pytest.fixture
def table(tmp_path):
    def write(*rows):
        path = tmp_path / "result.csv"
        path.write_text("\n".join([HEADER, *rows]) + "\n")
        return str(path)

    return write


def report(path, tmp_path, *options):
    out = tmp_path / "out" / "compare.json"
    status = main([path, str(TABLE1), "--json", str(out), *options])
    return status, json.loads(out.read_text())


def verdict_of(content, method, dataset, noise_type, rate):
    keys = ("method", "dataset", "noise_type", "noise_rate")
    found = [
        cell
        for cell in content["cells"]
        if [cell["published"][key] for key in keys] == [method, dataset, noise_type, rate]
    ]
    assert len(found) == 1
    return found[0]


def test_reproduced_numbers_exit_0(table, tmp_path, capsys):
    status, content = report(table("EMLC (k=1),CIFAR-10,sym,0.5,91.2,0.3,3", "MLC,CIFAR-10,sym,0.5,88.0,,1"), tmp_path)
    assert status == 0
    assert content["counts"] == {"reproduced": 2, "deviates": 0, "not comparable": 0, "not run": 64}
    cell = verdict_of(content, "EMLC (k=1)", "CIFAR-10", "sym", 0.5)
    assert (cell["verdict"], cell["reason"], cell["difference"]) == ("reproduced", "equivalent", 0.04)
    assert cell["test"]["name"] == "Welch"
    assert capsys.readouterr().out == (
        "66 published cells: 2 reproduced, 0 deviates, 0 not comparable, 64 not run (tolerance 1 accuracy points)\n"
    )


def test_one_deviating_number_exits_1_and_names_the_defect(table, tmp_path):
    status, content = report(
        table("EMLC (k=1),CIFAR-10,sym,0.5,91.2,0.3,3", "MLC,CIFAR-10,sym,0.5,80.0,0.3,3"), tmp_path
    )
    assert status == 1
    cell = verdict_of(content, "MLC", "CIFAR-10", "sym", 0.5)
    assert (cell["verdict"], cell["reason"], cell["defect"]["name"]) == ("deviates", "different", "untraced")
    assert cell["why"].endswith("known defect of the published number: untraced")


def test_failed_runs_are_told_from_those_that_never_started(table, tmp_path):
    rows = {"MLC": "80.0,0.3,2", "MLNT": ",,0", "MSLC": ",,0", "Cross-Entropy": "79.4,0.1,3"}
    failed = {"MLC": 1, "MLNT": 3, "MSLC": 0, "Cross-Entropy": 0}
    facts = {"dataset": "CIFAR-10", "noise_type": "sym", "noise_rate": 0.5, "mean": None, "std": None}
    cells = [{**facts, "method": name, "failed": n * [{"folder": "x", "error": "y"}]} for name, n in failed.items()]
    about = {"profile": "x", "title": "T", "protocol": "paper", "selection": "last", "datasets": [], "methods": []}
    write_json(tmp_path / "runs.json", {**about, "seeds": [0, 1, 2], "cells": cells})
    path = table(*(f"{method},CIFAR-10,sym,0.5,{scores}" for method, scores in rows.items()))
    page = tmp_path / "page.md"
    _, content = report(path, tmp_path, "--table", str(tmp_path / "runs.json"), "--md", str(page))
    found = {name: verdict_of(content, name, "CIFAR-10", "sym", 0.5) for name in rows}
    assert [found[name]["reason"] for name in ("MLC", "MLNT", "MSLC")] == ["different", "failed", "no finished run"]
    assert [found[name]["why"] for name in ("MLNT", "MSLC")] == ["its runs failed", "no run of the cell has finished"]
    assert found["MLC"]["why"].endswith("; status of the measured cell: 1 of 3 runs failed")
    assert "status" not in found["Cross-Entropy"]["why"]
    assert "status of the measured cell: 1 of 3 runs failed" in page.read_text()


@pytest.mark.parametrize(
    "row",
    [
        "Cross Entropy,CIFAR10,symmetric,0.5,79.4,0.1,3",
        "cross-entropy,cifar-10,Sym.,0.5,79.4,0.1,3",
        "CE,CIFAR 10,uniform,0.5000001,79.4,0.1,3",
        "Cross_Entropy,Cifar-10,SYM,0.50,79.4,0.1,3",
    ],
)
def test_the_field_s_spellings_are_one_name(table, tmp_path, row):
    status, content = report(table(row), tmp_path)
    assert (status, content["counts"]["reproduced"], content["unmatched"]) == (0, 1, [])


@pytest.mark.parametrize(
    "written", [lambda rate: 1 - (1 - rate), lambda rate: float(np.float32(rate)), lambda rate: rate]
)
def test_rates_are_equal_to_six_digits(table, tmp_path, written):
    rows = [
        f"{line['method']},{line['dataset']},{line['noise_type']},{written(float(line['noise_rate']))!r},{line['mean']},,"
        for line in csv.DictReader(TABLE1.open())
    ]
    status, content = report(table(*rows), tmp_path)
    assert (status, content["counts"]["reproduced"], content["counts"]["not comparable"]) == (0, 61, 5)
    assert (content["counts"]["not run"], content["not_in_the_paper"], content["unmatched"]) == (0, [], [])


def test_names_that_the_paper_does_not_have_are_listed_with_the_nearest(table, tmp_path, capsys):
    rows = [
        "EMCL (k=1),CIFAR-10,sym,0.5,91.0,0.1,3",
        "MLC,CIFAR-11,sym,0.5,88.0,0.1,3",
        "MLC,CIFAR-10,symy,0.5,88,0.1,3",
    ]
    page = tmp_path / "page.md"
    status, content = report(table(*rows), tmp_path, "--md", str(page))
    assert status == 3
    assert content["unmatched"] == [
        {"axis": "method", "name": "EMCL (k=1)", "nearest": "EMLC (k=1)"},
        {"axis": "dataset", "name": "CIFAR-11", "nearest": "CIFAR-10"},
        {"axis": "noise_type", "name": "symy", "nearest": "sym"},
    ]
    assert "method 'EMCL (k=1)'; the nearest is 'EMLC (k=1)'" in capsys.readouterr().err
    assert "- method `EMCL (k=1)` (nearest: `EMLC (k=1)`)" in page.read_text()


def test_a_comparison_without_a_judged_cell_says_why_and_starts_with_what_can_be_read(table, tmp_path, capsys):
    page = tmp_path / "page.md"
    status, content = report(table(*DIGITS), tmp_path, "--md", str(page))
    why = "No published number could be judged: 60 not run, 6 measured on other data sets only."
    assert (status, content["counts"]["reproduced"], content["counts"]["deviates"]) == (3, 0, 0)
    head, *sections = page.read_text().split("\n## ")
    assert head.splitlines()[4].startswith(f"{why} What can be read is how far the methods' order agrees.")
    assert [section.splitlines()[0] for section in sections][:2] == ["Rank agreement", "Cells"]
    assert why in capsys.readouterr().err


def test_an_empty_result_is_no_success(table, tmp_path, capsys):
    status, content = report(table(), tmp_path)
    assert (status, content["counts"]["not run"]) == (3, 66)
    assert "No published number could be judged: 66 not run.\n" in capsys.readouterr().err


def test_a_pair_flip_is_not_the_asymmetric_noise_of_the_field(table, tmp_path):
    status, content = report(table("MLNT,CIFAR-10,pair-flip,0.4,88.6,,"), tmp_path)
    assert (status, content["unmatched"]) == (3, [{"axis": "noise_type", "name": "pair-flip", "nearest": None}])


def test_the_tolerance_is_the_users(table, tmp_path):
    path = table("MLC,CIFAR-10,sym,0.5,80.0,0.3,3")
    assert report(path, tmp_path, "--tolerance", "8.2")[0] == 0
    assert report(path, tmp_path, "--tolerance", "8")[0] == 1


def test_fastens_shifted_columns_are_never_deviated_from(table, tmp_path):
    rows = [f"FasTEN,CIFAR-10,sym,{rate},50.0,0.3,5" for rate in (0.5, 0.8, 0.9)]
    rows += [f"FasTEN,CIFAR-100,sym,{rate},20.0,0.3,5" for rate in (0.5, 0.8)]
    status, content = report(table(*rows), tmp_path)
    assert status == 3  # nothing that could be judged
    measured = [cell for cell in content["cells"] if cell["measured"]]
    assert [(cell["verdict"], cell["reason"]) for cell in measured] == [("not comparable", "shifted-column")] * 5
    assert report(table("FasTEN,CIFAR-10,sym,0.2,50.0,0.3,5"), tmp_path)[0] == 1


def test_no_number_with_a_protocol_mismatch_is_called_deviating_without_saying_so(tmp_path):
    with TABLE1.open() as handle:
        rows = list(csv.DictReader(handle))
    for row in rows:
        row.update(mean=str(float(row["mean"]) / 2), std="0.1", n_seeds="5")
    path = tmp_path / "halved.csv"
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    status, content = report(str(path), tmp_path)
    assert (status, content["counts"]["deviates"], content["counts"]["not comparable"]) == (1, 61, 5)
    for cell in content["cells"]:
        assert cell["defect"] is not None
        for name in (cell["defect"]["name"], *cell["defect"]["also"]):
            assert name in cell["why"].partition("known defect of the published number: ")[2]
    cell = verdict_of(content, "MSLC", "CIFAR-10", "asym", 0.4)
    assert cell["why"].endswith("known defect of the published number: untraced, asym-definition")


def test_what_the_table_leaves_out_stands_on_the_page(table, tmp_path):
    pages = {}
    for name in ("table1", "table2"):
        published = str(ROOT / "published" / f"{name}.csv")
        outputs = ["--md", str(tmp_path / f"{name}.md"), "--json", str(tmp_path / f"{name}.json")]
        main([table("MLC,Digits,sym,0.5,85.0,1.0,3"), published, *outputs])
        pages[name] = (tmp_path / f"{name}.md").read_text().partition("## Not in the published table")[2]
        absent = json.loads((tmp_path / f"{name}.json").read_text())["absent"]
        assert all(entry["explanation"] in pages[name] for entry in absent)
    assert "Contrast to Divide" in pages["table1"]
    assert "Contrast to Divide" not in pages["table2"]
    assert "74.45" in pages["table2"]


def test_the_published_table_reproduces_itself(tmp_path):
    status, content = report(str(TABLE1), tmp_path)
    assert status == 0
    assert content["counts"] == {"reproduced": 61, "deviates": 0, "not comparable": 5, "not run": 0}
    assert {rank["tau"] for rank in content["rank_agreement"]} == {1.0}


def test_the_embedded_data_set_is_honestly_not_comparable(table, tmp_path):
    status, content = report(table(*DIGITS), tmp_path)
    assert status == 3
    assert content["counts"] == {"reproduced": 0, "deviates": 0, "not comparable": 6, "not run": 60}
    cell = verdict_of(content, "EMLC (k=1)", "CIFAR-100", "sym", 0.5)
    assert (cell["verdict"], cell["reason"], cell["difference"]) == ("not comparable", "dataset", None)
    assert [own["mean"] for own in cell["measured"]] == [87.0]
    assert [row["method"] for row in content["not_in_the_paper"]] == ["Clean only"]
    ranks = [
        (rank["published_dataset"], rank["measured_dataset"], rank["tau"], rank["n"])
        for rank in content["rank_agreement"]
    ]
    assert ranks == [("CIFAR-10", "Digits", 1.0, 3), ("CIFAR-100", "Digits", 1.0, 3)]


def test_the_page_says_the_same_as_the_data(table, tmp_path):
    pages = [tmp_path / name for name in ("one.md", "two.md")]
    rows = [*DIGITS, "MLC,CIFAR-10,sym,0.9,60.0,0.5,3", "Odd|name,Digits,sym,0.5,70.0,,"]
    for page in pages:
        status, _ = report(table(*rows), tmp_path, "--md", str(page))
    assert status == 1
    assert pages[0].read_bytes() == pages[1].read_bytes()
    text = pages[0].read_text()
    assert (
        "**66 published cells: 0 reproduced, 1 deviates, 6 not comparable, 59 not run (tolerance 1 accuracy points).**"
        in text
    )
    lines = [[part.strip() for part in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    page = {tuple(line[:3]): line[3:7] for line in lines if len(line) == 8}
    assert page.pop(("Method", "Dataset", "Noise")) == ["Published", "Measured", "Difference", "Verdict"]
    assert len(page) == 66
    assert page["MLC", "CIFAR-10", "Sym. 90%"] == ["67.90", "60.00 ± 0.50 (n=3)", "-7.90", "deviates (different)"]
    assert page["EMLC (k=1)", "CIFAR-10", "Sym. 50%"][1:] == [
        "87.00 ± 1.00 (n=3) on Digits",
        "",
        "not comparable (dataset)",
    ]
    assert page["EMLC (k=1)", "CIFAR-10", "Sym. 50%"][0] == "91.16 ± 0.25 (n=5)"
    assert ["Sym. 50%", "CIFAR-10", "Digits", "1.00", "0.333", "3", "Cross-Entropy, MLC, EMLC (k=1)"] in lines
    assert ["Clean only", "Digits", "Sym. 50%", "78.00 ± 1.00 (n=3)"] in lines
    assert "Odd\\|name" in text
    assert "## How the verdict is made" in text


def test_a_table_without_provenance_is_compared_without_it(table, tmp_path):
    published = tmp_path / "published.csv"
    published.write_bytes(TABLE1.read_bytes())
    out = tmp_path / "compare.md"
    assert main([table("FasTEN,CIFAR-10,sym,0.9,20.0,0.3,5"), str(published), "--md", str(out)]) == 1
    assert "Known defects" not in out.read_text()
    (tmp_path / "provenance.yaml").write_text("vocabulary: {}\ncells: 3\n")
    with pytest.raises(SuiteError, match=r"provenance.yaml: cells: 3 is not of type 'array'"):
        main([str(TABLE1), str(published)])


def test_clothing1m_has_no_noise_columns(tmp_path, table):
    out = tmp_path / "compare.json"
    path = table("Cross-Entropy,Clothing1M,,,69.0,0.2,3", "EMLC (k=1),Clothing1M,,,78.0,0.2,3")
    assert main([path, str(ROOT / "published" / "table2.csv"), "--json", str(out)]) == 1
    verdicts = {cell["published"]["method"]: cell["verdict"] for cell in json.loads(out.read_text())["cells"]}
    assert (verdicts["Cross-entropy"], verdicts["EMLC (k=1)"], verdicts["MLC"]) == ("reproduced", "deviates", "not run")


def test_inputs_are_never_overwritten(table):
    path = table(*DIGITS)
    for outputs in (["--json", path], ["--md", path], ["--json", path + ".x", "--md", path + ".x"]):
        with pytest.raises(SuiteError, match="two files that are not the inputs"):
            main([path, str(TABLE1), *outputs])
    with Path(path).open() as handle:
        assert len(list(csv.reader(handle))) == 6


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (None, [], "cannot read"),
        (["MLC,Digits,sym,1.5,80,1,3"], [], "noise_rate is 1.5"),
        (["MLC,Digits,sym,0.5,eighty,1,3"], [], "mean is 'eighty', not a number"),
        (
            ["MLC,CIFAR-10,sym,0.5,0.88,0.01,3"],
            [],
            "all means are at most 1, so they are fractions; write accuracies in %",
        ),
        (["x"], ["semicolons"], "separates its values by semicolons; save it with commas"),
        (DIGITS, ["--tolerance", "wide"], "'wide' is not a number of accuracy points"),
        (DIGITS, ["--tolerance", "-1"], "-1"),
        (DIGITS, ["--tolerance", "nan"], "nan"),
        (DIGITS, ["--html", "x"], "unrecognized arguments"),
    ],
)
def test_mistakes_exit_2_with_one_line_and_write_nothing(tmp_path, rows, options, message):
    if rows is not None:
        separator, options = (";", []) if options == ["semicolons"] else (",", options)
        (tmp_path / "result.csv").write_text("\n".join([HEADER, *rows]).replace(",", separator))
    before = sorted(tmp_path.iterdir())
    command = [sys.executable, "-m", "pipelines.compare", str(tmp_path / "result.csv"), str(TABLE1), *options]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "o.json"), "--md", str(tmp_path / "o.md")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_exit_status_of_the_command_line_and_no_torch(tmp_path):
    result = tmp_path / "result.csv"
    code = "import sys, runpy; sys.argv[0] = 'compare'; runpy.run_module('pipelines.compare', run_name='__main__')"
    code = f"import atexit, sys; atexit.register(lambda: print('torch' in sys.modules)); {code}"
    for mean, status in [(91.0, 0), (50.0, 1)]:
        result.write_text(f"{HEADER}\nEMLC (k=1),CIFAR-10,sym,0.5,{mean},0.2,5\n")
        done = subprocess.run(
            [sys.executable, "-c", code, str(result), str(TABLE1)], cwd=ROOT, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (status, "")
        assert done.stdout.endswith("False\n")

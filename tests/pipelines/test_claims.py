"""The ledger of the paper's claims: its quotes, its verdicts on the published numbers, and on measured ones."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from emlc.records.errors import SuiteError
from pipelines.claims import by_name, main

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "published"
PAPER = ROOT.parent / "shared" / "paper"
METHODS = ["Cross-Entropy", "MW-Net", "MLNT", "MLC", "MSLC", "FasTEN", "EMLC (k=1)", "EMLC (k=5)"]
RATES = [("sym", 0.2), ("sym", 0.5), ("sym", 0.8), ("sym", 0.9), ("asym", 0.4)]


def table(accuracy, dataset="UCI digits", seeds=(0, 1)):
    """A measured table; `accuracy(method, noise, rate, seed)` gives the score, None a run that is not there."""
    cells = []
    for noise, rate in RATES:
        for method in METHODS:
            scores = [score for seed in seeds if (score := accuracy(method, noise, rate, seed)) is not None]
            cells.append(
                {
                    "method": method,
                    "dataset": dataset,
                    "noise_type": noise,
                    "noise_rate": rate,
                    "mean": sum(scores) / len(scores) if scores else None,
                    "std": None,
                    "n_seeds": len(scores),
                    "accuracies": scores,
                    "failed": [],
                    "missing": 0,
                }
            )
    about = {"profile": "x", "protocol": "paper", "selection": "last", "seeds": list(seeds), "methods": METHODS}
    return {**about, "datasets": [{"title": dataset}], "cells": cells}


@pytest.fixture
def published(tmp_path):
    """A copy of the published numbers to edit."""
    return Path(shutil.copytree(PUBLISHED, tmp_path / "published"))


def edit(path, method, dataset, rate, mean):
    with path.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    wanted = (method, dataset, "sym", str(rate))
    found = [row for row in rows if (row["method"], row["dataset"], row["noise_type"], row["noise_rate"]) == wanted]
    found[0]["mean"] = str(mean)
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def judged(tmp_path, content=None, published=PUBLISHED, measured="*.csv"):
    """The claims by id, from the command line step."""
    results = tmp_path / "results"
    results.mkdir(exist_ok=True)
    (results / "table1.json").write_text(json.dumps(content or table(lambda *_: None)))
    outputs = ["--md", str(results / "claims.md"), "--json", str(results / "claims.json")]
    arguments = ["--table", str(results / "table1.json"), "--published", str(published), *outputs]
    arguments += ["--measured", *map(str, results.rglob(measured))]
    assert main([*arguments, "--ledger", str(published / "claims.yaml")]) == 0
    return {entry["id"]: entry for entry in json.loads((results / "claims.json").read_text())["claims"]}


def squeezed(text):
    return re.sub(r"[^a-z0-9]", "", text.replace("\\%", "%").replace("- ", "-").casefold())


def test_every_quote_stands_in_the_paper():
    texts = sorted(PAPER.glob("*.txt"))
    if not texts:
        pytest.skip("the paper's text is not beside this repository (../shared/paper)")
    paper = squeezed("\n".join(path.read_text(encoding="utf-8") for path in texts))
    claims = yaml.safe_load((PUBLISHED / "claims.yaml").read_text())["claims"]
    assert len(claims) >= 20
    quotes = [quote["text"] for claim in claims for quote in claim["quotes"]]
    assert [quote for quote in quotes if squeezed(quote) not in paper] == []
    assert all(len(quote.split()) >= 4 for quote in quotes)


def test_the_published_numbers_decide_what_they_can(tmp_path):
    claims = judged(tmp_path)
    verdicts = {name: (entry["published"]["verdict"], entry["published"]["only"]) for name, entry in claims.items()}
    failing = {name: only for name, (verdict, only) in verdicts.items() if verdict == "does not hold"}
    assert failing == {
        "state-of-the-art": [],
        "both-variants-best-on-cifar": ["EMLC (k=5)"],
        "multi-step-best-on-cifar": [],
        "above-90-on-cifar-10": ["EMLC (k=1)"],
        "gain-at-50-on-cifar-10": [],
        "gain-at-50-on-cifar-100": [],
        "unlike-the-cifar-experiments": [],
        "columns-hold-their-noise-rate": [],
        "one-protocol-in-table-1": [],
        "asymmetric-noise-is-standard": [],
        "ticks-of-table-2": [],
    }
    holding = {name for name, (verdict, _) in verdicts.items() if verdict == "holds"}
    assert holding == {
        "best-in-table-1",
        "high-noise-lead",
        "above-50-on-cifar-100",
        "five-steps-best-at-50-on-cifar-100",
        "best-on-clothing1m",
        "gain-on-clothing1m",
        "gain-over-mlc-on-clothing1m",
        "one-step-better-on-clothing1m",
        "half-the-time",
        "twice-as-fast",
        "faster-than-mlc",
        "five-steps-cheaper-than-one",
    }
    assert {verdict for verdict, _ in verdicts.values()} == {"holds", "does not hold", "no number printed"}
    assert {entry["measured"]["verdict"] for entry in claims.values()} == {"not measured"}


def test_the_gains_of_section_4_1_do_not_follow_from_table_1(tmp_path):
    claims = judged(tmp_path)
    for name, difference, stated in (
        ("gain-at-50-on-cifar-10", "= 2.56 == 2.16", "2.16"),
        ("gain-at-50-on-cifar-100", "= 3.21 == 3.58", "3.58"),
    ):
        (step,) = claims[name]["published"]["steps"]
        assert (step["holds"], step["text"].endswith(difference)) == (False, True)
        pair, readme = claims[name]["remarks"]
        assert (pair["verdict"], readme["verdict"]) == ("does not hold", "holds")
        assert readme["steps"][0]["text"].endswith(f"= {stated} == {stated}")


@pytest.mark.parametrize(
    ("method", "dataset", "rate", "mean", "claim", "verdict", "only"),
    [
        ("EMLC (k=5)", "CIFAR-10", 0.5, 92.23, "gain-at-50-on-cifar-10", "holds", []),
        ("MSLC", "CIFAR-100", 0.5, 65.03, "gain-at-50-on-cifar-100", "holds", []),
        ("EMLC (k=5)", "CIFAR-10", 0.9, 90.57, "above-90-on-cifar-10", "holds", []),
        ("EMLC (k=1)", "CIFAR-10", 0.9, 89.0, "above-90-on-cifar-10", "does not hold", []),
        ("FasTEN", "CIFAR-10", 0.8, 91.0, "best-in-table-1", "does not hold", []),
        ("FasTEN", "CIFAR-10", 0.8, 90.0, "high-noise-lead", "does not hold", ["EMLC (k=1)"]),
    ],
)
def test_another_published_cell_is_another_verdict(
    tmp_path, published, method, dataset, rate, mean, claim, verdict, only
):
    edit(published / "table1.csv", method, dataset, rate, mean)
    found = judged(tmp_path, published=published)[claim]["published"]
    assert (found["verdict"], found["only"]) == (verdict, only)


def test_shifted_columns_are_found_in_the_provenance(tmp_path, published):
    path = published / "provenance.yaml"
    path.write_text(path.read_text().replace("defect: shifted-column", "defect: untraced", 1))
    (step,) = judged(tmp_path, published=published)["columns-hold-their-noise-rate"]["published"]["steps"]
    assert "= 4 == 0" in step["text"]


def test_measured_records_of_the_papers_data_decide(tmp_path):
    scores = {"EMLC (k=1)": 91.0, "EMLC (k=5)": 92.0}
    content = table(lambda method, noise, rate, seed: scores.get(method, 80.0) + seed, "CIFAR-10")
    claims = judged(tmp_path, content)
    assert claims["above-90-on-cifar-10"]["measured"]["verdict"] == "holds"
    assert claims["above-90-on-cifar-10"]["transferred"] == []
    assert claims["gain-at-50-on-cifar-10"]["measured"]["verdict"] == "does not hold"
    assert claims["best-in-table-1"]["measured"]["verdict"] == "not measured"  # the CIFAR-100 half is open
    low = table(lambda method, *_: 80.0 if method == "FasTEN" else 70.0, "CIFAR-10")
    assert judged(tmp_path, low)["best-in-table-1"]["measured"]["verdict"] == "does not hold"


def test_other_data_stands_beside_and_decides_nothing(tmp_path):
    content = table(lambda method, noise, rate, seed: 90.0 + seed * ("k=5" in method) if "EMLC" in method else 80.0)
    claims = judged(tmp_path, content)
    assert {entry["measured"]["verdict"] for entry in claims.values()} == {"not measured"}
    best = claims["best-in-table-1"]["transferred"][0]
    assert (best["dataset"], best["verdict"], best["seeds"], best["seeds_agreeing"]) == ("UCI digits", "holds", 2, 2)
    steps = claims["multi-step-best-on-cifar"]["transferred"][0]
    assert (steps["verdict"], steps["seeds_agreeing"]) == ("holds", 1)  # k=5 leads with one of the two seeds only
    assert all("UCI digits" in step["text"] and "CIFAR" not in step["text"] for step in best["steps"])
    assert claims["above-90-on-cifar-10"]["transferred"] == []


def test_a_missing_run_leaves_a_claim_open_unless_the_others_decide(tmp_path):
    content = table(lambda method, *_: None if method == "FasTEN" else 90.0 if "EMLC" in method else 80.0)
    assert judged(tmp_path, content)["best-in-table-1"]["transferred"][0]["verdict"] == "not measured"
    content = table(lambda method, *_: None if method == "FasTEN" else 70.0 if "EMLC" in method else 80.0)
    found = judged(tmp_path, content)["best-in-table-1"]["transferred"][0]
    assert found["verdict"] == "does not hold"  # on CIFAR-100 with 90 % the paper prints no FasTEN
    assert {step["holds"] for step in found["steps"]} == {None, False}


def timing(folder, one_step):
    (folder / "results").mkdir(exist_ok=True)
    rows = ["net,method,times faster than MLC (double backward)", f"a,EMLC (k=1),{one_step}", "b,EMLC (k=1),1.5"]
    (folder / "results" / "timing.csv").write_text("\n".join([*rows, "a,EMLC (k=5),1.6", "b,EMLC (k=5),1.7", ""]))


def test_times_are_read_from_a_file_beside_the_table(tmp_path):
    timing(tmp_path, one_step=1.2)
    claims = judged(tmp_path)
    assert claims["faster-than-mlc"]["measured"]["verdict"] == "holds"
    assert claims["five-steps-cheaper-than-one"]["measured"]["verdict"] == "holds"
    assert claims["half-the-time"]["measured"]["only"] == []  # 1.65 times faster is 0.6 of the time
    timing(tmp_path, one_step=0.9)
    found = judged(tmp_path)["faster-than-mlc"]["measured"]
    assert (found["verdict"], found["only"]) == ("does not hold", ["EMLC (k=5)"])


def test_figures_of_other_data_decide_nothing(tmp_path):
    figures = tmp_path / "results" / "figures"
    figures.mkdir(parents=True)
    rows = ["method,seed,epoch,recovery", "EMLC (k=1) with SimCLR,0,1,10", "EMLC (k=1) with SimCLR,0,2,80"]
    (figures / "fig1.csv").write_text("\n".join([*rows, "MLC,0,2,70", "MLC with SimCLR,0,2,75", ""]))
    claim = judged(tmp_path, table(lambda *_: 80.0))["recovers-more-labels"]
    assert claim["measured"]["verdict"] == "not measured"
    assert claim["measured"]["steps"][0]["text"] == "nothing was run on CIFAR-10"
    assert [(item["dataset"], item["verdict"]) for item in claim["transferred"]] == [("UCI digits", "holds")]
    claim = judged(tmp_path, table(lambda *_: 80.0, "CIFAR-10"))["recovers-more-labels"]
    assert (claim["measured"]["verdict"], claim["transferred"]) == ("holds", [])


def test_files_that_another_profile_left_decide_nothing(tmp_path):
    timing(tmp_path, one_step=1.2)
    found = judged(tmp_path, measured="splits.csv")["faster-than-mlc"]["measured"]
    assert found["verdict"] == "not measured"
    assert {step["text"] for step in found["steps"]} == {"timing.csv was not made"}


def test_measured_files_lie_below_the_results(tmp_path):
    with pytest.raises(SuiteError, match=r"timing\.csv' is not in the subpath of .*below the folder of results"):
        by_name([tmp_path / "elsewhere" / "timing.csv"], tmp_path / "results")


def test_the_page_shows_every_claim_with_the_numbers(tmp_path):
    claims = judged(tmp_path, table(lambda *_: 80.0))
    page = (tmp_path / "results" / "claims.md").read_text()
    assert all(f"\n### {name}\n" in page and f"](#{name})" in page for name in claims)
    assert "does not hold; it holds for EMLC (k=1) only" in page
    assert "- EMLC (k=5), CIFAR-10, Sym. 90% (89.57 ± 0.30) > 90: no" in page
    assert "**On UCI digits, not the paper's data: does not hold" in page
    again = judged(tmp_path, table(lambda *_: 80.0))
    assert again == claims
    assert (tmp_path / "results" / "claims.md").read_text() == page


def test_a_malformed_expression_gets_one_line_and_no_file(tmp_path, published):
    path = published / "claims.yaml"
    path.write_text(path.read_text().replace("above-90", "above", 0).replace("> 90\n", "> 90 >\n"))
    with pytest.raises(SuiteError, match=r"claim above-90-on-cifar-10: .*is no expression") as caught:
        judged(tmp_path, published=published)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "results" / "claims.md").exists()

"""The ledger of the paper's claims: its quotes, its verdicts on the published numbers, and on measured ones."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from emlc.judging.cells import read_published
from emlc.judging.ledger.reading import read_ledger
from emlc.records.artefacts import read_json
from emlc.records.errors import SuiteError
from pipelines.claims import judge_all, make
from pipelines.evidence.measured import Measured
from pipelines.evidence.numbers import Numbers, read_paper
from pipelines.page.claims import as_markdown, said_in
from pipelines.profile.places import PUBLISHED, ROOT
from tests.pipelines.records import made
from tests.pipelines.report_results import page_jobs, write_results

PAPER = ROOT.parent / "shared" / "paper"
METHODS = ["Cross-Entropy", "MW-Net", "MLNT", "MLC", "MSLC", "FasTEN", "EMLC (k=1)", "EMLC (k=5)"]
RATES = [("sym", 0.2), ("sym", 0.5), ("sym", 0.8), ("sym", 0.9), ("asym", 0.4)]


def table(accuracy, dataset="UCI digits", seeds=(0, 1), columns=RATES, methods=METHODS):
    """A measured table; `accuracy(method, noise, rate, seed)` gives the score, None a run that is not there."""
    cells = []
    for noise, rate in columns:
        for method in methods:
            scores = {str(seed): accuracy(method, noise, rate, seed) for seed in seeds}
            known = [score for score in scores.values() if score is not None]
            cells.append(
                {
                    "method": method,
                    "dataset": dataset,
                    "noise_type": noise,
                    "noise_rate": rate,
                    "mean": sum(known) / len(known) if known else None,
                    "std": None,
                    "by_seed": {seed: score for seed, score in scores.items() if score is not None},
                }
            )
    return {"seeds": list(seeds), "cells": cells}


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


def judged(*tables, published=PUBLISHED, files=(), places=None):
    """The claims by id; `tables` are the profile's table1, table2, ..., `files` measured files by name."""
    named = {f"table{number}": content for number, content in enumerate(tables or [table(lambda *_: None)], start=1)}
    numbers = Numbers(read_paper(published), Measured(named, dict(files), places or {}))
    claims = json.loads(json.dumps(judge_all(read_ledger(published / "claims.yaml"), numbers)))
    return {entry["id"]: entry for entry in claims}


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


def test_the_published_numbers_decide_what_they_can():
    claims = judged()
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


def test_the_gains_of_section_4_1_do_not_follow_from_table_1():
    claims = judged()
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
def test_another_published_cell_is_another_verdict(published, method, dataset, rate, mean, claim, verdict, only):
    edit(published / "table1.csv", method, dataset, rate, mean)
    found = judged(published=published)[claim]["published"]
    assert (found["verdict"], found["only"]) == (verdict, only)


def test_shifted_columns_are_found_in_the_provenance(published):
    path = published / "provenance.yaml"
    path.write_text(path.read_text().replace("defect: shifted-column", "defect: untraced", 1))
    (step,) = judged(published=published)["columns-hold-their-noise-rate"]["published"]["steps"]
    assert "= 4 == 0" in step["text"]


def test_measured_records_of_the_papers_data_decide():
    scores = {"EMLC (k=1)": 91.0, "EMLC (k=5)": 92.0}
    content = table(lambda method, noise, rate, seed: scores.get(method, 80.0) + seed, "CIFAR-10")
    claims = judged(content)
    assert claims["above-90-on-cifar-10"]["measured"]["verdict"] == "holds"
    assert claims["above-90-on-cifar-10"]["transferred"] == []
    assert claims["gain-at-50-on-cifar-10"]["measured"]["verdict"] == "does not hold"
    assert claims["best-in-table-1"]["measured"]["verdict"] == "not measured"  # the CIFAR-100 half is open
    low = table(lambda method, *_: 80.0 if method == "FasTEN" else 70.0, "CIFAR-10")
    assert judged(low)["best-in-table-1"]["measured"]["verdict"] == "does not hold"


def test_other_data_stands_beside_and_decides_nothing():
    content = table(lambda method, noise, rate, seed: 90.0 + seed * ("k=5" in method) if "EMLC" in method else 80.0)
    claims = judged(content)
    assert {entry["measured"]["verdict"] for entry in claims.values()} == {"not measured"}
    best = claims["best-in-table-1"]["transferred"][0]
    assert (best["dataset"], best["verdict"], best["seeds"], best["seeds_agreeing"]) == ("UCI digits", "holds", 2, 2)
    steps = claims["multi-step-best-on-cifar"]["transferred"][0]
    assert (steps["verdict"], steps["seeds_agreeing"]) == ("holds", 1)  # k=5 leads with one of the two seeds only
    assert all("UCI digits" in step["text"] and "CIFAR" not in step["text"] for step in best["steps"])
    assert claims["above-90-on-cifar-10"]["transferred"] == []


def test_a_missing_run_leaves_a_claim_open_unless_the_others_decide():
    content = table(lambda method, *_: None if method == "FasTEN" else 90.0 if "EMLC" in method else 80.0)
    assert judged(content)["best-in-table-1"]["transferred"][0]["verdict"] == "not measured"
    content = table(lambda method, *_: None if method == "FasTEN" else 70.0 if "EMLC" in method else 80.0)
    found = judged(content)["best-in-table-1"]["transferred"][0]
    assert found["verdict"] == "does not hold"  # on CIFAR-100 with 90 % the paper prints no FasTEN
    assert {step["holds"] for step in found["steps"]} == {None, False}


def timing(folder, one_step):
    rows = ["net,method,times faster than MLC (double backward)", f"a,EMLC (k=1),{one_step}", "b,EMLC (k=1),1.5"]
    path = folder / "timing.csv"
    path.write_text("\n".join([*rows, "a,EMLC (k=5),1.6", "b,EMLC (k=5),1.7", ""]))
    return {"timing.csv": path}


def test_times_are_read_from_a_file(tmp_path):
    claims = judged(files=timing(tmp_path, one_step=1.2))
    assert claims["faster-than-mlc"]["measured"]["verdict"] == "holds"
    assert claims["five-steps-cheaper-than-one"]["measured"]["verdict"] == "holds"
    assert claims["half-the-time"]["measured"]["only"] == []  # 1.65 times faster is 0.6 of the time
    found = judged(files=timing(tmp_path, one_step=0.9))["faster-than-mlc"]["measured"]
    assert (found["verdict"], found["only"]) == ("does not hold", ["EMLC (k=5)"])
    found = judged()["faster-than-mlc"]["measured"]
    assert (found["verdict"], [step["text"] for step in found["steps"]]) == (
        "not measured",
        ["timing.csv was not made"],
    )


def test_figures_of_other_data_decide_nothing(tmp_path):
    rows = ["method,seed,epoch,recovery", "EMLC (k=1) with SimCLR,0,1,10", "EMLC (k=1) with SimCLR,0,2,80"]
    (tmp_path / "fig1.csv").write_text("\n".join([*rows, "MLC,0,2,70", "MLC with SimCLR,0,2,75", ""]))
    files = {"figures/fig1.csv": tmp_path / "fig1.csv"}
    claim = judged(files=files, places={"figures/fig1": "UCI digits"})["recovers-more-labels"]
    assert claim["measured"]["verdict"] == "not measured"
    assert claim["measured"]["steps"][0]["text"] == "nothing was run on CIFAR-10"
    assert [(item["dataset"], item["verdict"]) for item in claim["transferred"]] == [("UCI digits", "holds")]
    claim = judged(files=files, places={"figures/fig1": "CIFAR-10"})["recovers-more-labels"]
    assert (claim["measured"]["verdict"], claim["transferred"]) == ("holds", [])


def test_a_figure_is_of_its_own_data_whatever_the_tables_hold(tmp_path):
    """Tables of CIFAR-10 do not make a figure on other data one of CIFAR-10."""
    (tmp_path / "fig1.csv").write_text("method,seed,epoch,recovery\n")
    files, places = {"figures/fig1.csv": tmp_path / "fig1.csv"}, {"figures/fig1": "UCI digits"}
    claim = judged(table(lambda *_: 80.0, "CIFAR-10"), files=files, places=places)["recovers-more-labels"]
    assert claim["measured"]["steps"][0]["text"] == "nothing was run on CIFAR-10"


CLOTHING = ["MLC", "FasTEN", "EMLC (k=1)", "EMLC (k=5)"]


def test_clothing1m_is_read_from_the_second_table():
    scores = {"EMLC (k=1)": 79.0, "EMLC (k=5)": 78.0}
    clothing = table(lambda m, *_: scores.get(m, 75.0), "Clothing1M", columns=[("", None)], methods=CLOTHING)
    claims = judged(table(lambda *_: 80.0), clothing)
    assert claims["one-step-better-on-clothing1m"]["measured"]["verdict"] == "holds"
    assert claims["gain-over-mlc-on-clothing1m"]["measured"]["verdict"] == "holds"
    assert claims["best-on-clothing1m"]["measured"]["verdict"] == "not measured"  # of 16 others, two were run
    assert claims["unlike-the-cifar-experiments"]["measured"]["verdict"] == "not measured"


def test_each_printed_number_has_its_measured_one_in_the_table_of_its_name():
    """Two tables may report a column by two rules; each printed table has its own of the profile beside it."""
    high, low = (table(lambda *_, score=score: score, "CIFAR-10") for score in (91.0, 10.0))
    assert judged(high, low)["above-90-on-cifar-10"]["measured"]["verdict"] == "holds"
    assert judged(low, high)["above-90-on-cifar-10"]["measured"]["verdict"] == "does not hold"


def test_the_gains_on_clothing1m_are_measured_from_the_second_table():
    """The paper's own digits but for one: 1.52 is a gain over FasTEN, more than 3.5 one over MLC."""
    printed = {cell.method: cell.mean for cell in read_published(PUBLISHED / "table2.csv")}
    for method, change, verdict in (("MW-Net", 1.0, "holds"), ("FasTEN", 0.5, "does not hold")):
        scores = {**printed, method: printed[method] + change}
        clothing = table(lambda m, *_: scores[m], "Clothing1M", columns=[("", None)], methods=list(printed))  # noqa: B023
        claims = judged(table(lambda *_: 80.0), clothing)
        assert claims["gain-on-clothing1m"]["measured"]["verdict"] == verdict
        assert claims["gain-over-mlc-on-clothing1m"]["measured"]["verdict"] == "holds"
        assert claims["best-on-clothing1m"]["measured"]["only"] == ([] if verdict == "holds" else ["EMLC (k=1)"])


def test_a_table_stands_in_for_the_data_of_its_own_printed_table_only():
    """On Clothing1M the paper draws no noise, so each measured column stands in for it by itself."""
    scores = {"sym": {"EMLC (k=1)": 70.0}, "asym": {"EMLC (k=1)": 60.0}}
    clothes = table(lambda m, noise, *_: scores[noise].get(m, 65.0), "Clothes", columns=RATES[-2:], methods=CLOTHING)
    claims = judged(table(lambda *_: 80.0), clothes)
    for name in ("one-step-better-on-clothing1m", "gain-over-mlc-on-clothing1m"):
        found = {item["dataset"]: item["verdict"] for item in claims[name]["transferred"]}
        assert found == {"Clothes, Sym. 90%": "holds", "Clothes, Asym. 40%": "does not hold"}
    assert [item["dataset"] for item in claims["best-in-table-1"]["transferred"]] == ["UCI digits"]
    assert claims["unlike-the-cifar-experiments"]["transferred"] == []  # two data sets of the paper's at once


@pytest.mark.parametrize(("lead", "verdict"), [(2.0, "holds"), (1.0, "does not hold")])
def test_the_embedded_table_2_is_the_measured_side_of_the_gain_on_clothing1m(lead, verdict):
    methods = [cell.method for cell in read_published(PUBLISHED / "table2.csv")]
    column = [("idn-part-dependent", 0.385)]
    clothes = table(lambda m, *_: 70.0 + lead * m.startswith("EMLC"), "Clothes", columns=column, methods=methods)
    (found,) = judged(table(lambda *_: 80.0), clothes)["gain-on-clothing1m"]["transferred"]
    assert (found["dataset"], found["verdict"]) == ("Clothes, Instance-dep. 38.5%", verdict)


@pytest.mark.parametrize(
    ("second", "third", "emlc", "mlc"), [(1.0, 0.91, "holds", "does not hold"), (1.0, 0.8, "does not hold", "holds")]
)
def test_convergence_is_read_from_the_third_epoch(tmp_path, second, third, emlc, mlc):
    """The first fall is 1; the paper's two epochs alone cannot tell."""
    methods = ("MLC", "EMLC (k=1)", "EMLC (k=5)")
    rows = [f"{name},0,{epoch},{value}" for name in methods for epoch, value in enumerate((2.0, second, third))]
    files, places = {"figures/fig5.csv": tmp_path / "fig5.csv"}, {"figures/fig5": "Clothing1M"}
    names = ("converges-in-two-epochs", "mlc-converges-later")
    for lines, verdicts in ((rows, [emlc, mlc]), ([row for row in rows if ",2," not in row], ["not measured"] * 2)):
        (tmp_path / "fig5.csv").write_text("\n".join(["method,seed,epoch,meta_objective", *lines, ""]))
        claims = judged(files=files, places=places)
        assert [claims[name]["measured"]["verdict"] for name in names] == verdicts


def test_claims_about_order_tell_which_differences_are_real():
    """k = 5 leads by one point in every seed; k = 1 leads the others by six, one or minus one."""
    lead = {"EMLC (k=5)": (7.0, 2.0, 0.0), "EMLC (k=1)": (6.0, 1.0, -1.0)}
    content = table(lambda m, *rest: 80.0 + lead.get(m, (0, 0, 0))[rest[-1]] + 0.01 * rest[1], seeds=(0, 1, 2))
    claims = judged(content)
    steps = claims["multi-step-best-on-cifar"]["transferred"][0]
    assert (steps["verdict"], steps["paired"], steps["real"]) == ("holds", 5, 5)
    assert steps["steps"][0]["text"].endswith("; paired difference +1.00 [+1.00, +1.00], n = 3")
    best = claims["high-noise-lead"]["transferred"][0]
    assert (best["verdict"], best["real"]) == ("holds", 0)  # means of 3 and 2 points, spreads above 3.5
    assert "holds (2 of 3 seeds alone say the same; 0 of " in as_markdown(list(claims.values()), ["UCI digits"])
    assert (best["paired"], claims["high-noise-lead"]["published"].get("paired")) == (len(best["steps"]), None)


def test_the_page_shows_every_claim_with_the_numbers():
    claims = list(judged(table(lambda *_: 80.0)).values())
    page = as_markdown(claims, ["UCI digits"])
    assert all(f"\n### {entry['id']}\n" in page and f"](#{entry['id']})" in page for entry in claims)
    assert "does not hold; it holds for EMLC (k=1) only" in page
    assert "- EMLC (k=5), CIFAR-10, Sym. 90% (89.57 ± 0.30) > 90: no" in page
    assert "**On UCI digits, not the paper's data: does not hold" in page
    for words in ("(abstract)", "(Table 1)", "(section 4.1)"):
        assert words in page
    assert "section abstract" not in page
    assert "section Table" not in page


def test_where_the_paper_says_something():
    found = [said_in({"section": section}) for section in ("4.1", "abstract", "Table 2")]
    assert found == ["section 4.1", "abstract", "Table 2"]


def test_a_malformed_expression_gets_one_line(published):
    path = published / "claims.yaml"
    path.write_text(path.read_text().replace("> 90\n", "> 90 >\n"))
    with pytest.raises(SuiteError, match=r"claim above-90-on-cifar-10: .*is no expression") as caught:
        judged(published=published)
    assert "\n" not in str(caught.value)


def test_the_command_reads_the_tables_and_files_of_its_order(tmp_path):
    jobs = page_jobs(tmp_path)
    write_results(jobs)
    content = read_json(jobs.pages.claims().folder / "claims.json")
    assert content["datasets"] == ["UCI digits"]
    claims = {entry["id"]: entry for entry in content["claims"]}
    found = claims["lower-meta-objective"]["transferred"]
    assert [(item["dataset"], item["verdict"]) for item in found] == [("UCI digits", "not measured")]  # epoch 0 only
    best = claims["best-in-table-1"]["transferred"][0]
    assert (best["dataset"], best["verdict"]) == ("UCI digits", "not measured")  # EMLC has failed
    again = made(jobs.pages.claims(), make)
    assert read_json(again / "claims.json") == content

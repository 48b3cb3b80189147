"""Figures and ablations through Snakemake."""

import json

import pandas as pd
import pytest
import yaml

from emlc.records.record import read_record
from tests.e2e.conftest import ROOT, tiny_profile
from tests.pipelines.evidence import ABLATIONS, FIGURES

pytestmark = pytest.mark.slow


def evidence_profile():
    """Two epochs, three methods, a variant on another split and one from SimCLR."""
    default = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    rows = ("mlc", "emlc-k1", "emlc-k5")
    bce_off = {"label": "L_BCE off", "of": "emlc-k5", "options": {"bce_weight": 0.0}}
    simclr = {"label": "MLC with SimCLR", "of": "mlc", "initialisation": "simclr"}
    profile = tiny_profile() | {
        "seeds": [0],
        "columns": default["columns"][1:2],
        "methods": {name: default["methods"][name] for name in rows},
        "variants": {"overlap": default["variants"]["overlap"], "bce-off": bce_off, "mlc-simclr": simclr},
        "figures": FIGURES | {"fig1": {**FIGURES["fig1"], "methods": ["emlc-k1", "mlc-simclr"]}},
        "ablations": ABLATIONS,
    }
    profile["datasets"]["digits"]["pretraining"] |= {"epochs": 1, "warm_up_epochs": 1}
    return profile


def test_figures_and_ablations_from_nothing(workplace):
    workplace.write_profile(evidence_profile())
    figures = [f"results/figures/{name}.png" for name in FIGURES]
    workplace.snakemake(*figures, "results/ablations.md")
    results = workplace.folder / "results"
    for name in FIGURES:
        assert {path.suffix for path in (results / "figures").glob(f"{name}.*")} == {".png", ".svg", ".csv", ".txt"}
    ablations = pd.read_csv(results / "ablations.csv").set_index("method")
    assert ablations["n"].tolist() == [2, 2, 2]
    overlap = read_record(results / "runs" / "embedded" / "digits" / "sym-0.5" / "overlap" / "seed0" / "record.json")
    assert "clean images are also in the noisy set" in json.dumps(overlap["task"]["warnings"])
    assert workplace.scheduled(*figures, "results/ablations.md") == []
    renamed = evidence_profile()
    renamed["methods"]["emlc-k1"]["label"] = "EMLC, one step"
    workplace.write_profile(renamed)
    made = workplace.scheduled(*figures, "results/ablations.md")
    assert {line.split()[1].partition(".")[0] for line in made} == {
        *(f"results/figures/{name}" for name in FIGURES),
        "results/ablations",
    }


def test_pages_depend_on_all_that_they_read(workplace):
    profile = evidence_profile()
    profile["variants"]["emlc-simclr"] = {"label": "From SimCLR", "of": "emlc-k1", "initialisation": "simclr"}
    fidelity = {"column": profile["columns"][0], "method": "emlc-simclr", "seed": 0}
    workplace.write_profile(profile | {"timing": {"methods": ["mlc"]}, "fidelity": fidelity})
    text = workplace.snakemake("-n", "results/timing.md", "results/metagrad.md").stdout
    jobs = {block.split(":")[0]: block for block in text.split("rule ")}
    assert "published/timing.csv" in jobs["timing"]
    assert "results/pretrained/embedded/digits.pt" in jobs["metagrad"]

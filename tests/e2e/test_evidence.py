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
    table = default["tables"]["table1"]
    profile = tiny_profile() | {
        "seeds": [0],
        "tables": {"table1": {**table, "columns": table["columns"][1:2]}},
        "methods": {name: default["methods"][name] for name in rows},
        "variants": {"overlap": default["variants"]["overlap"], "bce-off": bce_off, "mlc-simclr": simclr},
        "figures": FIGURES | {"fig1": {**FIGURES["fig1"], "methods": ["emlc-k1", "mlc-simclr"]}},
        "ablations": ABLATIONS,
    }
    profile["datasets"]["digits"]["pretraining"] |= {"epochs": 1, "warm_up_epochs": 1}
    return profile


def test_figures_and_ablations_from_nothing(workplace):
    workplace.write_profile(evidence_profile())
    asked = [*(f"results/embedded/figures/{name}.png" for name in FIGURES), "results/embedded/ablations.md"]
    workplace.snakemake(*asked)
    shown = workplace.folder / "results" / "embedded"
    workplace.snakemake("results/embedded/ablations.csv", *(file.replace("png", "csv") for file in asked[:-1]))
    ablations = pd.read_csv(shown / "ablations.csv").set_index("method")
    assert ablations["n"].tolist() == [2, 2, 2]
    store = workplace.folder / "results" / "store"
    for name in FIGURES:
        assert {path.suffix for path in store.glob(f"figures/*/{name}.*")} == {".png", ".svg", ".csv", ".txt"}
    runs = [read_record(path) for path in (workplace.folder / "results" / "runs").glob("*/record.json")]
    overlap = next(record for record in runs if record["run"]["method"] == "overlap")
    assert "clean images are also in the noisy set" in json.dumps(overlap["task"]["warnings"])
    assert workplace.scheduled(*asked) == []
    renamed = evidence_profile()
    renamed["methods"]["emlc-k1"]["label"] = "EMLC, one step"
    workplace.write_profile(renamed)
    made = [line.split()[1] for line in workplace.scheduled(*asked)]
    assert [line for line in made if not line.startswith("results/store")] == sorted(asked, key=made.index)
    kinds = [line.split("/")[2] for line in made if line.startswith("results/store")]
    assert sorted(kinds) == ["ablations", *["figures"] * len(FIGURES)]  # drawn anew; nothing is trained


def test_pages_depend_on_all_that_they_read(workplace):
    profile = evidence_profile()
    profile["variants"]["emlc-simclr"] = {"label": "From SimCLR", "of": "emlc-k1", "initialisation": "simclr"}
    fidelity = {"column": profile["tables"]["table1"]["columns"][0], "method": "emlc-simclr", "seed": 0}
    workplace.write_profile(profile | {"timing": {"methods": ["mlc"]}, "fidelity": fidelity})
    text = workplace.snakemake("-n", "results/embedded/timing.md", "results/embedded/metagrad.md").stdout
    jobs = {block.split(":")[0]: block for block in text.split("rule ")}
    (encoder,) = [line for line in jobs["pretrain"].splitlines() if line.strip().startswith("output:")]
    assert encoder.split()[1] in jobs["metagrad"]

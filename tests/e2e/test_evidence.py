"""Figures, ablations and audits through Snakemake."""

import json

import pandas as pd
import pytest
import yaml

from emlc.records.record import read_record
from tests.e2e.conftest import ROOT, tiny_profile
from tests.pipelines.evidence import ABLATIONS, COLUMN

pytestmark = pytest.mark.slow

FIGURES = {
    "fig1": {"column": COLUMN, "methods": ["emlc-k1", "mlc-simclr"], "seeds": [0]},
    "fig3": {"column": COLUMN, "methods": ["emlc-k1"], "seeds": [0]},
    "fig4": {"column": COLUMN, "methods": ["emlc-k1"], "seeds": [0]},
    "fig5": {"column": COLUMN, "methods": ["emlc-k1"], "seeds": [0], "epochs": 1},
}
NET = {
    "title": "a net",
    "model": {"name": "cnn-small"},
    "channels": 1,
    "side": 8,
    "batch": 10,
    "epoch_images": 100,
}


def evidence_profile():
    """Two epochs, three methods, a variant on another split and one from SimCLR."""
    default = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    rows = ("mlc", "emlc-k1", "emlc-k5")
    bce_off = {"label": "L_BCE off", "of": "emlc-k5", "options": {"bce_weight": 0.0}}
    simclr = {"label": "MLC with SimCLR", "of": "mlc", "initialisation": "simclr"}
    profile = tiny_profile() | {
        "seeds": [0],
        "initialisation": "scratch",
        "methods": {name: default["methods"][name] for name in rows},
        "variants": {"overlap": default["variants"]["overlap"], "bce-off": bce_off, "mlc-simclr": simclr},
        "figures": FIGURES,
        "ablations": ABLATIONS | {"gradients": ["emlc-k1"], "gradient_seeds": [0]},
        "timing": {"methods": ["mlc"], "nets": [NET], "rounds": 1},
        "fidelity": {"column": COLUMN, "method": "emlc-k1", "seed": 0, "steps": 1, "draws": 1},
    }
    profile["tables"]["table1"]["columns"] = [COLUMN]
    profile["datasets"]["digits"]["pretraining"] |= {"epochs": 1, "warm_up_epochs": 1}
    return profile


def test_a_figure_and_the_splits_from_nothing(workplace):
    workplace.write_profile(evidence_profile())
    targets = [f"results/embedded/{file}" for file in ("figures/fig3.png", "splits.md")]
    workplace.snakemake(*targets)
    assert all((workplace.folder / target).stat().st_size for target in targets)
    assert workplace.scheduled(*targets) == []


@pytest.mark.chaos
def test_figures_ablations_and_audits_from_nothing(workplace):
    workplace.write_profile(evidence_profile())
    results = workplace.folder / "results" / "embedded"
    shown = [f"figures/{name}.png" for name in FIGURES] + ["ablations.md", "gradients.csv", "timing.md"]
    targets = [f"results/embedded/{file}" for file in [*shown, "metagrad.md", "splits.md", "ablations.csv"]]
    workplace.snakemake(*targets)
    assert all((workplace.folder / target).stat().st_size for target in targets)
    assert pd.read_csv(results / "ablations.csv").set_index("method")["n"].tolist() == [2, 2, 2]
    records = map(read_record, (workplace.folder / "results" / "runs").rglob("record.json"))
    overlap = next(record for record in records if record["run"]["method"] == "overlap")
    assert "clean images are also in the noisy set" in json.dumps(overlap["task"]["warnings"])
    assert workplace.scheduled(*targets) == []

    renamed = evidence_profile()
    renamed["methods"]["emlc-k1"]["label"] = "EMLC, one step"
    workplace.write_profile(renamed)
    made = {line.split()[1].removesuffix("/seal.json") for line in workplace.scheduled(*targets)}
    store = {name.split("/")[2] for name in made if name.startswith("results/store/")}
    assert store == {"figures", "ablations", "fidelity"}  # drawn anew; nothing is trained


def test_fidelity_waits_for_the_encoder_that_its_run_starts_from(workplace):
    profile = evidence_profile()
    profile["variants"]["emlc-simclr"] = {"label": "From SimCLR", "of": "emlc-k1", "initialisation": "simclr"}
    profile["fidelity"]["method"] = "emlc-simclr"
    workplace.write_profile(profile)
    text = workplace.snakemake("-n", "results/embedded/metagrad.md").stdout
    jobs = {block.split(":")[0]: block for block in text.split("rule ")}
    assert "results/store/encoders/" in jobs["metagrad"]

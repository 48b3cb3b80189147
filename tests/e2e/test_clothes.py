"""Table 2 on a part of the embedded clothes, from a fresh clone, through Snakemake."""

import json
import re

import pytest
import yaml

from emlc.records.record import read_record
from tests.e2e.conftest import ROOT, tiny_profile

pytestmark = pytest.mark.slow

METHODS = ("cross-entropy", "joint-optim", "clean-only", "emlc-k1")


def clothes_profile():
    """Table 1 as ever, and Table 2 with four methods on 330 images, two epochs from scratch."""
    default, profile = yaml.safe_load((ROOT / "config" / "config.yaml").read_text()), tiny_profile()
    clothes = default["datasets"]["clothes"] | {"options": {"subset": {"train": 330, "test": 100}}}
    clothes["model"] = {"name": "cnn-small", "width": 4}
    profile["datasets"]["clothes"] = clothes
    profile["methods"] |= {name: default["methods"][name] for name in METHODS}
    profile["tables"]["table2"] = default["tables"]["table2"] | {"methods": list(METHODS), "seeds": [0, 1]}
    return profile


@pytest.mark.chaos
def test_table_2_is_made_of_the_embedded_clothes_and_nothing_of_table_1(workplace):
    workplace.write_profile(clothes_profile())
    for name in ("digits", "clothes"):
        (workplace.folder / "data" / f"{name}.npz").unlink(missing_ok=True)
    workplace.snakemake("results/table2.md")
    results = workplace.folder / "results"
    assert [path.name for path in (workplace.folder / "data").glob("*.npz")] == ["clothes.npz"]
    assert not [path for path in results.rglob("*table1*") if "recorded" not in path.parts]
    records = [read_record(path) for path in (results / "runs").rglob("record.json")]
    assert len(records) == 2 * len(METHODS)
    assert {(record["run"]["dataset"], record["task"]["clean"], record["task"]["noisy"]) for record in records} == {
        ("clothes", 100, 200)
    }
    page = (results / "table2.md").read_text()
    clothes, clothing1m = re.split(r"^## Clothing1M$", page, flags=re.MULTILINE)
    assert "Instance-dep. 38.5%" in clothes
    assert "| Cross-Entropy " in clothes
    assert "69.21" in clothing1m
    verdicts = json.loads((results / "compare_table2.json").read_text())
    assert len(verdicts["cells"]) == 18

"""A run whose identity is the same is never trained twice, however a profile arranges it."""

from pathlib import Path

import pytest

from emlc.records.record import read_record
from tests.tiny import TRAINING, tiny_profile

pytestmark = pytest.mark.slow

CE = {"label": "Cross-Entropy", "implementation": "baselines.cross_entropy"}
CLEAN = {"label": "Clean only", "implementation": "baselines.clean_only"}
HALF, MOST = ({"dataset": "digits", "noise": "sym", "rate": rate} for rate in (0.5, 0.8))


def profile(seeds, methods=None, columns=(HALF,), chunk=3, **changes):
    table = {"title": "Table 1", "columns": list(columns)}
    training = {**TRAINING, "epochs": 1, "batch_size": 28}
    facts = {"seeds": seeds, "seeds_per_job": chunk, "training": training, "tables": {"table1": table}}
    return tiny_profile(**{"methods": methods or {"cross-entropy": CE}, **facts, **changes})


STEPS = [
    ("three seeds", profile([0, 1, 2]), 3),
    ("five seeds", profile([0, 1, 2, 3, 4]), 2),
    ("six seeds", profile([0, 1, 2, 3, 4, 5]), 1),
    ("one seed", profile([0]), 0),
    ("three seeds again", profile([0, 1, 2]), 0),
    ("in another order", profile([2, 0, 1]), 0),
    ("one to a process", profile([0, 1, 2, 3], chunk=1), 0),
    ("two to a process", profile([3, 1, 2, 0], chunk=2), 0),
    ("a column more", profile([0, 1], columns=(HALF, MOST)), 2),
    ("the other column first", profile([0, 1], columns=(MOST, HALF)), 0),
    ("a method more", profile([0, 1], {"cross-entropy": CE, "clean-only": CLEAN}), 2),
    ("the method under other names", profile([0, 1], {"ce": {**CE, "label": "CE"}, "clean-only": CLEAN}), 0),
    ("another profile asks", profile([0, 1, 2], profile="other"), 0),
    ("the method removed", profile([0, 1], {"clean-only": CLEAN}, columns=(HALF,)), 0),
    ("another learning rate", profile([0], training={**TRAINING, "epochs": 1, "batch_size": 28, "lr": 0.01}), 1),
    ("the old learning rate", profile([0]), 0),
]


def trained(folder: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in (folder / "results" / "runs").glob("[0-9a-f]*/record.json")}


FEW = ("three seeds", "five seeds", "in another order")


@pytest.mark.parametrize(
    "names",
    [pytest.param(FEW, id="few"), pytest.param([name for name, _, _ in STEPS], id="all", marks=pytest.mark.chaos)],
)
def test_only_what_is_new_is_trained(names, workplace, capsys):
    rows = []
    for name, settings, new in [step for step in STEPS if step[0] in names]:
        workplace.write_profile(settings)
        before = trained(workplace.folder)
        workplace.snakemake("results/table1.md")
        after = trained(workplace.folder)
        rows.append(f"{name:<30} {len(after) - len(before)} trained, {new} expected")
        assert {run: after[run] for run in before} == before, name
        assert len(after) - len(before) == new, name
    with capsys.disabled():
        print("\n" + "\n".join(rows), end=" ")
    labels = {read_record(workplace.folder / "results" / "runs" / run / "record.json")["run"]["label"] for run in after}
    assert labels <= {"Cross-Entropy", "Clean only"}  # as they were called when they were trained
    assert "| Cross-Entropy" in (workplace.folder / "results" / "table1.md").read_text()

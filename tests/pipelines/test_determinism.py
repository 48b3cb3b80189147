"""The page on determinism: what counts as the same, and the exit status."""

from pipelines import determinism
from pipelines.determinism import SERIES, Outcome, as_markdown, main
from pipelines.profile.load import checked
from tests.tiny import tiny_profile, write_yaml


def test_each_workflow_is_held_against_the_first():
    outcomes = {
        "first": Outcome("a" * 64, "b" * 64, 0, 0),
        "same": Outcome("a" * 64, "b" * 64, 3, 2),
        "rounded alike": Outcome("a" * 64, "c" * 64, 0, 0),
        "other": Outcome("d" * 64, "c" * 64, 0, 0),
    }
    page = as_markdown(checked(tiny_profile()), outcomes)
    verdicts = [line.split("|")[-2].strip() for line in page.splitlines() if line.startswith("| ")][1:]
    assert verdicts == ["bit for bit", "bit for bit", "same table, other bits", "other scores"]
    assert "Profile `tiny`: 2 methods, 1 columns, 1 seeds, 2 epochs" in page


def test_only_threads_may_change_scores(tmp_path, monkeypatch):
    argv = ["--config", str(write_yaml(tmp_path / "p.yaml", tiny_profile())), "--out", str(tmp_path / "out.md")]
    for odd, status in [("2 threads a run", 0), ("4 cores", 1), ("killed", 1)]:
        scores = {series.name: "x" * 64 if odd in series.name else "y" * 64 for series in SERIES}
        made = [name for name in scores if odd in name]
        assert len(made) == 1
        monkeypatch.setattr(determinism, "make", lambda _, series, *rest, s=scores: Outcome("t", s[series.name], 0, 0))
        assert main(argv) == status
        assert (tmp_path / "out.md").read_text().count("same table, other bits") == 1

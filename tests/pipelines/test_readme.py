"""The README shows the table and the figure that the workflow made."""

import pytest

from emlc.records.artefacts import read_json, write_json
from emlc.records.errors import SuiteError
from pipelines.profile.places import ROOT
from pipelines.readme import BEGIN, END, FIGURE, SPEED, TABLE_TIME, TIME_BEGIN, TIME_END, main
from pipelines.readme import PAGE as SHOWN

TABLE = "| Method | 20% |\n|---|---|\n| EMLC | 84.07 |"
PAGE = f"# Table 1, profile `embedded`\n\nAccuracy.\n\n## UCI digits\n\n{TABLE}\n\n## CIFAR-10\n\n| other |\n|---|\n"
MARKED = f"{TIME_BEGIN}\n\n{TIME_END}\n\nAbove.\n\n{BEGIN}\n\n| old |\n\n{END}"
README = f"# emlc\n\n{MARKED}\n\nBelow.\n\n| verdict | meaning |\n"


@pytest.fixture
def root(tmp_path, monkeypatch):
    files = {"README.md": README.encode(), str(SHOWN): PAGE.encode()}
    files |= {"docs/images/convergence.png": b"old", str(FIGURE): b"new"}
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_first_table_and_the_figure_are_taken_over_and_nothing_else(root, capsys):
    assert main(["--check"]) == 1
    assert capsys.readouterr().out == "not as in results/: README.md, docs/images/convergence.png; run make readme\n"
    assert (root / "README.md").read_text() == README
    assert main([]) == 0
    assert (root / "README.md").read_text() == README.replace("| old |", TABLE)
    assert (root / "docs/images/convergence.png").read_bytes() == b"new"
    assert main(["--check"]) == 0
    assert capsys.readouterr().out == ""


def test_a_page_of_one_table_ends_with_it(root):
    (root / SHOWN).write_text(PAGE.partition("\n\n## CIFAR-10")[0] + "\n")
    main([])
    assert (root / "README.md").read_text() == README.replace("| old |", TABLE)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("README.md", README.replace(END, ""), "lacks its markers"),
        ("README.md", f"{END}\n{BEGIN}\n", "lacks its markers"),
        ("README.md", README.replace(TIME_END, ""), "lacks its markers"),
        (SHOWN, None, r"cannot read .*table1\.md: No such file"),
    ],
)
def test_what_cannot_be_shown_is_refused_before_anything_is_written(root, name, content, message):
    (root / name).unlink()
    if content is not None:
        (root / name).write_text(content)
    with pytest.raises(SuiteError, match=message):
        main([])
    assert (root / "docs/images/convergence.png").read_bytes() == b"old"


def test_the_readme_has_the_markers_around_its_table():
    text = (ROOT / "README.md").read_text()
    assert text.partition(BEGIN)[2].partition(END)[0].lstrip().startswith("| Method ")


WHOLE = {"seconds": 600.0, "runs": 200, "trained": 200, "cores": 2, "reference_seconds": 0.5, "started": 1.0}
WHOLE |= {"rounding": "a"}


def test_the_time_of_a_whole_table_is_kept_and_told(root, capsys):
    write_json(root / SPEED, WHOLE)
    assert main([]) == 0
    text = (root / "README.md").read_text()
    assert "200 runs in 10.0 minutes on 2 cores" in text
    assert "3.00 s a run" in text
    assert "0.50 s on one core" in text
    assert read_json(root / TABLE_TIME) == {
        name: WHOLE[name] for name in ("seconds", "runs", "cores", "reference_seconds", "rounding")
    }
    # Neither a part of a table nor a check on another machine changes it.
    write_json(root / SPEED, WHOLE | {"trained": 3, "seconds": 2.0})
    assert main([]) == 0
    write_json(root / SPEED, WHOLE | {"seconds": 99.0})
    assert main(["--check"]) == 0
    assert (root / "README.md").read_text() == text


def test_a_check_sees_another_time_in_the_readme(root, capsys):
    write_json(root / SPEED, WHOLE)
    main([])
    (root / "README.md").write_text((root / "README.md").read_text().replace("10.0 minutes", "9.0 minutes"))
    assert main(["--check"]) == 1
    assert "README.md" in capsys.readouterr().out


@pytest.mark.parametrize(("rounding", "status", "told"), [("a", 1, "run make readme"), ("b", 0, "not compared")])
def test_a_check_compares_results_of_machines_that_round_alike(root, capsys, rounding, status, told):
    write_json(root / SPEED, WHOLE)
    main([])
    (root / SHOWN).write_text(PAGE.replace("84.07", "84.08"))
    write_json(root / SPEED, WHOLE | {"rounding": rounding})
    assert main(["--check"]) == status
    assert told in capsys.readouterr().out


def test_a_table_of_unknown_rounding_is_not_compared_with_one_that_was_made_here(root, capsys):
    write_json(root / SPEED, WHOLE | {"trained": 3})
    assert main(["--check"]) == 0
    assert "not compared" in capsys.readouterr().out

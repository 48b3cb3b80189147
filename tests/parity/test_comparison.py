"""Differences, verdicts and clones."""

import subprocess

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipelines.official.clones import NotComparable, Repository, find_clone
from pipelines.official.comparison import (
    AGREES,
    DIFFERS,
    EXPLAINED,
    Case,
    Difference,
    compare,
    double_precision,
    relative_difference,
    state_differences,
)

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3).map(lambda x: torch.tensor(x).double())


@given(VALUES, VALUES)
def test_a_relative_difference_is_symmetric_and_at_most_two(a, b):
    assert relative_difference(a, b) == relative_difference(b, a) <= 2
    assert relative_difference(a, a) == 0


@given(VALUES, VALUES, st.integers(-9, 9).map(lambda power: 2.0**power))
def test_a_relative_difference_has_no_unit(a, b, factor):
    assert relative_difference(factor * a, factor * b) == relative_difference(a, b)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.2),
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([0.0], [3.0], 1.0),
        ([1.0], [-1.0], 2.0),
        ([float("nan")], [float("nan")], 1.0),
        ([float("inf")], [1.0], 1.0),
        ([], [], 0.0),
        ([1, 2], [1, 3], 1 / 3),
    ],
)
def test_relative_differences(a, b, expected):
    assert relative_difference(torch.tensor(a), torch.tensor(b)) == pytest.approx(expected)


def test_sides_must_have_the_same_parts_and_shapes():
    one = torch.ones(1)
    with pytest.raises(ValueError, match="parts differ"):
        state_differences({"student": [one]}, {"teacher": [one]})
    with pytest.raises(ValueError, match="shapes differ"):
        state_differences({"student": [one]}, {"student": [torch.ones(1, 1)]})
    with pytest.raises(ValueError, match="zip"):
        state_differences({"student": [one]}, {"student": [one, one]})


@pytest.mark.parametrize(
    ("as_it_is", "undone", "verdict"),
    [
        (1e-12, None, AGREES),
        (1e-12, 0.1, AGREES),
        (1.1e-12, None, DIFFERS),
        (0.1, 1e-12, EXPLAINED),
        (0.1, 1.1e-12, DIFFERS),
    ],
)
def test_verdicts(as_it_is, undone, verdict):
    assert Difference(1, "student", as_it_is, undone).verdict == verdict


def test_a_case_is_compared_as_it_is_and_with_its_defects_undone():
    def official(steps: int, undone: bool) -> dict[str, list[torch.Tensor]]:
        return {"weights": [torch.ones(1) * steps * (1 if undone else 2)]}

    case = Case("", lambda steps: {"weights": [torch.ones(1) * steps]}, official, ("a factor of two",), (1, 3))
    assert compare(case) == [Difference(1, "weights", 0.5, 0.0), Difference(3, "weights", 0.5, 0.0)]


def test_official_code_that_fails_is_one_line():
    def official(steps: int, undone: bool) -> None:
        raise RuntimeError("no kernel image")

    with pytest.raises(
        NotComparable, match=r"^k = 1: the official code no longer runs: RuntimeError: no kernel image$"
    ):
        compare(Case("k = 1", lambda steps: {}, official))


def test_double_precision_ends_with_its_block_and_leaves_global_random_states():
    torch.manual_seed(5)
    np.random.seed(5)
    with double_precision():
        assert torch.ones(1).dtype == torch.float64
        torch.rand(3), np.random.random(3)
    assert torch.ones(1).dtype == torch.float32
    states = torch.rand(1).item(), np.random.random()
    torch.manual_seed(5)
    np.random.seed(5)
    assert states == (torch.rand(1).item(), np.random.random())


def git(folder, *command: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    done = subprocess.run(["git", "-C", folder, *identity, *command], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """A clone in tmp_path, at the commit that is asked for."""
    folder = tmp_path / "owner+name"
    folder.mkdir()
    (folder / "script.py").write_text("def official():\n    return 1\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return Repository("owner", "name", git(folder, "rev-parse", "HEAD"))


def test_a_clone_is_found(repository, tmp_path):
    (tmp_path / "owner+name" / "__pycache__").mkdir()
    assert find_clone(tmp_path, repository) == tmp_path / "owner+name"


def test_a_missing_clone_says_how_to_make_it(tmp_path):
    with pytest.raises(NotComparable, match=r"git clone https://github.com/a/b .*checkout 1111111111"):
        find_clone(tmp_path, Repository("a", "b", 40 * "1"))


def test_another_commit_is_named(repository, tmp_path):
    with pytest.raises(NotComparable, match=f"at commit {repository.commit[:10]}.*2222222222"):
        find_clone(tmp_path, Repository("owner", "name", 40 * "2"))


def test_a_changed_clone_is_refused(repository, tmp_path):
    (tmp_path / "owner+name" / "script.py").write_text("def official():\n    return 2\n")
    with pytest.raises(NotComparable, match="has been changed"):
        find_clone(tmp_path, repository)


def test_a_folder_that_git_cannot_read_is_one_line(tmp_path):
    (tmp_path / "a+b" / ".git").mkdir(parents=True)
    with pytest.raises(NotComparable, match=r"git cannot read") as caught:
        find_clone(tmp_path, Repository("a", "b", 40 * "1"))
    assert "\n" not in str(caught.value)

"""A comparison that could not fail would be worth nothing: each method is changed a little, and must be found out."""

import pytest

from pipelines.official.comparison import DIFFERS, compare
from pipelines.official.outcome import METHODS, adapter_of
from tests.parity.clones import BOTH
from tests.parity.mutations import MUTATIONS


def differs(clone) -> bool:
    """Whether some part of some case differs without a reason; cases after the first such one are not run."""
    cases = adapter_of(clone.name).cases(clone.folder)
    return any(row.verdict == DIFFERS for case in cases for row in compare(case))


@BOTH
@pytest.mark.parametrize("kind", ["sign", "factor", "order"])
def test_a_changed_method_is_found_out(clone, kind, monkeypatch):
    MUTATIONS[clone.name][kind](monkeypatch)
    assert differs(clone)


def test_every_method_is_changed_in_three_ways():
    assert MUTATIONS.keys() == METHODS.keys()
    assert {tuple(changes) for changes in MUTATIONS.values()} == {("sign", "factor", "order")}

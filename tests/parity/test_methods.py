"""Every method against its official code, or against a slow stand-in of it where there is no clone."""

from pipelines.official.comparison import DIFFERS, EXPLAINED, compare
from pipelines.official.outcome import METHODS, adapter_of
from tests.parity.clones import BOTH, FILES


@BOTH
def test_every_part_agrees_or_is_explained_and_no_defect_is_named_for_nothing(clone):
    """A case whose defects change no number would hide a difference that comes later."""
    rows = {case: compare(case) for case in adapter_of(clone.name).cases(clone.folder)}
    assert rows
    for case, differences in rows.items():
        verdicts = {row.verdict for row in differences}
        assert DIFFERS not in verdicts, (case.name, differences)
        assert (EXPLAINED in verdicts) == bool(case.defects), case.name


def test_every_adapter_has_a_stand_in():
    assert FILES.keys() == METHODS.keys()

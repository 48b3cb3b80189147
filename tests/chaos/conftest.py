"""The undisturbed table that every scenario is held against, and the counts at the end."""

import pytest

from tests.chaos.place import METHODS, TALLY, Place, duration


@pytest.fixture(autouse=True)
def _counted(request):
    TALLY.scenarios.add(request.node.originalname)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """A place that nothing happened to, and how many seconds each step takes."""
    place = Place(tmp_path_factory.mktemp("undisturbed"))
    for seed in (0, 1):
        place.repair(place.inject(seed))
    place.seconds = {method: duration(place, place.train(method)) for method in METHODS}
    place.finish()
    return place


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "place")


@pytest.fixture
def same(undisturbed):
    """Hold a place's table and records against the undisturbed ones; what is missing is made first."""

    def compare(place):
        table = place.finish()
        TALLY.tables += 1
        TALLY.differing += table != undisturbed.table.read_bytes()
        assert table == undisturbed.table.read_bytes()
        assert place.fingerprints() == undisturbed.fingerprints()

    return compare


def pytest_terminal_summary(terminalreporter):
    if TALLY.scenarios:
        terminalreporter.write_line(
            f"chaos: {len(TALLY.scenarios)} scenarios, {TALLY.kills} kills at random moments, {TALLY.lost} lost "
            f"records, {TALLY.tables} tables compared, {TALLY.differing} differing, {TALLY.mutants} mutated files"
        )

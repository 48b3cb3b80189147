"""The undisturbed table that every scenario is held against, and what each scenario adds to the counts at the end."""

import pytest

from tests.chaos.place import METHODS, TALLY, Place, duration


@pytest.fixture(autouse=True)
def _counted(request):
    """Tell with the test's report, which also reaches the process that prints the summary, what it has seen."""
    before = TALLY.counts()
    yield
    seen = {name: count - before[name] for name, count in TALLY.counts().items()}
    request.node.user_properties.append(("chaos", {"scenario": request.node.originalname, **seen}))


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

"""Steps run in the tests' own process; and a profile with figures and ablations, trained for real once per session."""

import pytest

from tests.pipelines import evidence
from tests.process import restored


@pytest.fixture(autouse=True)
def _restored():
    with restored():
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The jobs of a profile with figures and ablations whose runs and probes are in the store."""
    with restored():
        return evidence.train_all(tmp_path_factory.mktemp("evidence"))

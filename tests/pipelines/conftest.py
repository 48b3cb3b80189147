"""A profile with figures and ablations, trained for real once per session."""

import pytest

from tests.pipelines import evidence


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder with profile.yaml, data.npz, tasks/ and runs/ of every run of the evidence."""
    return evidence.train_all(tmp_path_factory.mktemp("evidence"))

from typing import NamedTuple

import pytest

from tests.parity.clones import official, stand_in


class Clone(NamedTuple):
    """An adapter's name, and the folder that it reads."""

    name: str
    folder: object


@pytest.fixture
def clone(request, tmp_path):
    name, kind = request.param
    return Clone(name, stand_in(tmp_path, name) if kind == "stand-in" else official(name))

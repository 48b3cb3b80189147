"""requirements.lock: what pyproject.toml asks for, what that needs, and nothing else."""

import re
import tomllib
from importlib.metadata import distributions, requires
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DECLARED = [Requirement(text) for text in PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["dev"]]


@pytest.fixture(scope="module")
def pinned():
    """Version by name of what the lock file gives this platform and this Python."""
    lines = re.findall(
        r"^([a-z0-9-]+)==([^\s;]+)(?: ; (.+?))? \\$", (ROOT / "requirements.lock").read_text(), re.MULTILINE
    )
    applying = [(name, version) for name, version, marker in lines if not marker or Marker(marker).evaluate()]
    assert len(dict(applying)) == len(applying) > 100
    return dict(applying)


def needed(requirements):
    """Names of all distributions that some requirements need, themselves included, extras asked for included."""
    seen, waiting = set(), [(item, "") for item in requirements]
    while waiting:
        item, extra = waiting.pop()
        if item.marker and not item.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(item.name)
        new = {(name, wanted) for wanted in ("", *item.extras)} - seen
        seen |= new
        waiting += [(Requirement(text), wanted) for _, wanted in new for text in requires(name) or []]
    return {name for name, _ in seen}


@pytest.mark.parametrize("requirement", DECLARED, ids=lambda requirement: requirement.name)
def test_every_requirement_is_pinned_to_a_version_that_it_allows(requirement, pinned):
    assert pinned[requirement.name] in requirement.specifier


def test_the_pins_are_closed_and_none_is_left_over(pinned):
    installed = {canonicalize_name(item.name) for item in distributions()}
    if not pinned.keys() <= installed:
        pytest.skip(f"this environment is not the lock file's: no {', '.join(sorted(pinned.keys() - installed))}")
    everywhere = {"colorama", "tzdata"}
    assert needed(DECLARED) - everywhere == set(pinned) - everywhere

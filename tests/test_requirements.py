"""requirements.lock: what pyproject.toml asks for, what that needs, and nothing else."""

import ast
import re
import sys
import tomllib
from importlib.metadata import distributions, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LISTS = {
    "core": PROJECT["project"]["dependencies"],
    **PROJECT["project"]["optional-dependencies"],
    "dev": PROJECT["dependency-groups"]["dev"],
}
DECLARED = [Requirement(text) for texts in LISTS.values() for text in texts]


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


def test_no_requirement_stands_in_two_lists():
    assert len({canonicalize_name(item.name) for item in DECLARED}) == len(DECLARED)


def test_the_lock_file_names_no_host():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert [
        line
        for line in lines
        if not re.fullmatch(r"[a-z0-9-]+==[^\s/]+( ; [^/]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line)
    ] == []


CORE = {canonicalize_name(Requirement(text).name) for text in LISTS["core"]}
SUITE = {canonicalize_name(Requirement(text).name) for text in LISTS["suite"]}
JUDGING = "emlc/judging/"


def distributions_named(paths):
    """The distributions that some files import, by name, at any depth."""
    names = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                names.add(node.module.split(".")[0])
    known = packages_distributions()
    foreign = names - set(sys.stdlib_module_names) - {"emlc", "baselines", "pipelines"}
    return {canonicalize_name(known[name][0]) for name in foreign}


LATE = {"scikit-learn"}
"""What the library imports inside a function: to draw polynomial-margin noise, which no training does."""


def test_the_library_needs_the_core_and_the_core_nothing_else():
    files = [*(ROOT / "emlc").rglob("*.py"), *(ROOT / "baselines").rglob("*.py")]
    library = [path for path in files if JUDGING not in path.as_posix()]
    assert len(library) > 50
    assert distributions_named(library) == CORE | LATE


def test_the_suite_needs_no_more_than_its_extra():
    """DVC, a command that rules start, and what Snakemake needs for a report are not imported."""
    files = [*(ROOT / "pipelines").rglob("*.py"), *(ROOT / JUDGING).rglob("*.py")]
    named = distributions_named(files)
    assert named <= CORE | SUITE
    assert SUITE - named == {"dvc", "pygments"}

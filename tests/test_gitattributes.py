"""Line ends: LF in every clone, whatever git is told on the user's machine, and binary files as they are."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def git(folder, *arguments):
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="module")
def tracked():
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and a clone")
    return [name for name in git(ROOT, "ls-files", "-z").decode().split("\0") if name and (ROOT / name).is_file()]


def attributes(names):
    """The text and eol attributes of every file."""
    listed = git(ROOT, "check-attr", "-z", "text", "eol", "--", *names).decode().split("\0")
    found = {}
    for name, attribute, value in zip(*[iter(listed)] * 3, strict=False):
        found.setdefault(name, {})[attribute] = value
    return found


def test_every_tracked_file_is_text_with_lf_or_binary(tracked):
    found = attributes(tracked)
    assert found.keys() == set(tracked)
    assert len(tracked) > 200
    for name in tracked:
        binary = b"\0" in (ROOT / name).read_bytes()
        assert found[name]["text"] == ("unset" if binary else "auto"), name
        assert binary or found[name]["eol"] == "lf", name


def test_no_tracked_text_has_other_line_ends(tracked):
    texts = [name for name in tracked if b"\0" not in (ROOT / name).read_bytes()]
    assert [name for name in texts if b"\r\n" in (ROOT / name).read_bytes()] == []


@pytest.mark.parametrize("setting", ["core.autocrlf=true", "core.eol=crlf"])
def test_a_clone_has_the_same_bytes(tracked, tmp_path, setting):
    origin = tmp_path / "origin"
    for name in tracked:
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, origin / name)
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    git(origin, "init", "--quiet")
    git(origin, "add", "--all", "--force")
    git(origin, *identity, "commit", "--quiet", "--message", "all")
    git(tmp_path, "clone", "--quiet", "--config", setting, "origin", "clone")
    differing = [name for name in tracked if (tmp_path / "clone" / name).read_bytes() != (ROOT / name).read_bytes()]
    assert differing == []
    assert git(tmp_path / "clone", "status", "--porcelain") == b""

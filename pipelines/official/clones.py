"""Clones of official repositories: where they lie, and whether they are what was compared."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


class NotComparable(Exception):  # noqa: N818  (an outcome of a comparison, told in one line)
    """The official code is missing, another, or does not run: there is nothing to compare with."""


@dataclass(frozen=True)
class Repository:
    """An official repository on GitHub.

    Attributes
    ----------
    owner, name : str
    commit : str
        All 40 digits of the commit that the adapter was written for.
    """

    owner: str
    name: str
    commit: str

    @property
    def folder(self) -> str:
        """Name of the clone's folder."""
        return f"{self.owner}+{self.name}"

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"

    def how_to_clone(self, folder: Path) -> str:
        """Return the command that makes the clone."""
        target = folder / self.folder
        return f"git clone https://github.com/{self} {target} && git -C {target} checkout {self.commit[:10]}"


def find_clone(folder: Path, repository: Repository) -> Path:
    """Return where a repository was cloned to.

    Parameters
    ----------
    folder : Path
        Holds the clones, each in a folder named ``owner+name``.
    repository : Repository

    Raises
    ------
    NotComparable
        If there is no clone, or it is not as it was at the adapter's commit.
    """
    clone = folder / repository.folder
    if not (clone / ".git").exists():
        raise NotComparable(f"no clone in {clone}; {repository.how_to_clone(folder)}")
    commit = _git(clone, "rev-parse", "HEAD")
    if commit != repository.commit:
        raise NotComparable(
            f"{clone} is at commit {commit[:10]}; this comparison is with {repository.commit[:10]}: "
            f"git -C {clone} checkout {repository.commit[:10]}"
        )
    if _git(clone, "status", "--porcelain", "--untracked-files=no"):
        raise NotComparable(f"{clone} has been changed since commit {commit[:10]}: git -C {clone} stash")
    return clone


def _git(clone: Path, *command: str) -> str:
    try:
        done = subprocess.run(["git", "-C", clone, *command], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[0]
        raise NotComparable(f"git cannot read {clone}: {reason}") from error
    return done.stdout.strip()

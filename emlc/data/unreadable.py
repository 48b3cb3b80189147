"""One wording for files that cannot be read: missing, truncated, foreign or hostile."""

from pathlib import Path

from emlc.records.errors import SuiteError


def unreadable(
    path: Path | str, expected: str, error: Exception, remedy: str = "put a whole one in its place"
) -> SuiteError:
    """Return the error for a file that is not the `expected` kind.

    Parameters
    ----------
    path : Path or str
        The file, or where in it (``archive.tar: member``).
    expected : str
        What it should be, e.g. ``tar archive``.
    error : Exception
        What the parser said; its text is folded into one line.
    remedy : str
        What to do. Never to delete: the file may be the user's only one.
    """
    if isinstance(error, FileNotFoundError):
        return SuiteError(f"{path} does not exist")
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return SuiteError(f"{path} is not a readable {expected} ({reason}); {remedy}")

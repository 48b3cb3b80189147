"""Class-conditional noise of the user's own: a transition matrix from a file."""

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from emlc.noise.matrices import Matrix, checked_matrix
from emlc.records.errors import SuiteError

MATRIX = "matrix"
"""The noise kind whose transition matrix a file gives."""

SUFFIXES = (".csv", ".npy")
MAX_BYTES = 2**24


def read_matrix(path: Path) -> Matrix:
    """Read p(noisy label | true label) [C, C] from a file.

    Parameters
    ----------
    path : Path
        ``.csv``: C lines of C numbers separated by commas, no header. ``.npy``: an array of numbers.

    Raises
    ------
    SuiteError
        Naming the file, if it is neither, cannot be read, is larger than 16 MiB, or is not square with rows that sum
        to 1.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise SuiteError(f"{path} is not a transition matrix; its name must end in {' or '.join(SUFFIXES)}")
    try:
        if not 0 < (size := path.stat().st_size) <= MAX_BYTES:
            raise ValueError(f"it has {size:,} bytes, not 1 to {MAX_BYTES:,}")
        return checked_matrix(_content(path))
    except OSError as error:
        raise SuiteError(f"cannot read {path}: {error.strerror or error}") from error
    except (SuiteError, ValueError, EOFError) as error:
        raise SuiteError(f"cannot use {path}: {' '.join(str(error).split()):.300}") from error


def _content(path: Path) -> ArrayLike:
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [[float(number) for number in line.split(",")] for line in lines if line.strip()]

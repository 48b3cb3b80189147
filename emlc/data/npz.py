"""Arrays in an ``.npz`` file: the same bytes for the same arrays, and reading that trusts nothing in the file."""

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emlc.artefacts import atomic_path
from emlc.data.unreadable import unreadable


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write `arrays` uncompressed and atomically; the file's bytes depend on nothing but names, order and values."""
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            _write_array(archive, name, array)


def _write_array(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    member = zipfile.ZipInfo(f"{name}.npy")  # dated 1980, whenever it is written
    with archive.open(member, "w", force_zip64=True) as handle:
        np.lib.format.write_array(handle, array, version=(1, 0), allow_pickle=False)


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of an uncompressed ``.npz`` file.

    Nothing is unpickled, and no more memory is taken than the file has bytes: members must be stored uncompressed,
    and an array's header must declare exactly the bytes that follow it.

    Raises
    ------
    SuiteError
        If the file is missing, truncated, changed (its CRC tells) or something else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > Path(path).stat().st_size:
                raise ValueError("compressed or overlapping members")
            return {member.filename.removesuffix(".npy"): _read_array(archive, member) for member in members}
    except Exception as error:  # hostile bytes make zipfile and numpy fail in many ways
        raise unreadable(path, "npz file", error) from error


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{member.filename!r} is compressed")
    with archive.open(member) as handle:
        version = np.lib.format.read_magic(handle)
        if version != (1, 0):
            raise ValueError(f"{member.filename!r} has npy version {version}")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(handle)
        data = bytearray(handle.read())
    if dtype.hasobject or len(data) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{member.filename!r} does not hold the array that its header declares")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")

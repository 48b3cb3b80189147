"""Named arrays, mostly with a JSON text, in one ``.npz`` file: equal content gives equal bytes, reading trusts nothing.

Plain numpy opens the files too: ``numpy.load(path)["labels"]``; ``meta.json`` is readable with any unzip program.
"""

import json
import math
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from emlc.records.artefacts import atomic_path, canonical_json
from emlc.records.errors import SuiteError

META = "meta.json"

MAX_BYTES = 2**28
"""Largest file that is read where the caller expects no larger ones."""

MAX_META_BYTES = 2**20
"""Largest ``meta.json``: parsed JSON takes many times the memory of its text."""

_REMEDY = "delete it and run again"

_NPY_MAGIC = b"\x93NUMPY\x01\x00"

# numpy's own parser evaluates a header as Python text, with warnings of its own; the one form written here needs none.
_NPY_HEADER = re.compile(rb"\{'descr': '([^']{2,9})', 'fortran_order': False, 'shape': \(([0-9, ]{0,99})\), \} *\n")


def write_bundle(path: Path, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write `meta` and `arrays` to one ``.npz`` file, uncompressed and atomically; equal content gives equal bytes.

    Parameters
    ----------
    path : Path
    meta : mapping
        What JSON can hold.
    arrays : mapping of str to ndarray
        Little-endian numbers, no objects.

    Raises
    ------
    SuiteError
        If the file cannot be written or `meta` is longer than :data:`MAX_META_BYTES`.
    """
    text = (canonical_json(meta) + "\n").encode("utf-8", "surrogatepass")  # as json.loads decodes
    if len(text) > MAX_META_BYTES:
        raise SuiteError(f"cannot write {path}: {META} has {len(text):,} bytes, the limit is {MAX_META_BYTES:,}")
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as bundle:
        bundle.writestr(_entry(META, len(text)), text)
        for name, array in arrays.items():
            with bundle.open(_entry(_member(name), array.nbytes), "w") as member:
                np.lib.format.write_array(member, np.asarray(array, order="C"), version=(1, 0), allow_pickle=False)


def read_bundle(
    path: Path, dtypes: Mapping[str, DTypeLike], remedy: str = _REMEDY, max_bytes: int = MAX_BYTES
) -> tuple[Any, dict[str, NDArray[Any]]]:
    """Read what :func:`write_bundle` wrote; no pickles, no compressed members, no size that the file does not have.

    Parameters
    ----------
    path : Path
    dtypes : mapping of str to dtype
        The arrays that the file must hold, no more and no fewer, and their types.
    remedy : str
        What to do about a file that cannot be used; ends the message.
    max_bytes : int
        Largest file to read.

    Returns
    -------
    tuple of (object, dict of str to ndarray)
        The parsed JSON and the arrays, which are writable.

    Raises
    ------
    SuiteError
        If the file cannot be read, is too large, is damaged (its CRCs tell) or holds anything else.
    """
    with _opened(path, {META, *map(_member, dtypes)}, remedy, max_bytes) as bundle:
        return _read_meta(bundle), _read_arrays(bundle, dtypes)


def read_arrays(path: Path, dtypes: Mapping[str, DTypeLike], remedy: str = _REMEDY) -> dict[str, NDArray[Any]]:
    """Read an ``.npz`` file that has arrays only, e.g. from ``numpy.savez``; otherwise as :func:`read_bundle`."""
    with _opened(path, set(map(_member, dtypes)), remedy, MAX_BYTES) as bundle:
        return _read_arrays(bundle, dtypes)


def _member(name: str) -> str:
    return f"{name}.npy"


def _entry(name: str, size: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)  # dated 1980, whatever the clock says
    entry.file_size = size  # from 2 GiB on, zipfile needs to know beforehand
    entry.create_system = 3  # Unix, also where it is written on Windows
    return entry


@contextmanager
def _opened(path: Path, expected: set[str], remedy: str, max_bytes: int) -> Iterator[zipfile.ZipFile]:
    try:
        size = Path(path).stat().st_size
        if size > max_bytes:
            raise ValueError(f"it has {size:,} bytes, the limit is {max_bytes:,}")
        with zipfile.ZipFile(path) as bundle:
            _check_members(bundle.infolist(), expected, size)
            yield bundle
    except OSError as error:
        raise SuiteError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # hostile bytes make zipfile, json and numpy fail in many ways
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise SuiteError(f"{path} is not a readable npz file ({reason}); {remedy}") from error


def _check_members(entries: Iterable[zipfile.ZipInfo], expected: set[str], size: int) -> None:
    if sorted(entry.filename for entry in entries) != sorted(expected):
        raise ValueError(f"it does not hold exactly {', '.join(sorted(expected))}")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("it has compressed members")
    if sum(entry.file_size for entry in entries) > size:
        raise ValueError("its members are larger than the file or overlap")


def _read_meta(bundle: zipfile.ZipFile) -> Any:
    size = bundle.getinfo(META).file_size
    if size > MAX_META_BYTES:
        raise ValueError(f"{META} has {size:,} bytes, the limit is {MAX_META_BYTES:,}")
    return json.loads(bundle.read(META))


def _read_arrays(bundle: zipfile.ZipFile, dtypes: Mapping[str, DTypeLike]) -> dict[str, NDArray[Any]]:
    return {name: _read_array(bundle, name, np.dtype(dtype)) for name, dtype in dtypes.items()}


def _read_array(bundle: zipfile.ZipFile, name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    entry = bundle.getinfo(_member(name))
    with bundle.open(entry) as member:
        shape = _read_header(member, name, dtype, entry.file_size)
        # Not frombuffer over bytes: that array could not be written to.
        return np.frombuffer(bytearray(member.read()), dtype).reshape(shape)


def _read_header(member: IO[bytes], name: str, dtype: np.dtype[Any], size: int) -> tuple[int, ...]:
    start = member.read(len(_NPY_MAGIC) + 2)
    text = member.read(int.from_bytes(start[len(_NPY_MAGIC) :], "little"))
    header = _NPY_HEADER.fullmatch(text)
    if not start.startswith(_NPY_MAGIC) or header is None:
        raise ValueError(f"array {name} is not in npy format 1.0, C order")
    if header[1] != dtype.str.encode():
        raise ValueError(f"array {name} is {header[1].decode('latin-1')}, not {dtype.str}")
    shape = tuple(int(length) for length in header[2].split(b",") if length.strip())
    if math.prod(shape) * dtype.itemsize != size - len(start) - len(text):
        raise ValueError(f"array {name} has not the size that it declares, {list(shape)}")
    return shape

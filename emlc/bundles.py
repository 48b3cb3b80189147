"""Named arrays and a JSON text in one ``.npz`` file: the same content gives the same bytes, and reading trusts nothing.

Plain numpy opens the files too: ``numpy.load(path)["labels"]``; ``meta.json`` is readable with any unzip program.
"""

import io
import json
import math
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from emlc.artefacts import atomic_path, canonical_json
from emlc.errors import SuiteError

META = "meta.json"
MAX_BYTES = 1 << 28

# What zipfile and json raise on bytes that nobody wrote on purpose.
_PARSER_ERRORS = (EOFError, MemoryError, OverflowError, RuntimeError, ValueError, struct.error, zipfile.BadZipFile)

# numpy's own parser evaluates a header as Python text, with warnings of its own; the one form written here needs none.
_NPY_HEADER = re.compile(rb"\{'descr': '([^']{2,9})', 'fortran_order': False, 'shape': \(([0-9, ]{0,99})\), \} *\n")


def write_bundle(path: Path, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write `meta` and `arrays` to one ``.npz`` file, atomically; equal content gives equal bytes.

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
        If the file cannot be written.
    """
    members = {META: (canonical_json(meta) + "\n").encode()}
    members |= {f"{name}.npy": _npy_bytes(array) for name, array in arrays.items()}
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as bundle:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name)  # dated 1980, whatever the clock says
            entry.create_system = 3  # Unix, also where it is written on Windows
            bundle.writestr(entry, content)


def read_bundle(path: Path, dtypes: Mapping[str, DTypeLike]) -> tuple[Any, dict[str, NDArray[Any]]]:
    """Read what :func:`write_bundle` wrote; no pickles, no compressed members, no size that the file does not have.

    Parameters
    ----------
    path : Path
    dtypes : mapping of str to dtype
        The arrays that the file must hold, no more and no fewer, and their types.

    Returns
    -------
    tuple of (object, dict of str to ndarray)
        The parsed JSON and the arrays.

    Raises
    ------
    SuiteError
        If the file cannot be read, is damaged or holds anything else.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SuiteError(f"larger than {MAX_BYTES >> 20} MiB")
        with zipfile.ZipFile(path) as bundle:
            members = _stored_members(bundle, {META, *(f"{name}.npy" for name in dtypes)})
        meta = json.loads(members[META])
        return meta, {name: _array(name, members[f"{name}.npy"], np.dtype(dtype)) for name, dtype in dtypes.items()}
    except OSError as error:
        raise SuiteError(f"cannot read {path}: {error.strerror or error}") from error
    except (SuiteError, *_PARSER_ERRORS) as error:
        raise SuiteError(f"cannot use {path}: {' '.join(str(error).split())}; delete it and run again") from error


def _npy_bytes(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _stored_members(bundle: zipfile.ZipFile, expected: set[str]) -> dict[str, bytes]:
    entries = bundle.infolist()
    if len(entries) != len(expected) or {entry.filename for entry in entries} != expected:
        raise SuiteError(f"it does not hold exactly {', '.join(sorted(expected))}")
    if any(entry.compress_type != zipfile.ZIP_STORED or entry.file_size > MAX_BYTES for entry in entries):
        raise SuiteError("it has compressed or oversized members")
    return {entry.filename: bundle.read(entry) for entry in entries}


def _array(name: str, content: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    start = 10 + int.from_bytes(content[8:10], "little")
    header = _NPY_HEADER.fullmatch(content[10:start])
    if not content.startswith(b"\x93NUMPY\x01\x00") or header is None:
        raise SuiteError(f"array {name} is not in npy format 1.0, C order")
    if header[1] != dtype.str.encode():
        raise SuiteError(f"array {name} is {header[1].decode('latin-1')}, not {dtype.str}")
    shape = tuple(int(size) for size in header[2].split(b",") if size.strip())
    if math.prod(shape) * dtype.itemsize != len(content) - start:
        raise SuiteError(f"array {name} has not the size that it declares, {list(shape)}")
    return np.frombuffer(content, dtype, offset=start).reshape(shape)

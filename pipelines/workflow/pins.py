"""What tells the bytes of a profile's sources apart: checksums of pointers, and of the user's files and folders."""

from typing import Any

from emlc.data import Dataset
from emlc.data.on_disk import is_on_disk
from emlc.noise.matrix_file import read_matrix
from emlc.records.artefacts import file_digest
from pipelines.fetching.pointers import is_pointer, read_pointer
from pipelines.profile.places import ROOT
from pipelines.workflow.folders import content_digest, files_digest


def target_of(source: str) -> str:
    """Return the file that a pointer pins, relative to the repository; any other source is its own."""
    return read_pointer(ROOT / source).target.relative_to(ROOT).as_posix() if is_pointer(source) else source


def identified(dataset: Dataset, source: str) -> dict[str, Any]:
    """Return what tells the bytes that a data set is made of from others.

    A folder of photographs need not be there: what it will cost can be planned, and its preparation says what is
    missing.

    Raises
    ------
    SuiteError
        As :func:`pinned`.
    """
    folder = ROOT / source
    if not is_on_disk(dataset) or is_pointer(source) or folder.is_file():
        return pinned(source)
    if not folder.exists():
        return {"missing": source}
    return {"sha256": files_digest(folder, dataset.identified_by(folder))}


def pinned(source: str) -> dict[str, Any]:
    """Return the bytes that a source stands for: a pointer's checksum, or that of the user's own file or folder.

    Raises
    ------
    SuiteError
        If the source does not exist.
    """
    if is_pointer(source):
        pointer = read_pointer(ROOT / source)
        algorithm, digits = pointer.checksum
        return {algorithm: digits, "size": pointer.size}
    return {"sha256": content_digest(ROOT / source)}


def pinned_matrix(file: str) -> dict[str, str]:
    """Return the bytes of a user's transition matrix by their checksum.

    Raises
    ------
    SuiteError
        As :func:`emlc.noise.matrix_file.read_matrix`.
    """
    read_matrix(ROOT / file)
    return {"sha256": file_digest(ROOT / file, "sha256")}

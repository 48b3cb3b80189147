"""Tasks on disk: one ``.npz`` file each, with its own checksum inside."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from emlc.records.bundles import read_bundle, write_bundle
from emlc.records.errors import SuiteError
from emlc.tasks.task import ARRAYS, OPTIONAL, SCHEMA, Task


def save_task(task: Task, path: Path) -> None:
    """Write a task to one ``.npz`` file, atomically; the same task always gives the same bytes.

    ``numpy.load(path)`` gives its arrays by name; its member ``meta.json`` holds the rest, the effective rate and the
    sha256 among it.

    Raises
    ------
    SuiteError
        If the file cannot be written.
    """
    write_bundle(path, _meta(task), {name: getattr(task, name).astype(dtype) for name, dtype in ARRAYS.items()})


def load_task(path: Path, expect_data_sha256: str | None = None) -> Task:
    """Read a task and check all of it.

    Parameters
    ----------
    path : Path
        Written by :func:`save_task`.
    expect_data_sha256 : str, optional
        Checksum of the data at hand; a task made from other data is refused.

    Raises
    ------
    SuiteError
        If the file is missing, damaged, edited, something else, of another schema, or made from other data.
    """
    meta, arrays = read_bundle(path, ARRAYS)
    try:
        task = _task_of(meta, arrays)
    except SuiteError as error:
        raise SuiteError(f"cannot use {path}: {error}; delete it and run again") from error
    if expect_data_sha256 is not None and task.data_sha256 != expect_data_sha256:
        raise SuiteError(
            f"cannot use {path}: it was made from data {task.data_sha256}, the data at hand is {expect_data_sha256}; "
            "delete it and run again"
        )
    return task


def _meta(task: Task) -> dict[str, Any]:
    return {**task.facts, "sha256": task.sha256}


def _task_of(meta: Any, arrays: dict[str, Any]) -> Task:
    if not isinstance(meta, dict) or meta.get("schema") != SCHEMA:
        raise SuiteError(f"it is not a task of schema {SCHEMA}")
    names = {field.name for field in fields(Task)} - set(ARRAYS)
    if not names - set(OPTIONAL) <= set(meta) or not isinstance(meta["warnings"], list):
        raise SuiteError(f"its meta.json does not fit schema {SCHEMA}")
    values = {name: meta.get(name) for name in names}
    task = Task(**{**values, "warnings": tuple(meta["warnings"])}, **arrays)
    if _meta(task) != meta:
        raise SuiteError("content and sha256 do not agree, so it was edited or damaged")
    return task

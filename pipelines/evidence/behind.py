"""What stands behind the cells of a table: failed runs and recipes, which its JSON tells and its CSV does not."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from emlc.judging.cells import Cell
from emlc.judging.recipes import KEYS, RUN_SCHEMA, Recipe
from emlc.records.artefacts import read_json
from emlc.records.errors import SuiteError

_SCHEMA = {
    "type": "object",
    "required": ["cells"],
    "properties": {
        "selection": KEYS["selection"],
        "cells": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["method", "dataset"],
                "properties": {
                    "method": {"type": "string"},
                    "dataset": {"type": "string"},
                    "noise_type": {"type": "string"},
                    "noise_rate": {"type": ["number", "null"]},
                    "failed": {"type": "array"},
                    "recipe": RUN_SCHEMA,
                },
            },
        },
    },
}


def with_runs(cells: Sequence[Cell], path: Path) -> list[Cell]:
    """Return the cells of a table, those with failed runs with a status that says so, and all with their recipes.

    Parameters
    ----------
    cells : sequence of Cell
    path : Path
        The same table as JSON (:mod:`pipelines.table`). A cell with a ``recipe`` is taken to report by the table's
        ``selection``, of the kind of noise that it names, unless the recipe says otherwise.

    Raises
    ------
    SuiteError
        If the file cannot be read, is no such table or has a recipe that says what
        :data:`emlc.judging.recipes.KEYS` does not allow.
    """
    table = read_json(path)
    fault = best_match(Draft202012Validator(_SCHEMA).iter_errors(table))
    if fault is not None:
        raise SuiteError(f"{path}: {fault.json_path.removeprefix('$.')}: {' '.join(fault.message.split())[:200]}")
    behind = {_key(cell): cell for cell in table["cells"]}
    return [_with_run(cell, behind.get(cell.key), table.get("selection")) for cell in cells]


def _with_run(cell: Cell, told: Mapping[str, Any] | None, selection: str | None) -> Cell:
    if told is None:
        return cell
    failed = len(told.get("failed", ()))
    status = f"{failed} of {failed + (cell.n_seeds or 0)} runs failed" if failed else cell.status
    return replace(cell, status=status, recipe=_recipe(told, selection))


def _recipe(told: Mapping[str, Any], selection: str | None) -> Recipe:
    if "recipe" not in told:
        return {}
    recipe = {"selection": selection, "noise": told.get("noise_type") or None, **told["recipe"]}
    return {key: value for key, value in recipe.items() if value is not None}


def _key(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    return Cell(cell["method"], cell["dataset"], cell.get("noise_type", ""), cell.get("noise_rate")).key

"""Reading a ledger of claims from YAML, with one clear line for every mistake in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema

from emlc.judging.ledger.claims import EVIDENCE, Assertion, Claim, Ledger, Quote
from emlc.judging.ledger.syntax import parse
from emlc.records.errors import SuiteError
from emlc.records.yaml_data import load_yaml

_TEXT = {"type": "string", "minLength": 1}
_CLAIM = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id", "quotes", "asserts", "evidence", "expression", "transfers"],
    "properties": {
        "id": {"type": "string", "pattern": "^[a-z0-9-]+$"},
        "quotes": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["section", "text"],
                "properties": {"section": _TEXT, "text": _TEXT},
            },
        },
        "asserts": _TEXT,
        "evidence": {"enum": list(EVIDENCE)},
        "each": _TEXT,
        "dataset": _TEXT,
        "expression": _TEXT,
        "transfers": {"type": "boolean"},
        "remarks": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["asserts", "expression"],
                "properties": {"asserts": _TEXT, "expression": _TEXT},
            },
        },
    },
}
_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["groups", "claims"],
    "properties": {
        "groups": {"type": "object", "additionalProperties": {"type": "array", "minItems": 1}},
        "claims": {"type": "array", "minItems": 1, "items": _CLAIM},
    },
}


def read_ledger(path: Path) -> Ledger:
    """Read a file of claims.

    Raises
    ------
    SuiteError
        If it cannot be read, breaks the schema, has an id twice or an expression that is none (names the claim).
    """
    content = load_yaml(Path(path))
    fault = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(_SCHEMA).iter_errors(content))
    if fault is not None:
        raise SuiteError(f"{path}: {fault.json_path.removeprefix('$.')}: {' '.join(fault.message.split())[:200]}")
    claims = tuple(_claim(path, entry) for entry in content["claims"])
    ids = [claim.id for claim in claims]
    for name in ids:
        if ids.count(name) > 1:
            raise SuiteError(f"{path}: claim {name} is there twice; give each its own id")
    for claim in claims:
        if claim.each and claim.each not in content["groups"]:
            raise SuiteError(f"{path}: claim {claim.id}: no group {claim.each!r} to hold for each of")
    return Ledger(claims, content["groups"])


def _claim(path: Path, entry: Mapping[str, Any]) -> Claim:
    try:
        main, *remarks = (
            Assertion(part["asserts"], part["expression"], parse(part["expression"]))
            for part in (entry, *entry.get("remarks", ()))
        )
    except SuiteError as error:
        raise SuiteError(f"{path}: claim {entry['id']}: {error}") from error
    return Claim(
        id=entry["id"],
        quotes=tuple(Quote(**quote) for quote in entry["quotes"]),
        main=main,
        evidence=entry["evidence"],
        each=entry.get("each", ""),
        dataset=entry.get("dataset", ""),
        transfers=entry["transfers"],
        remarks=tuple(remarks),
    )

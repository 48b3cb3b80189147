"""Mappings from YAML files, and mappings laid over one another."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emlc.records.errors import SuiteError
from emlc.records.yaml_data import load_yaml


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping that a YAML file holds.

    Raises
    ------
    SuiteError
        As :func:`emlc.records.yaml_data.load_yaml`, and if it is no mapping.
    """
    return as_mapping(load_yaml(path), path)


def as_mapping(content: Any, path: Path) -> dict[str, Any]:
    """Return what a file held if it is a mapping.

    Raises
    ------
    SuiteError
        If it is not.
    """
    if not isinstance(content, dict):
        raise SuiteError(f"{path} is no mapping of keys to values; the files in config/ are examples")
    return content


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the keys of `over` laid over it, mappings within mappings alike."""
    both = {key: merged(base[key], over[key]) for key in base.keys() & over.keys() if _both_mappings(base, over, key)}
    return {**base, **over, **both}


def _both_mappings(base: Mapping[str, Any], over: Mapping[str, Any], key: str) -> bool:
    return isinstance(base[key], Mapping) and isinstance(over[key], Mapping)

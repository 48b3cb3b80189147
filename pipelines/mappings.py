"""Mappings from YAML files, read without trust, and laid over one another."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from emlc.errors import SuiteError

MAX_VALUES = 100_000
"""In one YAML file, each alias counted as what it stands for."""


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping that a YAML file holds.

    Raises
    ------
    SuiteError
        If it cannot be read, gives a key twice or is no mapping.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except OSError as error:
        raise SuiteError(f"cannot read {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, or a date in month 13
        reason = " ".join(str(error).split())
        raise SuiteError(f"{path} is not valid YAML: {reason}") from error
    _check_size(content, path)
    return as_mapping(content, path)


def as_mapping(content: Any, path: Path) -> dict[str, Any]:
    """Return what a file held if it is a mapping.

    Raises
    ------
    SuiteError
        If it is not.
    """
    if not isinstance(content, dict):
        raise SuiteError(f"{path} is not a profile: it must be a mapping of keys, see config/config.yaml")
    return content


def _check_size(content: Any, path: Path) -> None:
    """Refuse what aliases make endless (one within what it names) or next to it."""
    waiting, left = [content], MAX_VALUES
    while waiting:
        value, left = waiting.pop(), left - 1
        if left < 0:
            raise SuiteError(f"{path} stands for more than {MAX_VALUES:,} values: does an alias name what it lies in?")
        if isinstance(value, dict | list):
            waiting.extend(value.values() if isinstance(value, dict) else value)


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a key that a mapping holds twice, of which YAML's own loader keeps the last without a word."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key.value!r} is there twice", problem_mark=key.start_mark)
            seen.add((key.tag, str(key.value)))
        return node


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the keys of `over` laid over it, mappings within mappings alike."""
    both = {key: merged(base[key], over[key]) for key in base.keys() & over.keys() if _both_mappings(base, over, key)}
    return {**base, **over, **both}


def _both_mappings(base: Mapping[str, Any], over: Mapping[str, Any], key: str) -> bool:
    return isinstance(base[key], Mapping) and isinstance(over[key], Mapping)

"""YAML files, read without trust: nothing in them is executed, and nothing in them grows beyond its size."""

from pathlib import Path
from typing import Any

import yaml

from emlc.records.errors import SuiteError

MAX_VALUES = 100_000
"""In one YAML file, each alias counted as what it stands for."""


def load_yaml(path: Path) -> Any:
    """Return what a YAML file holds.

    Raises
    ------
    SuiteError
        If it cannot be read, is no YAML, gives a key twice or stands for more than `MAX_VALUES` values.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except OSError as error:
        raise SuiteError(f"cannot read {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, or a date in month 13
        reason = " ".join(str(error).split())
        raise SuiteError(f"{path} is not valid YAML: {reason}") from error
    _check_size(content, path)
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

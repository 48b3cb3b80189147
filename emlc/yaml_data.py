"""Data files in YAML."""

from pathlib import Path
from typing import Any

import yaml

from emlc.errors import SuiteError


def load_yaml(path: Path) -> Any:
    """Return what a YAML file holds; nothing in it is executed.

    Raises
    ------
    SuiteError
        If it cannot be read or is no YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SuiteError(f"cannot read {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise SuiteError(f"{path} is not valid YAML ({' '.join(str(error).split())[:200]})") from error

"""Profiles: read with what they are based on, checked, and typed, before anything is run. No torch here."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from emlc.records.artefacts import read_json
from emlc.records.errors import SuiteError
from pipelines.profile.checks import check_profile, told
from pipelines.profile.mappings import as_mapping, merged, read_yaml
from pipelines.profile.model import Profile
from pipelines.profile.places import DEFAULT_PROFILE


def load_profile(paths: Sequence[Path] = (DEFAULT_PROFILE,)) -> Profile:
    """Read profile files (YAML or JSON), later ones over earlier ones, and check the result.

    Raises
    ------
    SuiteError
        If a file cannot be read or parsed, or a key is unknown, missing or of the wrong kind (names the key).
    """
    content: dict[str, Any] = {}
    for path in paths:
        content = merged(content, based(_read(Path(path)), Path(path).parent, (Path(path).resolve(),)))
    return checked(content)


def profile_of(config: Mapping[str, Any], files: Sequence[str | Path]) -> Profile:
    """Return the profile that Snakemake read from some files.

    Raises
    ------
    SuiteError
        As :func:`load_profile`.
    """
    folder = Path(files[-1]).resolve().parent if files else DEFAULT_PROFILE.parent
    return checked(based(config, folder))


def based(content: Mapping[str, Any], folder: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return a profile laid over the one that its ``base`` names, and that over its own.

    Mappings are merged key by key; lists are replaced. An entry of :data:`NAMED` that is null takes away what the base
    has.

    Parameters
    ----------
    content : mapping
        What a profile file says.
    folder : Path
        From which its ``base`` is named.
    seen : tuple of Path
        Files that led here.

    Raises
    ------
    SuiteError
        If a base cannot be read or is based on itself.
    """
    own = {key: value for key, value in content.items() if key != "base"}
    if "base" not in content:
        return own
    if not isinstance(content["base"], str):
        raise SuiteError(f"config key base: {content['base']!r} is no path of another profile")
    path = (folder / content["base"]).resolve()
    if path in seen:
        names = " -> ".join(file.name for file in (*seen, path))
        raise SuiteError(f"config key base: a profile is based on itself ({names})")
    return _without_nulls(merged(based(_read(path), path.parent, (*seen, path)), own))


NAMED = ("datasets", "methods", "variants", "tables", "figures")
"""Keys whose entries a profile names."""


def _without_nulls(content: Mapping[str, Any]) -> dict[str, Any]:
    named = {key: content[key] for key in NAMED if isinstance(content.get(key), Mapping)}
    left = {key: {name: part for name, part in entries.items() if part is not None} for key, entries in named.items()}
    return {**content, **left}


def _read(path: Path) -> dict[str, Any]:
    # YAML 1.1 takes the 1e-05 that JSON writes for a text, so the two are not read alike.
    return as_mapping(read_json(path), path) if path.suffix == ".json" else read_yaml(path)


def checked(content: Mapping[str, Any]) -> Profile:
    """Return what a profile says as a type.

    Raises
    ------
    SuiteError
        Naming the key and what is wrong with it.
    """
    plain = _with_numbers(content)
    _check_finite(plain)
    try:
        profile = Profile.model_validate(plain)
    except ValidationError as error:
        raise SuiteError(told(error)) from None
    check_profile(profile)
    return profile


EXPONENT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+")


def _with_numbers(value: Any) -> Any:
    """Return a profile's content with ``1e-5``, which YAML 1.1 takes for a text, as the number that it is."""
    if isinstance(value, Mapping):
        return {str(key): _with_numbers(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_with_numbers(part) for part in value]
    return float(value) if isinstance(value, str) and EXPONENT.fullmatch(value) else value


def _check_finite(value: Any, key: str = "") -> None:
    """Refuse infinities and NaN anywhere, in options that no type describes, too."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            _check_finite(part, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list):
        for position, part in enumerate(value):
            _check_finite(part, f"{key}.{position}")
    elif isinstance(value, float) and not math.isfinite(value):
        raise SuiteError(f"config key {key}: {value} is not a finite number")

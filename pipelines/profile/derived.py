"""What follows from a profile."""

from typing import Any

from emlc.data import open_dataset
from pipelines.profile.model import Profile


def used(profile: Profile) -> list[str]:
    """Return the data sets of all columns, each once."""
    return list(dict.fromkeys(column.dataset for table in profile.tables.values() for column in table.columns))


def start_of(profile: Profile, method: str) -> str:
    """Return where a method's networks start from: ``scratch``, a SimCLR encoder, or weights of ImageNet."""
    return profile.method(method).initialisation or profile.initialisation


def dataset_options(profile: Profile, name: str, method: str | None = None) -> dict[str, Any]:
    """Return what :func:`emlc.data.open_dataset` needs to open a data set of the profile, or as a method sees it."""
    data = profile.datasets[name] if method is None else profile.data(method, name)
    return {"kind": data.kind, **data.options}


def title_of(profile: Profile, name: str) -> str:
    """Return what tables and figures call a data set of the profile."""
    return open_dataset(name, dataset_options(profile, name)).title

"""The budget of a search for a table's hyper-parameters (``config/tuning.yaml``): what its methods may try, on what."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from emlc.records.errors import SuiteError
from pipelines.profile.checks import told
from pipelines.profile.mappings import read_yaml
from pipelines.profile.model import Block, Name, Profile, Seeds, TableName, TrainingChange, Where, Whole


class Candidate(Block):
    """A setting of a method: what it changes of the profile's."""

    options: dict[str, Any] = Field(default_factory=dict)
    training: TrainingChange = TrainingChange()


class Budget(Block):
    """Settings by method, and the columns, seeds and held-out images that score them.

    Attributes
    ----------
    table : str
        Whose rows are searched; records and page keep the searches of several tables apart.
    seeds : tuple of int
        Of which no table reports one.
    held_out_per_class : int
        True labels of each class that score a run and that it does not see, beside the clean set that it trains on.
    columns : tuple of Where
    candidates : dict of str to tuple of Candidate
    """

    table: TableName
    seeds: Seeds
    held_out_per_class: Annotated[Whole, Field(ge=1)]
    columns: Annotated[tuple[Where, ...], Field(min_length=1)]
    candidates: dict[Name, Annotated[tuple[Candidate, ...], Field(min_length=1)]]


def load_budget(path: Path) -> Budget:
    """Read a budget.

    Raises
    ------
    SuiteError
        If the file cannot be read, or a key is unknown, missing or of the wrong kind (names the key).
    """
    try:
        return Budget.model_validate(read_yaml(path))
    except ValidationError as error:
        raise SuiteError(f"{path}: {told(error)}") from None


def check_budget(budget: Budget, profile: Profile, methods: Collection[str]) -> None:
    """Refuse a budget or a choice of methods that does not fit a profile.

    Raises
    ------
    SuiteError
        If the table is not of the profile, a method is not of the budget or no row of the table, a data set is not of
        the profile, or a table reports one of the seeds.
    """
    if budget.table not in profile.tables:
        raise SuiteError(f"unknown table {budget.table!r}; the profile has: {', '.join(profile.tables)}")
    rows = profile.tables[budget.table].methods or tuple(profile.methods)
    places = (("the budget", budget.candidates, methods), (budget.table, rows, methods or budget.candidates))
    for place, known, named in places:
        for name in named:
            if name not in known:
                raise SuiteError(f"unknown method {name!r}; {place} has: {', '.join(known)}")
    for column in budget.columns:
        if column.dataset not in profile.datasets:
            raise SuiteError(f"unknown dataset {column.dataset!r}; the profile has: {', '.join(profile.datasets)}")
    reported = {seed for table in profile.tables for seed in profile.seeds_of(table)}
    if shown := sorted(set(budget.seeds) & reported):
        raise SuiteError(f"tables report seeds {', '.join(map(str, shown))}; search on others")

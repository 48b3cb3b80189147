"""The search for a table's hyper-parameters: every setting with its score, the best of each method marked."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from emlc.records.errors import SuiteError

TEXTS = ("method", "candidate", "dataset", "noise", "run", "torch", "device", "commit")
COLUMNS = ["method", "candidate", "shared", "dataset", "noise", "rate", "seed", "score", *TEXTS[4:]]


def read_trials(file: Path) -> pd.DataFrame:
    """Read the lines of a search, none if there is no file.

    Raises
    ------
    SuiteError
        If the file holds something else.
    """
    if not file.exists():
        return pd.DataFrame(columns=COLUMNS)
    try:
        return pd.read_csv(file, dtype=dict.fromkeys(TEXTS, str))[COLUMNS]  # a commit may look like a number: 0203e39
    except (KeyError, ValueError) as error:
        raise SuiteError(f"{file} is no file of a search; delete it and search again") from error


def summarise(trials: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard error (%) of every candidate; one of each method, the best, is marked.

    Of equally good ones it is that with the training all methods share, or else the first of the budget.

    Parameters
    ----------
    trials : DataFrame
        One row per run: `method`, `candidate`, `shared` (whether its training is that of all methods) and `score` (%).
    """
    groups = trials.groupby(["method", "candidate", "shared"], sort=False)["score"]
    table = groups.agg(score="mean", standard_error="sem", runs="size").round(2).reset_index()
    ranked = table.sort_values("shared", ascending=False, kind="stable")
    ranked = ranked.sort_values("score", ascending=False, kind="stable")
    best = ranked.drop_duplicates("method").index
    table["chosen"] = ["yes" if row in best else "" for row in table.index]
    return table.drop(columns="shared")


def as_markdown(trials: pd.DataFrame, planned: Mapping[str, int]) -> str:
    """Return what the page shows of a search: where its numbers come from, the table, and what was not searched.

    Parameters
    ----------
    trials : DataFrame
        As :func:`read_trials` returns it.
    planned : mapping of str to int
        The runs of each method; a method with fewer lines is named below the table instead of being in it.
    """
    done = trials["method"].value_counts()
    lacking = {name: runs for name, runs in planned.items() if done.get(name, 0) < runs}
    finished = trials[trials["method"].isin(planned.keys() - lacking.keys())]
    parts = [] if finished.empty else [_about(finished), summarise(finished).to_markdown(index=False)]
    if lacking:
        named = ", ".join(f"{name} ({done.get(name, 0)} of {runs} runs)" for name, runs in lacking.items())
        parts.append(f"Not searched to the end, so their settings stay as they were: {named}.")
    return "\n\n".join(parts)


def _about(trials: pd.DataFrame) -> str:
    told = {name: ", ".join(sorted(map(str, trials[name].unique()))) for name in ("commit", "torch", "device", "seed")}
    return (
        f"{len(trials)} runs on {told['device']} with PyTorch {told['torch']} at commit {told['commit']}, seeds "
        f"{told['seed']}; every run is a line of the file."
    )


def markers(table: str) -> tuple[str, str]:
    """Return the lines of a page between which the search for a table is shown."""
    return f"<!-- the search for {table}, by python -m pipelines.tune -->", f"<!-- end of the search for {table} -->"


def with_search(page: str, table: str, shown: str) -> str:
    """Return a page with a search between the two markers of its table."""
    begin, end = markers(table)
    return f"{page.partition(begin)[0]}{begin}\n\n{shown}\n\n{end}{page.partition(end)[2]}"

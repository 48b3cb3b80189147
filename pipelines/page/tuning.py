"""The search for hyper-parameters as a table: every setting with its score, the best of each method marked."""

from pathlib import Path

import pandas as pd

from emlc.records.errors import SuiteError

BEGIN, END = "<!-- the search, by python -m pipelines.tune -->", "<!-- end of the search -->"


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


def as_markdown(trials: pd.DataFrame) -> str:
    """Return what the page shows of a search: where its numbers come from, and the table."""
    about = {name: ", ".join(sorted(map(str, trials[name].unique()))) for name in ("commit", "torch", "device", "seed")}
    return (
        f"{len(trials)} runs on {about['device']} with PyTorch {about['torch']} at commit {about['commit']}, seeds "
        f"{about['seed']}; every run is a line of the file.\n\n{summarise(trials).to_markdown(index=False)}"
    )


def with_search(page: str, shown: str) -> str:
    """Return a page with a search between its two markers."""
    return f"{page.partition(BEGIN)[0]}{BEGIN}\n\n{shown}\n\n{END}{page.partition(END)[2]}"

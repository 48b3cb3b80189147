"""How many clean labels a run trained on, and how many chose the epoch that is reported of it."""

from collections.abc import Mapping
from typing import Any

CHOOSING = "best-clean"
"""The rule of selection that looks at clean labels."""

WITHOUT = frozenset(
    f"baselines.{name}"
    for name in (
        *("cross_entropy", "mlnt", "joint_optim", "pencil", "elr_plus", "meta_cleaner"),
        *("dividemix", "c2d", "augdesc", "sanm", "famus"),
    )
)
"""Methods that train on no clean label."""

WITH = frozenset(
    (
        *(f"baselines.{name}" for name in ("clean_only", "mw_net", "mlc", "mlc_double_backward", "mslc", "mslg")),
        *("baselines.fasten", "emlc.method"),
    )
)
"""Methods that train on all that there are. Self Learning does one or the other; of a user's own nothing is known."""


def clean_labels(record: Mapping[str, Any], selection: str) -> dict[str, int | None]:
    """Return how many clean labels a run was given to train on, trained on (None: not known) and was selected on.

    Parameters
    ----------
    record : mapping
        Of the run.
    selection : str
        The rule by which an epoch of it is reported.
    """
    given = record["task"]["clean"]
    chose = record["task"]["validation"] if selection == CHOOSING else 0
    return {"given": given, "trained": _trained(record["config"], given), "selected": chose}


def _trained(config: Mapping[str, Any], given: int) -> int | None:
    method = config["implementation"]
    if method == "baselines.self_learning":
        return given if config["options"].get("clean_prototypes") else 0
    return 0 if method in WITHOUT else given if method in WITH else None

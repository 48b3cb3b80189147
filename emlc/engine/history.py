"""What happened in a run, and how far it has come."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass
class History:
    """What happened, epoch by epoch and step by step.

    Attributes
    ----------
    epochs : list of dict
        Scores after each epoch (accuracies in percent) and the mean of each step metric over those of its steps that
        have it.
    steps : list of dict
        The metrics of every step of these epochs.
    seconds : list of float
        Wall time of each epoch's training, evaluation excluded.
    begun : list of dict
        The metrics, still on the device, of each step of an epoch that is not done.
    begun_seconds : float
        Wall time of that epoch so far.
    spent : float
        Wall time that earlier processes spent on the run up to the checkpoint from which this one went on.
    resumed : int
        How often the run went on from a checkpoint.
    first_reported : int
        The first epoch whose model may be reported.
    learns_from_clean : bool
        Whether the method learns from the labels of the clean set.
    unreadable : list of str
        Image files of any set that could not be read, in order of their names.
    """

    epochs: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    begun: list[dict[str, Tensor]] = field(default_factory=list)
    begun_seconds: float = 0.0
    spent: float = 0.0
    resumed: int = 0
    first_reported: int = 0
    learns_from_clean: bool = True
    unreadable: list[str] = field(default_factory=list)

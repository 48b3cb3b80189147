"""What the loop tells of a run's steps and epochs, and the keeper that makes checkpoints of them."""

from emlc.engine.checkpoints import CheckpointFile
from emlc.engine.contract import Method
from emlc.engine.history import History


class Keeper:
    """What the loop tells of every step and epoch; this one keeps nothing."""

    def restore(self, method: Method, history: History) -> None:
        """Put a run back to where it was, if anything was kept of it."""

    def after_step(self, method: Method, history: History) -> None:
        """Note a step of the epoch that has begun."""

    def after_epoch(self, method: Method, history: History) -> None:
        """Note an epoch that is done and scored."""

    def after_run(self, history: History) -> None:
        """Note that no epoch is left."""


class Checkpoints(CheckpointFile, Keeper):
    """Keeps a run in one file.

    When the run is done the file shrinks to its history, so that a step that has to be repeated does not repeat it.
    """

    def restore(self, method: Method, history: History) -> None:
        """Put a run back to where its checkpoint left it; the log says so, or why a checkpoint is of no use."""
        state = self.read(history, method.setting.device)
        if state is not None:
            method.load_state(state)

    def after_step(self, method: Method, history: History) -> None:
        """Write a checkpoint if its time has come.

        Raises
        ------
        Interrupted
            If the process has been asked to stop; the checkpoint is written.
        """
        self.step_done(method, history)

    def after_epoch(self, method: Method, history: History) -> None:
        """Write a checkpoint unless the last one took too large a share of the time since.

        Raises
        ------
        Interrupted
            If the process has been asked to stop; the checkpoint is written.
        """
        self.epoch_done(method, history)

    def after_run(self, history: History) -> None:
        """Keep the history and nothing else."""
        self.write(None, history)

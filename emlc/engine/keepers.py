"""What the loop tells of a run's steps and epochs, and the keeper that makes checkpoints of them."""

from typing import Any, NamedTuple

import torch

from emlc.engine.checkpoints import CheckpointFile, Resumable
from emlc.engine.contract import Method
from emlc.engine.history import History


class Keeper:
    """What the loop tells of every step and epoch; this one keeps nothing."""

    def restore(self, method: Method, feed: Resumable, history: History) -> None:
        """Put a run back to where it was, if anything was kept of it."""

    def after_step(self, method: Method, feed: Resumable, history: History) -> None:
        """Note a step of the epoch that has begun."""

    def after_epoch(self, method: Method, feed: Resumable, history: History) -> None:
        """Note an epoch that is done and scored."""

    def after_run(self, history: History) -> None:
        """Note that no epoch is left."""


class Checkpoints(CheckpointFile, Keeper):
    """Keeps a run in one file.

    When the run is done the file shrinks to its history, so that a step that has to be repeated does not repeat it.
    """

    def restore(self, method: Method, feed: Resumable, history: History) -> None:
        """Put a run back to where its checkpoint left it; the log says so, or why a checkpoint is of no use."""
        content = self.read(history, method.setting.device)
        if content is None or "method" not in content:
            return
        if history.begun:
            # For modes and the like; whatever else it does to the state, the checkpoint's replaces.
            method.begin_epoch(len(history.epochs))
        Running(method, feed).load_state(content)

    def after_step(self, method: Method, feed: Resumable, history: History) -> None:
        """Write a checkpoint if its time has come.

        Raises
        ------
        Interrupted
            If the process has been asked to stop; the checkpoint is written.
        """
        self.step_done(Running(method, feed), history)

    def after_epoch(self, method: Method, feed: Resumable, history: History) -> None:
        """Write a checkpoint unless the last one took too large a share of the time since.

        Raises
        ------
        Interrupted
            If the process has been asked to stop; the checkpoint is written.
        """
        self.epoch_done(Running(method, feed), history)

    def after_run(self, history: History) -> None:
        """Keep the history and nothing else."""
        self.write({}, history)


class Running(NamedTuple):
    """A run under way: all that decides its steps to come."""

    method: Method
    feed: Resumable

    def state(self) -> dict[str, Any]:
        """Return what :meth:`load_state` restores."""
        generators = [generator.get_state() for generator in self._generators()]
        return {"method": self.method.state(), "feed": self.feed.state(), "generators": generators}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        self.method.load_state(state["method"])
        self.feed.load_state(state["feed"])
        for generator, content in zip(self._generators(), state["generators"], strict=True):
            generator.set_state(content)

    def _generators(self) -> tuple[torch.Generator, torch.Generator]:
        return self.method.setting.generator, self.method.setting.initial

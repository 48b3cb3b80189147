"""How long runs and pretrainings take that no record tells of: timed in miniature, or counted and divided by a rate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from emlc.records.artefacts import canonical_json
from emlc.records.store import Order
from pipelines.planning.disk import Images
from pipelines.planning.rates import Measured, rate_for

if TYPE_CHECKING:
    from pipelines.planning.counting import Work

STARTUP_SECONDS = 3.0
"""Of a process: Python, PyTorch, the data, a checkpoint, the record."""
TIMED_BELOW = 4e9
"""Operations of a step that is timed where it is to run, rather than divided by a rate: small kernels reach none."""

IDLE = ("data", "task", "encoder", "initialisation", "seed", "mean", "std")
"""Parts of an identity that change nothing about how long it takes."""

FOR_PHOTOGRAPHS = "-imagenet"
"""How the names of networks end that halve their images five times."""


class Guess(NamedTuple):
    """How long something takes, and how that was found."""

    seconds: float
    how: str


@dataclass(frozen=True)
class Clock:
    """Estimates for one device.

    Attributes
    ----------
    device : str
        As records name it.
    on_gpu, at_hand : bool
        What it is, and whether this machine has it.
    measured : sequence of Measured
    seeds_per_job : int
        Seeds that share a start-up. Cells that share it, too, are left out of account: a little too long, then.
    """

    device: str
    on_gpu: bool
    at_hand: bool
    measured: Sequence[Measured] = ()
    seeds_per_job: int = 1
    _known: dict[str, Guess] = field(default_factory=dict)

    def run(self, order: Order, images: Images) -> Guess:
        """Return how long a run takes."""
        from pipelines.planning.counting import run_work

        found = self._once(run_work, order, images, order.identity["training"]["batch_size"])
        return found._replace(seconds=found.seconds + STARTUP_SECONDS / self.seeds_per_job)

    def pretraining(self, order: Order, images: Images) -> Guess:
        """Return how long a pretraining takes."""
        from emlc.engine.simclr import Recipe
        from pipelines.planning.counting import pretraining_work

        batch = order.identity["pretraining"].get("batch_size", Recipe.batch_size)
        found = self._once(pretraining_work, order, images, batch)
        return found._replace(seconds=found.seconds + STARTUP_SECONDS)

    def _once(self, work_of: "Callable[..., Work]", order: Order, images: Images, batch: int) -> Guess:
        """Return the guess of another order that computes the same, if there was one."""
        decisive = {name: value for name, value in order.identity.items() if name not in IDLE}
        key = canonical_json([order.kind, decisive, len(order.identity["mean"]), *images])
        if key not in self._known:
            self._known[key] = self._guess(work_of, order, images, batch)
        return self._known[key]

    def _guess(self, work_of: "Callable[..., Work]", order: Order, images: Images, batch: int) -> Guess:
        from pipelines.planning.counting import PHOTOGRAPHS, SMALL, Scale, core_seconds
        from pipelines.planning.narrowing import counted

        halving = order.identity["model"]["name"].endswith(FOR_PHOTOGRAPHS)
        work = counted(work_of, order.identity, images, PHOTOGRAPHS if halving else SMALL)
        epochs = (order.identity.get("training") or order.identity["pretraining"])["epochs"]
        a_step = work.pixels / epochs / max(1, images.training // batch)
        if self.at_hand and not self.on_gpu and a_step < TIMED_BELOW:
            taken = work_of(order.identity, images, core_seconds, Scale(batch, images.side)).pixels
            return Guess(taken, "steps timed here, on one core")
        precision = order.identity.get("training", {}).get("precision", "float32")
        rate = rate_for(self.device, self.on_gpu, precision, self.measured)
        return Guess(rate.seconds(*work), rate.about)

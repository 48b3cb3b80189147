"""What the benchmark measures: one training step of each method, on random images, ready to be called."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from baselines.cross_entropy import CrossEntropy
from baselines.mlc import MLC
from baselines.mlc_double_backward import DoubleBackwardMLC
from baselines.mw_net import MWNet
from emlc.engine.contract import Batch, Samples, Setting, StudentMethod, Training
from emlc.method import EMLC
from emlc.models import build_model
from emlc.models.precision import matrix_products
from pipelines.bench.reference import StraightforwardEMLC, WithoutCleanHalf

CLASSES = 10
TRAINING = Training(epochs=1, batch_size=32, lr=0.02, momentum=0.9, weight_decay=5e-4)


class Case(NamedTuple):
    """A method and its options; ``look_ahead`` in them says how many noisy batches one step gets."""

    method: type[StudentMethod]
    options: dict[str, object]

    @property
    def batches(self) -> int:
        """Noisy batches per step."""
        return int(self.options.get("look_ahead", 1))

    def computes_in(self, precision: str) -> bool:
        """Whether the case works in a precision: dual numbers (:func:`emlc.metagrad.dual_jvp`) do not in bfloat16."""
        recomputed = self.options.get("forward") == "recomputed" or self.options.get("meta_gradient") == "mlc"
        return precision != "bfloat16" or not (recomputed or self.method is StraightforwardEMLC)


LOOK_AHEADS = (1, 2, 5, 10)
BACKENDS: dict[str, dict[str, object]] = {
    "taped": {},
    "recomputed": {"forward": "recomputed"},
    "momentum-aware": {"meta_gradient": "fpmg-momentum"},
    "finite-difference": {"meta_gradient": "finite-difference"},
    "MLC recursion": {"meta_gradient": "mlc"},
    "unrolled": {"meta_gradient": "unrolled"},
}

CASES: dict[str, Case] = {
    "MLC": Case(MLC, {}),
    "MLC straightforward": Case(DoubleBackwardMLC, {}),
    "MLC straightforward, no clean half": Case(WithoutCleanHalf, {}),
    "MW-Net": Case(MWNet, {}),
    **{f"EMLC k={k} straightforward": Case(StraightforwardEMLC, {"look_ahead": k}) for k in LOOK_AHEADS},
    **{
        f"EMLC k={k} {name}": Case(EMLC, {"look_ahead": k, **options})
        for k in LOOK_AHEADS
        for name, options in BACKENDS.items()
    },
}
"""Everything that can be measured, by the name that ``--cases`` takes."""
PLAIN = Case(CrossEntropy, {})


@dataclass(frozen=True)
class Workload:
    """The student, the batches and the arithmetic that all cases of one benchmark share.

    Attributes
    ----------
    model, width : str, int or None
        Of :func:`emlc.models.build_model`; None for models without a width.
    batch : int
        Images in one noisy and in one clean batch.
    image : tuple of int
        Channels, height, width.
    device : str
    precision : {"float32", "tf32", "bfloat16", "float64"}
        See :data:`emlc.models.precision.PRECISIONS`.
    channels_last : bool
        Memory layout of networks and images.
    """

    model: str
    width: int | None
    batch: int
    image: tuple[int, int, int]
    device: str
    precision: str
    channels_last: bool

    @property
    def dtype(self) -> torch.dtype:
        """What weights and images are stored in."""
        return torch.float64 if self.precision == "float64" else torch.float32

    @property
    def layout(self) -> torch.memory_format:
        """Memory layout of networks and images."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def network(self, role: str) -> nn.Module:
        """Return the backbone with the same random weights every time."""
        generator = torch.Generator().manual_seed(0)
        options = {} if self.width is None else {"width": self.width}
        network = build_model(self.model, CLASSES, self.image[0], generator, **options)
        network.precision = "float32" if self.precision == "float64" else self.precision
        return network.to(self.device, self.dtype, memory_format=self.layout)

    def samples(self, count: int, generator: torch.Generator) -> Batch:
        """Return `count` random images with random labels."""
        images = torch.randn((count, *self.image), generator=generator).to(self.dtype)
        labels = torch.randint(CLASSES, (count,), generator=generator)
        indices = torch.arange(count)
        return Batch((images.to(self.device).to(memory_format=self.layout),), labels.to(self.device), indices)

    def unseen(self, count: int) -> Samples:
        """Return a set for a method that is given its batches: as large as it asks for, without an image."""
        labels = torch.arange(count, device=self.device) % CLASSES
        images = torch.empty((count, *self.image), dtype=torch.uint8, device="meta")
        generator = torch.Generator(self.device)
        views = dict.fromkeys(("weak", "auto"), lambda pixels, _: pixels)
        return Samples(images, labels, views, lambda name: generator)

    def method(self, case: Case) -> StudentMethod:
        """Return a method in its initial state, in training mode."""
        setting = Setting(
            num_classes=CLASSES,
            noisy=self.unseen(self.batch * case.batches),
            clean=self.unseen(self.batch),
            training=replace(TRAINING, batch_size=self.batch),
            build=self.network,
            initial=torch.Generator().manual_seed(0),
            generator=torch.Generator(self.device).manual_seed(0),
            device=torch.device(self.device),
        )
        method = case.method(setting, case.method.Options(**case.options))
        _in_dtype(method, self.dtype)
        method.begin_epoch(0)
        return method

    def case(self, case: Case, seed: int = 0) -> tuple[StudentMethod, Batch, Batch]:
        """Return a case's method in its initial state with a noisy and a clean batch for one step."""
        generator = torch.Generator().manual_seed(seed)
        noisy, clean = self.samples(self.batch * case.batches, generator), self.samples(self.batch, generator)
        return self.method(case), noisy, clean

    def step(self, case: Case) -> Callable[[], dict[str, Tensor]]:
        """Return a function that takes one training step with a case's method, always on the same batches."""
        method, noisy, clean = self.case(case)

        def take() -> dict[str, Tensor]:
            with matrix_products(self.precision):
                return method.learn(noisy, clean)

        return take


def _in_dtype(method: StudentMethod, dtype: torch.dtype) -> None:
    """Convert what the method has added to the backbones."""
    for module in vars(method).values():
        if isinstance(module, nn.Module):
            module.to(dtype)

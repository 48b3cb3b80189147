"""How one run is trained: a profile's settings, resolved for one method and one dataset."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from emlc.data.augment.geometry import Padding
from emlc.data.streaming.preprocessing import Preprocessing
from emlc.engine.contract import Training
from emlc.records.errors import SuiteError


@dataclass(frozen=True)
class Recipe:
    """How a run is trained.

    Attributes
    ----------
    implementation : str
        Module of the method, e.g. ``baselines.mlc``.
    options : dict
        The method's own hyper-parameters.
    training : Training
    model : dict
        ``name`` and options of :func:`emlc.models.build_model`.
    order : str
        A key of :data:`emlc.engine.streams.STREAMS`.
    crop_padding : int
        Pixels of zero padding before the random crop; 0 for none.
    flips : bool
    mean, std : tuple of float
    seed : int
    pretrained : Path or None
        Encoder that every backbone starts from (:mod:`emlc.models.checkpoint`); None for random ones.
    padding : {"zero", "reflect"}
        Content of the padding.
    auto_augment : {"cifar10", "imagenet"}
        AutoAugment's policy for images with colours.
    preprocessing : Preprocessing or None
        How photographs are read and cropped; None for images that are as large as the network sees them.
    sampling : str
        Which noisy images a pass goes over: a key of :data:`emlc.engine.sampling.SAMPLINGS`.
    sampled : int or None
        Images of a pass, for a sampling that is told.
    """

    implementation: str
    options: dict[str, Any]
    training: Training
    model: dict[str, Any]
    order: str
    crop_padding: int
    flips: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    seed: int
    pretrained: Path | None = None
    padding: Padding = "zero"
    auto_augment: str = "cifar10"
    preprocessing: Preprocessing | None = None
    sampling: str = "all"
    sampled: int | None = None


def parse_options(options: type[Any], values: dict[str, Any], implementation: str) -> Any:
    """Return the options dataclass filled from a profile.

    Raises
    ------
    SuiteError
        If a key is not an option of the method, or its value not of the option's type.
    """
    types = get_type_hints(options)
    for key, value in values.items():
        if key not in types:
            listed = ", ".join(sorted(types)) or "none"
            raise SuiteError(f"{implementation} has no option {key!r}; its options: {listed}")
        if not _is_of(value, types[key]):
            wanted = getattr(types[key], "__name__", types[key])
            raise SuiteError(
                f"option {key} of {implementation} is {value!r}; it must be {wanted} (YAML: 3.0e-4, not 3e-4)"
            )
    return options(**values)


def _is_of(value: Any, annotation: Any) -> bool:
    """Whether a YAML value fits a type: whole numbers are floats too, booleans are no numbers."""
    allowed = get_args(annotation) or (annotation,)
    if isinstance(value, bool):
        return bool in allowed
    if isinstance(value, int) and float in allowed:
        return True
    return isinstance(value, allowed) and not (isinstance(value, float) and not math.isfinite(value))

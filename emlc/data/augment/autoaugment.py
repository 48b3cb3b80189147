"""AutoAugment (Cubuk et al., 2019): the CIFAR-10 and ImageNet policies, one random sub-policy per image.

Operations, ranges and rounding follow torchvision's ``AutoAugment`` on tensors (nearest neighbour, black fill), which
MitchellKT/Enhanced-Meta-Label-Correction applies to its clean images.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from emlc.data.augment import color, warp
from emlc.data.augment.grouping import Operation, apply_chosen
from emlc.data.augment.policies import POLICIES, Policy
from emlc.records.errors import SuiteError


@dataclass(frozen=True)
class AutoAugmentDraw:
    """What chance decides for each of n images.

    Attributes
    ----------
    sub_policies : Tensor of int64 [n]
        Row of the policy.
    chances : Tensor of float32 [n, 2]
        Uniform on [0, 1); an operation of the sub-policy is applied where its probability is greater.
    negative : Tensor of bool [n, 2]
        Whether the operation's magnitude, if it has a direction, is negated.
    """

    sub_policies: Tensor
    chances: Tensor
    negative: Tensor


def draw_autoaugment(count: int, policy: str, generator: torch.Generator) -> AutoAugmentDraw:
    """Draw for `count` images; the arguments of :func:`apply_autoaugment` but the images.

    Raises
    ------
    SuiteError
        If the policy is unknown.
    """
    device = generator.device
    return AutoAugmentDraw(
        torch.randint(len(_policy(policy)), (count,), generator=generator, device=device),
        torch.rand((count, 2), generator=generator, device=device),
        torch.randint(2, (count, 2), generator=generator, device=device).bool(),
    )


def apply_autoaugment(images: Tensor, policy: str, draw: AutoAugmentDraw) -> Tensor:
    """Apply each image's sub-policy.

    Parameters
    ----------
    images : Tensor of uint8 [n, C, H, W]
        C is 1 or 3.
    policy : {"cifar10", "imagenet", "grey"}
    draw : AutoAugmentDraw

    Returns
    -------
    Tensor of uint8 [n, C, H, W]

    Raises
    ------
    SuiteError
        If the policy is unknown.
    """
    codes, probabilities, magnitudes = _policy_tensors(policy, (images.shape[2], images.shape[3]), images.device)
    applied = draw.chances < probabilities[draw.sub_policies]
    choices = torch.where(applied, codes[draw.sub_policies], len(OPERATIONS))
    signs = draw.negative.long()
    chosen_magnitudes = magnitudes[signs, draw.sub_policies[:, None], torch.arange(2, device=images.device)]
    operations = list(OPERATIONS.values())
    for turn in range(2):
        images = apply_chosen(images, choices[:, turn], chosen_magnitudes[:, turn], operations)
    return images


def autoaugment(images: Tensor, policy: str, generator: torch.Generator) -> Tensor:
    """Apply a random sub-policy of `policy` to each uint8 image [n, C, H, W]."""
    return apply_autoaugment(images, policy, draw_autoaugment(len(images), policy, generator))


def _enhance(operation: Operation, images: Tensor, magnitude: Tensor) -> Tensor:
    """Apply a blend with factor 1 + `magnitude`."""
    return operation(images, 1 + magnitude)


OPERATIONS: Mapping[str, Operation] = {
    "ShearX": warp.shear_x,
    "ShearY": warp.shear_y,
    "TranslateX": warp.translate_x,
    "TranslateY": warp.translate_y,
    "Rotate": warp.rotate,
    "Brightness": partial(_enhance, color.brightness),
    "Color": partial(_enhance, color.saturation),
    "Contrast": partial(_enhance, color.contrast),
    "Sharpness": partial(_enhance, color.sharpness),
    "Posterize": color.posterize,
    "Solarize": color.solarize,
    "AutoContrast": color.autocontrast,
    "Equalize": color.equalize,
    "Invert": color.invert,
}
"""The paper's operations by name, each taking images [m, C, H, W] and magnitudes [m]."""

_LARGEST: Mapping[str, float] = {
    "ShearX": 0.3,
    "ShearY": 0.3,
    "TranslateX": 150 / 331,  # of the side
    "TranslateY": 150 / 331,
    "Rotate": 30.0,
    "Brightness": 0.9,
    "Color": 0.9,
    "Contrast": 0.9,
    "Sharpness": 0.9,
}


def _policy(name: str) -> Policy:
    if name not in POLICIES:
        raise SuiteError(f"no AutoAugment policy is called {name!r}; known are {', '.join(POLICIES)}")
    return POLICIES[name]


def _magnitude(operation: str, level: int, sign: int, size: tuple[int, int]) -> float:
    """Return the magnitude at `level` 0 to 9 for images of `size` (H, W)."""
    if operation == "Posterize":
        return 8 - round(4 * level / 9)
    if operation == "Solarize":
        return 255 * (1 - level / 9)
    side = {"TranslateX": size[1], "TranslateY": size[0]}.get(operation, 1)
    return sign * side * _LARGEST.get(operation, 0.0) * level / 9


@functools.cache
def _policy_tensors(name: str, size: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return operation codes [p, 2], probabilities [p, 2] and magnitudes [2, p, 2] (plus, minus) of a policy."""
    policy, names = _policy(name), list(OPERATIONS)
    codes = [[names.index(operation) for operation, _, _ in pair] for pair in policy]
    probabilities = [[probability for _, probability, _ in pair] for pair in policy]
    magnitudes = [[[_magnitude(op, level, sign, size) for op, _, level in pair] for pair in policy] for sign in (1, -1)]
    return (
        torch.tensor(codes, device=device),
        torch.tensor(probabilities, device=device),
        torch.tensor(magnitudes, device=device),
    )

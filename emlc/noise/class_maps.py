"""The field's asymmetric class maps: which classes a label may turn into.

Every map is class -> possible targets, equally likely; a class that is not named keeps its label.
"""

from collections.abc import Mapping, Sequence

ClassMap = Mapping[int, tuple[int, ...]]

MNIST: ClassMap = {2: (7,), 3: (8,), 5: (6,), 6: (5,), 7: (1,)}
"""Digits that look alike (Patrini et al., CVPR 2017): 2 -> 7, 3 -> 8, 5 <-> 6, 7 -> 1."""

CIFAR10: ClassMap = {9: (1,), 2: (0,), 4: (7,), 3: (5,), 5: (3,)}
"""Truck -> automobile, bird -> airplane, deer -> horse, cat <-> dog (DivideMix, ELR, C2D, FasTEN)."""

CIFAR10_MSLC: ClassMap = {9: (1,), 2: (0,), 4: (7,), 3: (5,)}
"""As :data:`CIFAR10`, but dogs stay dogs (MSLC, Wu et al., AAAI 2021, Figure 4)."""

CIFAR100_COARSE: tuple[int, ...] = (
    *(4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11),
    *(6, 11, 5, 10, 7, 6, 13, 15, 3, 15, 0, 11, 1, 10, 12, 14, 16, 9, 11, 5),
    *(5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17),
    *(10, 3, 2, 12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13),
    *(16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0, 17, 8, 14, 13),
)
"""CIFAR-100's superclass (0 to 19) of every fine class (0 to 99)."""


def groups_of(coarse: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Return the fine classes of every coarse class, each group in ascending order."""
    return tuple(tuple(fine for fine, of in enumerate(coarse) if of == group) for group in range(max(coarse) + 1))


def cyclic(groups: Sequence[Sequence[int]]) -> dict[int, tuple[int, ...]]:
    """Return the map of every class to the next of its group, the last to the first."""
    return {fine: (group[(i + 1) % len(group)],) for group in groups for i, fine in enumerate(group)}


def within(groups: Sequence[Sequence[int]]) -> dict[int, tuple[int, ...]]:
    """Return the map of every class to all others of its group."""
    return {fine: tuple(other for other in group if other != fine) for group in groups for fine in group}


CIFAR100_CYCLIC: ClassMap = cyclic(groups_of(CIFAR100_COARSE))
"""Next fine class of the same superclass, in ascending order, the last to the first: the textbook definition."""

CIFAR100_WITHIN: ClassMap = within(groups_of(CIFAR100_COARSE))
"""Any other fine class of the same superclass (FasTEN, C2D; MSLC's paper)."""

CIFAR100_BLOCKS: ClassMap = cyclic([range(first, first + 5) for first in range(0, 100, 5)])
"""Cyclic in blocks of five consecutive class numbers (ELR). Numbers are alphabetical: blocks are not superclasses."""

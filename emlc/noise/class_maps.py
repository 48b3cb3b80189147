"""The field's asymmetric class maps: which classes a label may turn into.

Every map is class -> possible targets, equally likely; a class that is not named keeps its label.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from emlc.records.errors import SuiteError

ClassMap = Mapping[int, tuple[int, ...]]

GivenMap = Mapping[int | str, tuple[int | str, ...]]
"""A class map as a profile says it: classes by number (position in the label order), or by name."""

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


def read_class_map(value: Mapping[Any, Any]) -> dict[int | str, tuple[int | str, ...]]:
    """Return the map that a profile says: class -> class, or list of classes.

    Raises
    ------
    TypeError
        If a class is neither a whole number nor a text.
    """
    return {
        _given(source): tuple(map(_given, targets if isinstance(targets, list | tuple) else [targets]))
        for source, targets in value.items()
    }


def _given(value: Any) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(value)
    return value


def as_pairs(class_map: GivenMap) -> list[list[Any]]:
    """Return a class map as JSON values that keep numbers apart from names: ``[[class, [targets]], ...]``, sorted."""
    in_order = sorted(class_map.items(), key=lambda entry: (isinstance(entry[0], str), entry[0]))
    return [[source, list(targets)] for source, targets in in_order]


def numbered(class_map: GivenMap, names: Sequence[str]) -> dict[int, tuple[int, ...]]:
    """Return a class map with numbers in the place of names.

    A text is the class of that name or, where there is none, the number that it spells (JSON has no other keys).

    Parameters
    ----------
    class_map : mapping of (int or str) to tuple of (int or str)
    names : sequence of str
        Of all classes, in label order.

    Raises
    ------
    SuiteError
        If there is no class of a name, a class is there twice, or a number can be misunderstood, since classes are
        called by numbers that are not their positions.
    """
    found: dict[int, tuple[int, ...]] = {}
    for source, targets in class_map.items():
        try:
            number, *rest = (_number(label, names) for label in (source, *targets))
        except SuiteError as error:
            raise SuiteError(f"class map entry {source!r} -> {list(targets)!r}: {error}") from None
        if number in found:
            raise SuiteError(f"class map entry {source!r} -> {list(targets)!r}: the class is there twice")
        found[number] = tuple(rest)
    return found


def _number(label: int | str, names: Sequence[str]) -> int:
    if isinstance(label, str) and label in names:
        return names.index(label)
    if isinstance(label, str) and not (label.isascii() and label.isdecimal()):
        raise SuiteError(f"there is no class {label!r}; classes are {_listed(names)}")
    if any(name.isascii() and name.isdecimal() and int(name) != i for i, name in enumerate(names)):
        raise SuiteError(
            f"class {label} may be a number or a name; write names, in quotes: classes are {_listed(names)}"
        )
    return int(label)


def _listed(names: Sequence[str], most: int = 20) -> str:
    listed = ", ".join(f"{i} {name!r}" for i, name in enumerate(names[:most]))
    return listed if len(names) <= most else f"{listed} and {len(names) - most} more"

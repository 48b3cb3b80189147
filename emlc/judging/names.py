"""One spelling for the names that tables use: case, blanks, hyphens and the field's usual synonyms do not count."""

import difflib
from collections.abc import Mapping, Sequence

METHODS: Mapping[str, str] = {
    "ce": "crossentropy",
    "crossentropy(ce)": "crossentropy",
    "metaweightnet": "mwnet",
    "metalabelcorrection": "mlc",
    "metalearning": "mlnt",
    "metasoftlabelcorrector": "mslc",
    "pencil": "pcorrection",
    "jointoptimization": "jointoptim",
    "smp": "selflearning",
    "deepselflearning": "selflearning",
    "emlck=1": "emlc(k=1)",
    "emlck=5": "emlc(k=5)",
    "emlc1": "emlc(k=1)",
    "emlc5": "emlc(k=5)",
}
DATASETS: Mapping[str, str] = {"cifar": "cifar10", "c10": "cifar10", "c100": "cifar100", "clothing": "clothing1m"}
NOISES: Mapping[str, str] = {
    "symmetric": "sym",
    "symm": "sym",
    "uniform": "sym",
    "asymmetric": "asym",
    "asymm": "asym",
    "classdependent": "asym",
}


def folded(name: str) -> str:
    """Return a name without case, blanks, hyphens, underscores and dots."""
    return "".join(character for character in name.casefold() if character not in " \t\xa0-–_.")  # noqa: RUF001


def method_key(name: str) -> str:
    """Return what methods of one name have in common, e.g. of ``Cross Entropy`` and ``cross-entropy``."""
    return _known(name, METHODS)


def dataset_key(name: str) -> str:
    """Return what data sets of one name have in common, e.g. of ``CIFAR10`` and ``cifar-10``."""
    return _known(name, DATASETS)


def noise_key(name: str) -> str:
    """Return what noises of one kind have in common, e.g. of ``symmetric`` and ``Sym.``."""
    return _known(name, NOISES)


def _known(name: str, synonyms: Mapping[str, str]) -> str:
    key = folded(name)
    return synonyms.get(key, key)


def nearest(name: str, known: Sequence[str]) -> str | None:
    """Return the known name that is spelled most like `name`, None if none is like it."""
    keys = {folded(other): other for other in known}
    found = difflib.get_close_matches(folded(name), keys, n=1, cutoff=0.5)
    return keys[found[0]] if found else None

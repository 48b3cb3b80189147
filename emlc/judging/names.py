"""One spelling for the names that tables use: case, blanks, hyphens and the field's usual synonyms do not count."""

import difflib
import unicodedata
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
    "contrasttodivide": "c2d",
    "augmenteddescent": "augdesc",
    "smp": "selflearning",
    "deepselflearning": "selflearning",
    **{f"emlc{k}{steps}": f"emlc(k={steps})" for steps in (1, 5) for k in ("", "k", "k=")},
}
DATASETS: Mapping[str, str] = {"c10": "cifar10", "c100": "cifar100"}
"""Not ``cifar``, which can be either, nor ``clothing``, which other data sets are called, too."""

NOISES: Mapping[str, str] = {
    "symmetric": "sym",
    "symm": "sym",
    "uniform": "sym",
    "unif": "sym",
    "asymmetric": "asym",
    "asymm": "asym",
}
"""Not ``pair-flip``, which moves every class to the next one, where asym on CIFAR-10 moves five of ten; ``flip`` is a
noise of its own."""


def folded(name: str) -> str:
    """Return a name without case, blanks, hyphens and dashes of any length, underscores and dots."""
    return "".join(sign for sign in name.casefold() if not (sign.isspace() or sign == "." or _joins(sign)))


def _joins(sign: str) -> bool:
    return unicodedata.category(sign) in ("Pd", "Pc")  # dashes; underscores and their kin


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

"""What published numbers were trained by, and where a run's recipe differs; what is not known is no difference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emlc.judging.cells import Cell
from emlc.judging.scope import EVIDENCE, INFERRED, SCOPE, checked, covered, only

Recipe = Mapping[str, Any]
"""Keys of :data:`KEYS` -> value; what is not known is absent."""

_WORD = {"type": "string", "minLength": 1}
_COUNT = {"type": "integer", "minimum": 0}
KEYS: Mapping[str, Mapping[str, Any]] = {
    "network": _WORD,
    "initialisation": {"enum": ["scratch", "simclr", "imagenet"]},
    "epochs": _COUNT,
    "batch_size": _COUNT,
    "padding": _COUNT,
    "padding_content": {"enum": ["zero", "reflect"]},
    "clean_images": _COUNT,
    "validation_images": _COUNT,
    "selection": {"enum": ["best-clean", "last", "best-test", "mean-last-5"]},
    "noise": _WORD,
}
"""What a recipe may say, in the words of profiles: `padding` in pixels, `clean_images` those that the method trains on,
`validation_images` further clean ones that choose the epoch, `noise` the kind of a profile's column."""


def _schema(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": dict(values)}


RUN_SCHEMA = _schema(KEYS)
"""Of a run's recipe: one value per key."""

_ENTRY = {
    "type": "object",
    "additionalProperties": False,
    "required": ["methods", "datasets", "recipe", "evidence", "source"],
    "properties": {
        "methods": {"type": "array", "items": _WORD, "minItems": 1},
        "datasets": {"type": "array", "items": _WORD, "minItems": 1},
        **SCOPE,
        "recipe": _schema(
            {key: {"anyOf": [value, {"type": "array", "items": value, "minItems": 2}]} for key, value in KEYS.items()}
        ),
        "evidence": EVIDENCE,
        "source": _WORD,
    },
}
_FILE_SCHEMA = {"type": "object", "properties": {"recipes": {"type": "array", "items": _ENTRY}}}


@dataclass(frozen=True)
class PublishedRecipe:
    """The recipe behind some published numbers.

    Attributes
    ----------
    methods, datasets : tuple of str
        Whose cells it is of.
    recipe : mapping
        A value per key, or several where sources disagree, each as good as the others.
    evidence : str
        ``verified``, ``inferred`` or ``unknown``.
    source : str
        Where it stands.
    noise_type : str or None
        Only cells of this type; None for all.
    noise_rates : tuple of float
        Only cells of these rates; empty for all.
    """

    methods: tuple[str, ...]
    datasets: tuple[str, ...]
    recipe: Recipe
    evidence: str
    source: str
    noise_type: str | None = None
    noise_rates: tuple[float, ...] = ()

    def covers(self, cell: Cell) -> bool:
        """Whether the published `cell` came about so."""
        return covered(cell, self.methods, self.datasets, (self.noise_type, self.noise_rates))


@dataclass(frozen=True)
class Difference:
    """One thing that a run did in another way than the published number came about.

    Attributes
    ----------
    key : str
        Of :data:`KEYS`.
    run : str or int
    published : tuple
        What the sources say, each as good as the others.
    evidence : str
        How well that is known.
    """

    key: str
    run: Any
    published: tuple[Any, ...]
    evidence: str

    def __str__(self) -> str:
        theirs = " or ".join(map(str, self.published))
        inferred = ", inferred" if self.evidence == INFERRED else ""
        return f"{self.key.replace('_', ' ')} {self.run} (published: {theirs}{inferred})"


def read_recipes(path: Path) -> list[PublishedRecipe]:
    """Read the recipes of a provenance file.

    Raises
    ------
    SuiteError
        If the file cannot be read, is not YAML or says of a recipe what :data:`KEYS` does not allow.
    """
    return [_published(entry) for entry in checked(Path(path), _FILE_SCHEMA).get("recipes", [])]


def recipe_of(cell: Cell, recipes: Sequence[PublishedRecipe]) -> PublishedRecipe | None:
    """Return the recipe of a published cell, None if none is known; two are a `SuiteError`."""
    return only(cell, recipes, "recipes")


def differences(run: Recipe, published: PublishedRecipe | None) -> tuple[Difference, ...]:
    """Return where a run's recipe differs from a published number's, in what is known of both."""
    if published is None:
        return ()
    known = [key for key in KEYS if key in run and key in published.recipe]
    found = [Difference(key, run[key], _values(published.recipe[key]), published.evidence) for key in known]
    return tuple(difference for difference in found if difference.run not in difference.published)


def _values(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list) else (value,)


def _published(entry: Mapping[str, Any]) -> PublishedRecipe:
    lists = {key: tuple(entry.get(key, ())) for key in ("methods", "datasets", "noise_rates")}
    return PublishedRecipe(**{**entry, **lists})

"""What is wrong with a profile, in one line: keys that no type allows, and keys that do not go together."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from emlc.data import open_dataset
from emlc.data.human import KINDS as HUMAN_KINDS
from emlc.data.on_disk import is_on_disk
from emlc.judging.cells import Cell
from emlc.noise.instances import INSTANCE_KINDS
from emlc.noise.matrix_file import MATRIX
from emlc.records.errors import SuiteError
from emlc.tasks.listed import REAL
from pipelines.profile.derived import dataset_options, start_of, title_of, used
from pipelines.profile.model import IMAGENET, SIMCLR, Column, Profile, Where

RESERVED = ("checkpoints", "logs", "orders", "recorded", "runs", "store")
"""Folders of ``results/``, where every profile has one of its own name, too."""


def told(error: ValidationError) -> str:
    """Return the first mistake of a profile in one line."""
    # A list whose entries are wrong is also told to be too short.
    first = min(error.errors(), key=lambda one: (one["type"] != "extra_forbidden", one["type"] == "too_short"))
    key = ".".join(str(part) for part in first["loc"] if part != "[key]") or "the profile"
    if first["type"] == "extra_forbidden":
        return f"config key {key}: there is no such key"
    if first["type"] == "missing":
        return f"config key {key}: missing"
    reason = first["msg"].removeprefix("Value error, ")
    given = f"{first['input']!r:.80} is refused; " if not isinstance(first["input"], dict) else ""
    return f"config key {key}: {given}{reason[0].lower()}{reason[1:]}"


def check_profile(profile: Profile) -> None:
    """Refuse a profile whose keys do not go together.

    Raises
    ------
    SuiteError
        Naming the first such key.
    """
    if profile.profile in RESERVED:
        raise SuiteError(f"config key profile: {profile.profile!r} is a folder of results/; choose another name")
    for name in profile.datasets:
        _check_dataset(profile, name)
    for key, table in profile.tables.items():
        _check_columns(profile, f"tables.{key}.columns", table.columns)
        _check_distinct(f"tables.{key}.seeds", table.seeds or ())
        for method in table.methods or ():
            _check_known(f"tables.{key}.methods", "method", method, profile.methods)
    _check_distinct("seeds", profile.seeds)
    _check_samplings(profile)
    _check_names(profile)
    _check_variants(profile)
    _check_evidence(profile)
    _check_starts(profile)
    _check_methods(profile)


def _check_methods(profile: Profile) -> None:
    """Every method's training holds together on every data set, and so do its statistics with the images."""
    for name in (*profile.methods, *profile.variants):
        kind = "methods" if name in profile.methods else "variants"
        for dataset in profile.method(name).datasets:
            _check_known(f"{kind}.{name}.datasets", "dataset", dataset, profile.datasets)
        for dataset in used(profile):
            _check_on_dataset(profile, f"{kind}.{name}", name, dataset)


def _check_on_dataset(profile: Profile, key: str, method: str, dataset: str) -> None:
    try:
        profile.training_of(method, dataset)
    except ValidationError as error:
        raise SuiteError(f"config key {key}.training, on {dataset}: {told(error).partition(': ')[2]}") from None
    try:
        open_dataset(dataset, dataset_options(profile, dataset, method))
    except SuiteError as error:
        raise SuiteError(f"config key {key}: {error}") from None


def _check_dataset(profile: Profile, name: str) -> None:
    """Sets are drawn from the training images unless the data set's own lists say what they are."""
    dataset, drawn = open_dataset(name, dataset_options(profile, name)), profile.datasets[name].clean_per_class
    if not brings_labels(dataset) and drawn is None:
        raise SuiteError(f"config key datasets.{name}.clean_per_class: missing")
    if brings_labels(dataset) and drawn is not None:
        raise SuiteError(f"config key datasets.{name}.clean_per_class: its own lists say what is clean; leave it out")


def brings_labels(dataset: Any) -> bool:
    """Whether labels of a data set are noisy as they were found, and its files say what trains and validates."""
    return is_on_disk(dataset) and dataset.brings_labels


def _check_columns(profile: Profile, key: str, columns: Sequence[Column]) -> None:
    _check_distinct(key, [(column.dataset, column.noise, column.rate) for column in columns])
    for position, column in enumerate(columns):
        _check_place(profile, f"{key}.{position}", column)
        if column.noise in (*HUMAN_KINDS, REAL) and column.sampling is not None:
            kind = "real" if column.noise == REAL else "human"
            raise SuiteError(f"config key {key}.{position}.sampling: {kind} labels are given, not drawn; leave it out")
        if column.noise in (*INSTANCE_KINDS, MATRIX) and column.sampling == "exact-count":
            raise SuiteError(f"config key {key}.{position}.sampling: {column.noise} draws label by label; leave it out")


def _check_place(profile: Profile, key: str, where: Where) -> None:
    _check_known(f"{key}.dataset", "dataset", where.dataset, profile.datasets)
    if (where.noise == REAL) != brings_labels(open_dataset(where.dataset, dataset_options(profile, where.dataset))):
        raise SuiteError(f"config key {key}.noise: {where.noise} does not fit {where.dataset}; {_FITTING}")
    if where.noise in HUMAN_KINDS and profile.datasets[where.dataset].human_labels is None:
        missing = f"datasets.{where.dataset}.human_labels"
        raise SuiteError(f"config key {key}.noise: {where.noise} needs the labels' .dvc file; name it as {missing}")
    if where.noise == MATRIX and profile.datasets[where.dataset].noise_matrix is None:
        missing = f"datasets.{where.dataset}.noise_matrix"
        raise SuiteError(f"config key {key}.noise: {MATRIX} needs a .csv or .npy file; name it as {missing}")


_FITTING = f"{REAL} is the noise of data that come with it (clothing1m), which have no other"


def _check_distinct(key: str, values: Sequence[Any]) -> None:
    for position, value in enumerate(values):
        if value in values[:position]:
            first = values.index(value)
            raise SuiteError(f"config key {key}.{position}: the same as {key}.{first}; leave one of them out")


def _check_samplings(profile: Profile) -> None:
    """Two tables may share a column, but not draw its noise in two ways."""
    first: dict[tuple[Any, ...], Column] = {}
    for name, table in profile.tables.items():
        for column in table.columns:
            known = first.setdefault((column.dataset, column.noise, column.rate), column)
            if known.sampling != column.sampling:
                raise SuiteError(f"config key tables.{name}.columns: two samplings of one column; use one of them")


def _check_names(profile: Profile) -> None:
    """Tables name methods by their labels and datasets by their titles, spelling aside."""
    labels = {f"methods.{name}.label": Cell(entry.label, "").method_key for name, entry in profile.methods.items()}
    titles = {f"datasets.{name}.options.title": Cell("", title_of(profile, name)).dataset_key for name in used(profile)}
    for names in (labels, titles):
        first: dict[str, str] = {}
        for key, name in names.items():
            if first.setdefault(name, key) != key:
                raise SuiteError(f"config key {key}: the same name as {first[name]}; rows need names of their own")


def _check_variants(profile: Profile) -> None:
    for name, variant in profile.variants.items():
        if name in profile.methods:
            raise SuiteError(f"config key variants.{name}: a method has this name; choose another")
        _check_known(f"variants.{name}.of", "method", variant.of, profile.methods)


def _check_evidence(profile: Profile) -> None:
    """Figures, ablations, timing and fidelity are of the profile's methods, variants and datasets."""
    known = [*profile.methods, *profile.variants]
    for key, names in _named_methods(profile):
        for name in names:
            _check_known(key, "method", name, known)
    for key, block in _placed(profile):
        _check_place(profile, f"{key}.column", block.column)
    for name in ("fig1", "fig5"):
        if name in profile.figures and len(profile.figures[name].methods) > MAX_LINES:
            raise SuiteError(f"config key figures.{name}.methods: at most {MAX_LINES} lines can be told apart")
    if "fig5" in profile.figures and profile.figures["fig5"].epochs is None:
        raise SuiteError("config key figures.fig5.epochs: missing")


MAX_LINES = 5
"""As many as there are styles that can be told apart (:mod:`pipelines.evidence.plots`)."""


def _placed(profile: Profile) -> Iterator[tuple[str, Any]]:
    yield from ((f"figures.{name}", figure) for name, figure in profile.figures.items())
    yield from (("ablations", profile.ablations),) if profile.ablations else ()
    yield from (("fidelity", profile.fidelity),) if profile.fidelity else ()


def _named_methods(profile: Profile) -> Iterator[tuple[str, Sequence[str]]]:
    for name, figure in profile.figures.items():
        yield f"figures.{name}.methods", figure.methods
    if profile.timing:
        yield "timing.methods", profile.timing.methods
    if profile.fidelity:
        yield "fidelity.method", [profile.fidelity.method]
    if profile.ablations:
        yield "ablations.gradients", profile.ablations.gradients
        for position, question in enumerate(profile.ablations.questions):
            yield f"ablations.questions.{position}", (question.reference, *question.variants)


def _check_starts(profile: Profile) -> None:
    """Data sets whose runs start from pretrained networks say where these come from."""
    places = [
        (column.dataset, table.methods or profile.methods)
        for table in profile.tables.values()
        for column in table.columns
    ]
    everyone = [*profile.methods, *profile.variants]
    places += [(block.column.dataset, getattr(block, "methods", None) or everyone) for _, block in _placed(profile)]
    for name, methods in places:
        starts = {start_of(profile, method) for method in methods}
        for start, (key, what) in _NEEDED.items():
            if start in starts and getattr(profile.datasets[name], key) is None:
                raise SuiteError(f"config key datasets.{name}.{key}: missing, yet runs are to start from {what}")


_NEEDED = {SIMCLR: ("pretraining", "SimCLR"), IMAGENET: ("imagenet", "weights of ImageNet")}
"""Which key of a data set a start needs."""


def _check_known(key: str, kind: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise SuiteError(f"config key {key}: unknown {kind} {name!r}; known: {', '.join(known)}")

"""The types of a profile: what may be said in ``config/*.yaml``, and what it stands for where it is left out."""

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from emlc.records.record import SELECTIONS

SIMCLR = "simclr"
"""The ``initialisation`` that needs a dataset's ``pretraining``."""

IMAGENET = "imagenet"
"""The one that needs its ``imagenet``: a file of weights."""


def _number(value: Any) -> Any:
    """Refuse true and false, which Python counts among the numbers."""
    if isinstance(value, bool):
        raise ValueError("true and false are no numbers")
    return value


def _text(value: Any) -> Any:
    if isinstance(value, str) and "\n" in value.strip():
        raise ValueError("it must be one line of text")
    return value.strip() if isinstance(value, str) else value


Number = BeforeValidator(_number)
Whole = Annotated[int, Number]
Real = Annotated[float, Number, Field(allow_inf_nan=False)]
Positive = Annotated[Real, Field(gt=0)]
NotNegative = Annotated[Real, Field(ge=0)]
Count = Annotated[Whole, Field(ge=1)]
Share = Annotated[Real, Field(ge=0, le=1)]
Seed = Annotated[Whole, Field(ge=0, le=2**32 - 1)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)]
TableName = Annotated[str, StringConstraints(pattern=r"^table[a-z0-9_]*$", max_length=60)]
Label = Annotated[str, BeforeValidator(_text), StringConstraints(min_length=1, pattern=r"^[^|\n]+$")]
Module = Annotated[str, StringConstraints(pattern=r"^(baselines|emlc)\.[a-z_][a-z0-9_]*$")]
Start = Literal["scratch", "simclr", "imagenet"]
Split = Literal["balanced", "released"]
Order = Literal["reshuffled", "fixed"]
Sampling = Literal["per-label", "exact-count"]
Noise = Literal[
    "sym",
    "sym-exclusive",
    "asym",
    "flip",
    "flip2",
    "idn-part-dependent",
    "pmd-type1",
    "pmd-type2",
    "pmd-type3",
    "matrix",
    "real",
    "human-aggre",
    "human-random1",
    "human-random2",
    "human-random3",
    "human-worst",
    "human-noisy",
]


class Block(BaseModel):
    """A mapping of the profile: no unknown keys, nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Where(Block):
    """A data set under one noise."""

    dataset: Name
    noise: Noise
    rate: Share


class Column(Where):
    """A column of a table."""

    sampling: Sampling | None = None


Seeds = Annotated[tuple[Seed, ...], Field(min_length=1)]
Names = Annotated[tuple[Name, ...], Field(min_length=1)]


class Pretraining(Block):
    """SimCLR's recipe for a data set, or an encoder that stands in for one."""

    checkpoint: str | None = None
    epochs: Count | None = None
    seed: Seed | None = None
    batch_size: Annotated[Whole, Field(ge=2)] | None = None
    lr: Positive | None = None
    momentum: Annotated[Real, Field(ge=0, lt=1)] | None = None
    weight_decay: NotNegative | None = None
    temperature: Positive | None = None
    warm_up_epochs: Annotated[Whole, Field(ge=0)] | None = None
    warm_up_lr: NotNegative | None = None

    @model_validator(mode="after")
    def _either(self) -> Self:
        given = self.model_fields_set
        if "checkpoint" in given and len(given) > 1:
            raise ValueError("with a checkpoint there is nothing else to say")
        if "checkpoint" not in given and "epochs" not in given:
            raise ValueError("epochs or checkpoint is missing")
        return self


class Passes(Block):
    """Which noisy images a pass goes over, and how many of them where that is not given."""

    name: Literal["all", "balanced-anew", "balanced-once", "cut-to-smallest"] = "all"
    images: Count | None = None

    @model_validator(mode="after")
    def _counted(self) -> Self:
        if (self.images is None) == self.name.startswith("balanced"):
            raise ValueError(f"{self.name} {'needs images' if self.images is None else 'counts its images itself'}")
        return self


class TrainingChange(Block):
    """What a method changes of the shared training."""

    epochs: Count | None = None
    batch_size: Annotated[Whole, Field(ge=2)] | None = None
    lr: Positive | None = None
    momentum: Annotated[Real, Field(ge=0, lt=1)] | None = None
    weight_decay: NotNegative | None = None
    nesterov: bool | None = None
    schedule: Literal["constant", "steps", "cosine"] | None = None
    milestones: tuple[Annotated[Whole, Field(ge=0)], ...] | None = None
    decay: Annotated[Real, Field(gt=0, le=1)] | None = None
    final_lr: NotNegative | None = None
    warm_up_epochs: Annotated[Whole, Field(ge=0)] | None = None
    warm_up_lr: NotNegative | None = None
    precision: Literal["float32", "tf32", "bfloat16"] | None = None
    processes: Count | None = None
    batch_norm: Literal["synchronised", "local"] | None = None


class Training(TrainingChange):
    """The training that all methods share."""

    epochs: Count
    batch_size: Annotated[Whole, Field(ge=2)]
    lr: Positive
    momentum: Annotated[Real, Field(ge=0, lt=1)]
    weight_decay: NotNegative

    @model_validator(mode="after")
    def _fits(self) -> Self:
        schedule = self.schedule or "steps"
        if schedule != "steps" and self.milestones:
            raise ValueError(f"milestones are of schedule steps, not of {schedule}; say milestones: []")
        if schedule != "cosine" and self.final_lr is not None:
            raise ValueError(f"final_lr is of schedule cosine, not of {schedule}; leave it out")
        if (self.warm_up_epochs or 0) > self.epochs:
            raise ValueError(f"warm_up_epochs is {self.warm_up_epochs}, more than the {self.epochs} epochs; lower it")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        return self


class Model(BaseModel):
    """A network: its name and the options of :func:`emlc.models.build_model`."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str


class Data(Block):
    """A data set: what it is made of, how it is split, augmented and learned."""

    kind: Literal["digits", "clothes", "cifar10", "cifar100", "clothing1m", "image-folder", "photo-folder"]
    options: dict[str, Any] = {}
    human_labels: Annotated[str, StringConstraints(pattern=r"\.dvc$")] | None = None
    noise_matrix: Annotated[str, StringConstraints(pattern=r"\.(csv|npy)$")] | None = None
    clean_per_class: Count | None = None
    validation_per_class: Count | None = None
    crop_padding: Annotated[Whole, Field(ge=0)]
    padding: Literal["zero", "reflect"] = "zero"
    auto_augment: Literal["cifar10", "imagenet"] = "cifar10"
    passes: Passes = Passes()
    model: Model
    pretraining: Pretraining | None = None
    imagenet: Annotated[str, Field(min_length=1)] | None = None


class DataChange(Block):
    """What a method changes of a data set: how it is split, augmented and learned."""

    clean_per_class: Count | None = None
    validation_per_class: Count | None = None
    crop_padding: Annotated[Whole, Field(ge=0)] | None = None
    padding: Literal["zero", "reflect"] | None = None
    auto_augment: Literal["cifar10", "imagenet"] | None = None
    mean: Annotated[tuple[Real, ...], Field(min_length=1)] | None = None
    std: Annotated[tuple[Positive, ...], Field(min_length=1)] | None = None
    model: Model | None = None

    def on(self, data: Data) -> Data:
        """Return a data set as the method sees it: a `model` replaces its own, options and all."""
        given = {name: getattr(self, name) for name in DataChange.model_fields}
        given = {name: value for name, value in given.items() if value is not None}
        pixels = {name: list(given.pop(name)) for name in ("mean", "std") if name in given}
        return data.model_copy(update={**given, "options": {**data.options, **pixels}})


class OnDataset(DataChange):
    """What a method does otherwise on one data set."""

    options: dict[str, Any] = {}
    training: TrainingChange = TrainingChange()


class MethodChange(DataChange):
    """How a method is trained, where not as all are: on every data set, and on some."""

    options: dict[str, Any] = {}
    training: TrainingChange = TrainingChange()
    initialisation: Start | None = None
    order: Order | None = None
    split: Split | None = None
    passes: Passes | None = None
    sampling: Sampling | None = None
    datasets: dict[Name, OnDataset] = {}


class MethodEntry(MethodChange):
    """A row of tables: an implementation, and how it is trained."""

    label: Label
    implementation: Module
    selection: Literal[SELECTIONS] | None = None  # type: ignore[valid-type]
    cells_per_job: Count | None = None


class Variant(MethodChange):
    """A method of the profile, and what is different about it."""

    label: Label
    of: Name
    implementation: Module | None = None


class Table(Block):
    """A table: columns, rows in their order, seeds if not the profile's, and the published numbers beside it."""

    title: Label
    published: Annotated[str, Field(min_length=1)] | None = None
    columns: Annotated[tuple[Column, ...], Field(min_length=1)]
    methods: Annotated[Names, BeforeValidator(tuple)] | None = None
    seeds: Seeds | None = None
    selection: Literal[SELECTIONS] = SELECTIONS[0]  # type: ignore[valid-type]


class Figure(Block):
    """A figure of the paper: a column, methods and seeds."""

    column: Where
    methods: Names
    seeds: Seeds
    epochs: Count | None = None


class Net(Block):
    """A student whose training is timed, on random images, and how many of them make an epoch.

    A round repeats its iterations so many times: small ones are over before a clock tells them apart.
    """

    title: Label
    model: Model
    channels: Count
    side: Count
    batch: Annotated[Whole, Field(ge=2)]
    epoch_images: Count
    repeats: Count = 1


EMBEDDED = Net(
    title="embedded net (cnn-small, 8x8x1)",
    model=Model(name="cnn-small", pool=2),
    channels=1,
    side=8,
    batch=28,
    epoch_images=1407,
    repeats=8,
)
NARROW_RESNET = Net(
    title="ResNet-18, width 16 (32x32x3)",
    model=Model(name="resnet18", width=16),
    channels=3,
    side=32,
    batch=16,
    epoch_images=49_000,
)


class Timing(Block):
    """Methods whose iterations are timed, and on what: by default a student that one core can time, and a smaller one.

    Rounds are those that count.
    """

    methods: Names
    nets: Annotated[tuple[Net, ...], Field(min_length=1)] = (EMBEDDED, NARROW_RESNET)
    rounds: Count = 12


class Fidelity(Block):
    """The run on which meta-gradients are compared with the exact one: after its first steps, on so many windows."""

    column: Where
    method: Name
    seed: Seed
    steps: Annotated[Whole, Field(ge=0)] = 150
    draws: Count = 10


class Question(Block):
    """A reference, and the variants that are compared with it."""

    question: Label
    reference: Name
    variants: Names


class Ablations(Block):
    """Tables of accuracy differences to a reference, over the same seeds."""

    column: Where
    seeds: Seeds
    selection: Literal[SELECTIONS] = SELECTIONS[0]  # type: ignore[valid-type]
    questions: Annotated[tuple[Question, ...], Field(min_length=1)]
    gradients: tuple[Name, ...] = ()
    gradient_seeds: Seeds = (0,)


class Profile(Block):
    """All that a profile says."""

    profile: Name
    protocol: Literal["paper", "released"]
    seeds: Seeds
    seeds_per_job: Annotated[Whole, Field(ge=1, le=16)] = 1
    cells_per_job: Count = 1
    checkpoint_minutes: Positive = 10
    latency_seconds: NotNegative = 0
    device: Literal["auto", "cpu", "cuda"]
    threads: Count
    loader_workers: Annotated[Whole, Field(ge=0)] = 2
    mirror: str | None = None
    datasets: Annotated[dict[Name, Data], Field(min_length=1)]
    training: Training
    initialisation: Start
    methods: Annotated[dict[Name, MethodEntry], Field(min_length=1)]
    variants: dict[Name, Variant] = {}
    tables: Annotated[dict[TableName, Table], Field(min_length=1)]
    figures: dict[Literal["fig1", "fig3", "fig4", "fig5"], Figure] = {}
    timing: Timing | None = None
    fidelity: Fidelity | None = None
    ablations: Ablations | None = None

    def method(self, name: str) -> MethodEntry:
        """Return a method, or a variant as the method it comes to."""
        if name in self.methods:
            return self.methods[name]
        variant = self.variants[name]
        return laid_over(self.methods[variant.of], variant)

    def data(self, method: str, dataset: str) -> Data:
        """Return a data set as a method sees it."""
        entry = self.method(method)
        return entry.datasets.get(dataset, OnDataset()).on(entry.on(self.datasets[dataset]))

    def training_of(self, method: str, dataset: str) -> Training:
        """Return how a method is trained on a data set.

        Raises
        ------
        ValidationError
            If what the profile, the method and its data set say does not go together.
        """
        entry = self.method(method)
        parts = (self.training, entry.training, entry.datasets.get(dataset, OnDataset()).training)
        return Training.model_validate({key: value for part in parts for key, value in said(part).items()})

    def options_of(self, method: str, dataset: str) -> dict[str, Any]:
        """Return the options that a method has on a data set."""
        entry = self.method(method)
        return {**entry.options, **entry.datasets.get(dataset, OnDataset()).options}

    def cells_per_job_of(self, method: str) -> int:
        """Return how many cells of a method one process trains."""
        return self.method(method).cells_per_job or self.cells_per_job

    def seeds_of(self, table: str) -> tuple[int, ...]:
        """Return the seeds that a table reports."""
        return self.tables[table].seeds or self.seeds

    def columns(self) -> dict[Where, Column]:
        """Return the columns of all tables, by place."""
        all_columns = [column for table in self.tables.values() for column in table.columns]
        return {Where(**column.model_dump(include=set(Where.model_fields))): column for column in all_columns}


Entry = TypeVar("Entry", bound=BaseModel)


def laid_over(base: Entry, over: BaseModel) -> Entry:
    """Return `base` with what `over` says of its keys: mappings and blocks key by key, but a model as a whole."""
    given = {name: getattr(over, name) for name in over.model_fields_set & type(base).model_fields.keys()}
    changes = {name: _laid(getattr(base, name), value) for name, value in given.items() if value is not None}
    return base.model_copy(update=changes)


def _laid(base: Any, over: Any) -> Any:
    if isinstance(base, Block) and isinstance(over, Block):
        return laid_over(base, over)
    if isinstance(base, dict) and isinstance(over, dict):
        return {**base, **{name: _laid(base.get(name), value) for name, value in over.items()}}
    return over


def said(block: BaseModel) -> dict[str, Any]:
    """Return what a block of a profile says itself, without what it leaves to defaults, as JSON values."""
    return block.model_dump(mode="json", exclude_unset=True, exclude_none=True)

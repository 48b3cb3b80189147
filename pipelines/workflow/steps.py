"""From a profile to the steps that make what it asks for: every artefact with all that decides it.

Every function here returns an :class:`~emlc.records.store.Order`, whose identity holds the ids of the artefacts that it
is made from and the checksum of the code that makes it. Two profiles that ask for the same get the same order.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from emlc.data import Dataset, open_dataset
from emlc.data.human import KINDS as HUMAN_KINDS
from emlc.data.on_disk import is_on_disk
from emlc.noise.class_maps import as_pairs
from emlc.noise.matrix_file import MATRIX
from emlc.records.artefacts import canonical_json, file_digest
from emlc.records.errors import SuiteError
from emlc.records.store import Order
from emlc.tasks.listed import REAL
from emlc.tasks.splits import LISTED
from emlc.tasks.task import GIVEN
from pipelines.profile.derived import dataset_options, start_of
from pipelines.profile.mappings import read_yaml
from pipelines.profile.model import IMAGENET, SIMCLR, Model, Profile, Where, said
from pipelines.profile.places import ROOT
from pipelines.workflow.pins import identified, pinned, pinned_matrix, target_of
from pipelines.workflow.runs import Run
from pipelines.workflow.sources import digest

MAPPED = ("asym",)
"""Noise kinds that a data set's class map decides."""


class Draw(NamedTuple):
    """How a task is drawn, as far as methods may differ in it; the words are those of profiles."""

    split: str
    sampling: str
    clean_per_class: int | None
    validation_per_class: int | None


@dataclass(frozen=True)
class Steps:
    """What one profile asks for.

    Attributes
    ----------
    profile : Profile
    results : Path
        The folder that artefacts, orders and tables lie in.
    """

    profile: Profile
    results: Path = Path("results")

    @cached_property
    def protocol(self) -> dict[str, Any]:
        """What the profile's protocol stands for (``config/protocols.yaml``)."""
        return read_yaml(ROOT / "config" / "protocols.yaml")[self.profile.protocol]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_made", {})

    def _once(self, key: tuple[Any, ...], make: Any) -> Order:
        """Return the order of a key, made at the first call."""
        made: dict[tuple[Any, ...], Order] = self._made  # type: ignore[attr-defined]
        if key not in made:
            made[key] = make()
        return made[key]

    def _order(self, kind: str, module: str, identity: dict[str, Any], about: dict[str, Any]) -> Order:
        code = digest(f"pipelines.{module}")
        return Order(kind, {**identity, "code": code}, about, self.results)

    def dataset(self, name: str) -> Dataset:
        """Return a data set of the profile."""
        return self._datasets[name]

    @cached_property
    def _datasets(self) -> dict[str, Dataset]:
        return {name: open_dataset(name, dataset_options(self.profile, name)) for name in self.profile.datasets}

    # Data and tasks

    def data(self, name: str) -> Order:
        """Return the prepared arrays of a data set."""
        return self._once(("data", name), lambda: self._data(name))

    def _data(self, name: str) -> Order:
        options = dataset_options(self.profile, name)
        made_of = {key: options[key] for key in ("kind", "subset", "classes") if key in options}
        dataset = self.dataset(name)
        identity = {"dataset": name, **made_of, "files": [identified(dataset, source) for source in dataset.pointers]}
        about = {"title": dataset.title, "options": options, "sources": list(dataset.pointers)}
        return self._order("data", "prepare", identity, about)

    def labels(self, name: str) -> Order:
        """Return the human labels of a data set, in the order of its arrays.

        Raises
        ------
        SuiteError
            If the data set has none.
        """
        return self._once(("labels", name), lambda: self._labels(name))

    def _labels(self, name: str) -> Order:
        pointer = self.profile.datasets[name].human_labels
        if pointer is None:
            raise SuiteError(f"config key datasets.{name}.human_labels: missing, yet human labels are asked for")
        identity = {"data": self.data(name).id, "file": pinned(pointer)}
        about = {**self.data(name).about, "dataset": name, "pointer": pointer}
        return self._order("labels", "human", identity, about)

    def task(self, where: Where, seed: int, draw: Draw | None = None) -> Order:
        """Return the task of a column and seed, drawn as the profile says for all methods or otherwise."""
        drawn = draw or self.draw(where)
        drawn = drawn._replace(split=LISTED) if where.noise == REAL else drawn
        key = ("tasks", where.dataset, where.noise, where.rate, seed, drawn)
        return self._once(key, lambda: self._task(where, seed, drawn))

    def draw(self, where: Where, method: str | None = None) -> Draw:
        """Return how the tasks of a column are drawn: for all methods, or for one that wants others."""
        entry = None if method is None else self.profile.method(method)
        data = self.profile.datasets[where.dataset] if method is None else self.profile.data(method, where.dataset)
        return Draw(
            split=(entry and entry.split) or self.protocol["split"],
            sampling=(entry and entry.sampling) or self._sampling(where),
            clean_per_class=data.clean_per_class,
            validation_per_class=data.validation_per_class,
        )

    def _task(self, where: Where, seed: int, draw: Draw) -> Order:
        human, data = where.noise in HUMAN_KINDS, self.profile.datasets[where.dataset]
        matrix = data.noise_matrix if where.noise == MATRIX else None
        identity = {
            "data": self.data(where.dataset).id,
            "dataset": where.dataset,  # an axis of its random draws
            "noise": where.noise,
            "rate": where.rate,
            "sampling": GIVEN if human or where.noise == REAL else draw.sampling,
            "split": draw.split,
            "clean_per_class": draw.clean_per_class,
            # The public code's split draws a validation set of its own.
            "validation_per_class": draw.validation_per_class if draw.split == "balanced" else None,
            "class_map": as_pairs(self.dataset(where.dataset).class_map) if where.noise in MAPPED else None,
            "matrix": None if matrix is None else pinned_matrix(matrix),
            "labels": self.labels(where.dataset).id if human else None,
            "seed": seed,
        }
        return self._order("tasks", "inject", identity, {"title": self.dataset(where.dataset).title, "matrix": matrix})

    def _sampling(self, where: Where) -> str:
        place = Where(dataset=where.dataset, noise=where.noise, rate=where.rate)
        column = self.profile.columns().get(place)
        return (column.sampling if column else None) or "per-label"

    def task_of(self, run: Run) -> Order:
        """Return the task that a run trains on."""
        where = Where(dataset=run.dataset, noise=run.noise, rate=run.rate)
        return self.task(where, run.seed, self.draw(where, run.method))

    # Encoders and runs

    def encoder_of(self, run: Run) -> Order | None:
        """Return the encoder that a run starts from; None if that is none of the suite's."""
        if start_of(self.profile, run.method) != SIMCLR:
            return None
        return self.encoder(run.dataset, self.profile.data(run.method, run.dataset).model)

    def encoder(self, name: str, model: Model | None = None) -> Order | None:
        """Return the SimCLR encoder of a data set, of its own network or another; None if the user's own stands in.

        Raises
        ------
        SuiteError
            If the data set has neither.
        """
        spec = (model or self.profile.datasets[name].model).model_dump(mode="json")
        return self._once(("encoders", name, canonical_json(spec)), lambda: self._encoder(name, spec))

    def _encoder(self, name: str, model: dict[str, Any]) -> Order | None:
        recipe = self._pretraining(name)
        if "checkpoint" in recipe:
            return None
        identity = {
            "data": self.data(name).id,
            "pretraining": recipe,
            "model": model,
            **pixels_of(self.dataset(name)),
            **self._computing(),
        }
        about = {"dataset": name, "title": self.dataset(name).title, "images": self._images(name)}
        return self._order("encoders", "pretrain", identity, about)

    def _pretraining(self, name: str) -> dict[str, Any]:
        recipe = self.profile.datasets[name].pretraining
        if recipe is None:
            raise SuiteError(f"config key datasets.{name}.pretraining: missing, yet runs are to start from SimCLR")
        return said(recipe)

    def _images(self, name: str) -> dict[str, Any] | None:
        """Return where a run finds images that stay on disk, and who decodes them."""
        dataset = self.dataset(name)
        if not is_on_disk(dataset):
            return None
        (source,) = dataset.pointers
        kind = self.profile.datasets[name].kind
        return {"kind": kind, "source": source, "workers": self.profile.loader_workers}

    def _computing(self) -> dict[str, Any]:
        return {"device": self.profile.device, "threads": self.profile.threads}

    def run(self, run: Run) -> Order:
        """Return one run: a method on a task from initial weights."""
        return self._once(("runs", *run), lambda: self._run(run))

    def _run(self, run: Run) -> Order:
        method, task = self.profile.method(run.method), self.task_of(run)
        start, about = self._start(run)
        identity = {
            "data": task.identity["data"],
            "task": task.id,
            **self.recipe(run.method, run.dataset),
            **start,
            "seed": run.seed,
            "code": digest("pipelines.train", method.implementation),
        }
        names = {"profile": self.profile.profile, "protocol": self.profile.protocol, **run._asdict()}
        dataset = self.dataset(run.dataset)
        names |= {"label": method.label, "title": dataset.title, "released": dataset.released}
        names |= {"images": self._images(run.dataset)}
        return Order("runs", identity, {**names, **about}, self.results)

    def recipe(self, method_name: str, dataset_name: str) -> dict[str, Any]:
        """Return what decides how a method is trained on a data set, whatever its task, start and seed."""
        method, data = self.profile.method(method_name), self.profile.data(method_name, dataset_name)
        passes = method.passes or data.passes
        defaults = self.protocol["options"].get(method.implementation, {})
        return {
            "implementation": method.implementation,
            "options": {**defaults, **self.profile.options_of(method_name, dataset_name)},
            "training": said(self.profile.training_of(method_name, dataset_name)),
            "order": method.order or self.protocol["order"],
            "model": data.model.model_dump(mode="json"),
            "crop_padding": data.crop_padding,
            "padding": data.padding,
            "auto_augment": data.auto_augment,
            "passes": passes.model_dump(mode="json"),
            **pixels_of(open_dataset(dataset_name, dataset_options(self.profile, dataset_name, method_name))),
            **self._computing(),
        }

    def _start(self, run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return where a run starts from, and the path of a user's own encoder or of weights from elsewhere."""
        start, weights = start_of(self.profile, run.method), self.weights_of(run)
        if weights is not None:
            return {"initialisation": start, "encoder": pinned(weights)}, {"checkpoint": target_of(weights)}
        if start != SIMCLR:
            return {"initialisation": start, "encoder": None}, {"checkpoint": None}
        encoder = self.encoder_of(run)
        if encoder is not None:
            return {"initialisation": start, "encoder": {"id": encoder.id}}, {"checkpoint": None}
        path = self._pretraining(run.dataset)["checkpoint"]
        return {"initialisation": start, "encoder": {"sha256": file_digest(Path(path), "sha256")}}, {"checkpoint": path}

    def weights_of(self, run: Run) -> str | None:
        """Return the weights of ImageNet that a run starts from, a pointer or a file; None if it starts elsewhere."""
        starts = start_of(self.profile, run.method) == IMAGENET
        return self.profile.datasets[run.dataset].imagenet if starts else None

    # Probes

    def probe(self, run: Run) -> Order:
        """Return a run trained once more under observation."""
        return self._once(("probes", *run), lambda: self._probe(run))

    def _probe(self, run: Run) -> Order:
        trained = self.run(run)
        method = self.profile.method(run.method)
        identity = {**trained.identity, "code": digest("pipelines.probe", method.implementation)}
        return Order("probes", identity, trained.about, self.results)


def pixels_of(dataset: Dataset) -> dict[str, Any]:
    """Return what a network sees of a data set's pixels."""
    facts = {"mean": list(dataset.mean), "std": list(dataset.std), "flips": dataset.flips}
    if not is_on_disk(dataset):
        return {**facts, "preprocessing": None}
    return {**facts, "preprocessing": {"name": dataset.preprocessing, "side": dataset.side, "size": dataset.size}}

"""One definition of identity: every key of a profile either changes what is made, or is known to change no number."""

import copy
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from pipelines.profile.load import checked
from pipelines.profile.model import Profile
from pipelines.workflow.jobs import Jobs
from pipelines.workflow.runs import all_runs
from tests.tiny import tiny_profile

INERT = {
    "profile": "a name; tables print it",
    "seeds_per_job": "which runs share a process",
    "cells_per_job": "which runs share a process",
    "checkpoint_minutes": "when a checkpoint is written",
    "latency_seconds": "how late files may be seen",
    "mirror": "where verified bytes come from",
    "loader_workers": "who decodes images that stay on disk",
    "datasets.digits.options.title": "a name; tables print it",
    "datasets.digits.options.released": "a date; tables print it",
    "methods.cross-entropy.label": "a name; tables print it",
    "methods.cross-entropy.cells_per_job": "which runs share a process",
    "methods.emlc.label": "a name; tables print it",
    "methods.narrow.label": "a name; tables print it",
    "methods.cross-entropy.selection": "which of the recorded scores its row prints",
    "variants.faster.label": "a name; ablations print it",
    "variants.smaller.label": "a name; ablations print it",
    "tables.table1.title": "a name; the table prints it",
    "tables.table1.published": "what the table is compared with",
    "tables.table1.selection": "which of the recorded scores the table prints",
    "figures.fig5.epochs": "how much of the recorded steps is drawn",
    "timing.methods": "what is timed; no part of a run",
    "timing.rounds": "how often it is timed",
    **{
        f"timing.nets.0.{key}": "what is timed; no part of a run"
        for key in ("title", "model.name", "channels", "side", "batch", "epoch_images", "repeats")
    },
    "fidelity.steps": "how long the run goes on before gradients are compared",
    "fidelity.draws": "how often they are compared",
    "ablations.selection": "which of the recorded scores is compared",
    "ablations.questions.0.question": "a heading",
    "ablations.questions.0.reference": "which of the recorded runs are compared",
}
"""Keys that change no run, and why. What they do change is made anew: the pages' identities hold them."""

TRAINING = {
    **tiny_profile()["training"],
    "nesterov": False,
    "milestones": [1],
    "decay": 0.1,
    "warm_up_epochs": 1,
    "warm_up_lr": 0.01,
    "precision": "float32",
    "processes": 2,
    "batch_norm": "synchronised",
}
DATA = {
    "clean_per_class": 2,
    "validation_per_class": 1,
    "crop_padding": 2,
    "padding": "zero",
    "auto_augment": "cifar10",
    "mean": [0.4],
    "std": [0.5],
    "model": {"name": "cnn-small", "width": 8},
}
ON_DATASET = {"digits": {**DATA, "options": {"teacher_lr": 0.3}, "training": {**TRAINING, "lr": 0.06}}}
WHERE = {"dataset": "digits", "noise": "asym", "rate": 0.4}
FULL = tiny_profile(
    mirror="mirror",
    cells_per_job=2,
    latency_seconds=1,
    checkpoint_minutes=5,
    loader_workers=1,
    seeds=[0, 1],
    datasets={
        "digits": {
            **tiny_profile()["datasets"]["digits"],
            "options": {
                "title": "Digits",
                "released": "1998",
                "class_map": {"1": [2]},
                "mean": [0.3],
                "std": [0.4],
                "flips": False,
                "subset": {"train": 100, "test": 50},
            },
            "validation_per_class": 2,
            "padding": "zero",
            "auto_augment": "cifar10",
            "passes": {"name": "balanced-once", "images": 40},
            "pretraining": {
                "epochs": 1,
                "seed": 0,
                "batch_size": 64,
                "lr": 0.1,
                "momentum": 0.9,
                "weight_decay": 1e-4,
                "temperature": 0.5,
                "warm_up_epochs": 0,
                "warm_up_lr": 0.01,
            },
        }
    },
    training=TRAINING,
    initialisation="simclr",
    methods={
        "cross-entropy": {
            **DATA,
            "label": "Cross-Entropy",
            "implementation": "baselines.cross_entropy",
            "options": {},
            "training": {**TRAINING, "lr": 0.04},
            "initialisation": "simclr",
            "order": "reshuffled",
            "split": "balanced",
            "passes": {"name": "balanced-once", "images": 50},
            "sampling": "per-label",
            "selection": "best-clean",
            "cells_per_job": 1,
        },
        "emlc": {"label": "EMLC", "implementation": "emlc.method", "options": {"look_ahead": 1}},
        "narrow": {"label": "Narrow", "implementation": "emlc.method", "datasets": ON_DATASET},
    },
    variants={
        "smaller": {"label": "Smaller", "of": "emlc", "datasets": ON_DATASET},
        "faster": {
            **DATA,
            "label": "Faster",
            "of": "emlc",
            "implementation": "emlc.method",
            "options": {"teacher_lr": 0.5},
            "training": {**TRAINING, "lr": 0.03},
            "initialisation": "simclr",
            "order": "reshuffled",
            "split": "balanced",
            "passes": {"name": "balanced-once", "images": 50},
            "sampling": "per-label",
        },
    },
    tables={
        "table1": {
            "title": "Table 1",
            "published": "published/table1.csv",
            "columns": [{**WHERE, "sampling": "per-label"}],
            "methods": ["cross-entropy", "emlc", "narrow"],
            "selection": "best-clean",
        }
    },
    figures={"fig5": {"column": {**WHERE, "rate": 0.3}, "methods": ["emlc"], "seeds": [0], "epochs": 1}},
    timing={
        "methods": ["emlc"],
        "rounds": 2,
        "nets": [
            {
                "title": "A net",
                "model": {"name": "cnn-small"},
                "channels": 1,
                "side": 8,
                "batch": 8,
                "epoch_images": 80,
                "repeats": 1,
            }
        ],
    },
    fidelity={"column": {**WHERE, "rate": 0.2}, "method": "emlc", "seed": 0, "steps": 2, "draws": 1},
    ablations={
        "column": WHERE,
        "seeds": [0],
        "selection": "best-clean",
        "gradients": ["emlc"],
        "gradient_seeds": [0],
        "questions": [{"question": "Faster?", "reference": "emlc", "variants": ["faster", "smaller"]}],
    },
)

OTHER: dict[str, Any] = {
    "profile": "other",
    "protocol": "released",
    "device": "auto",
    "padding": "reflect",
    "auto_augment": "imagenet",
    "class_map": {"3": [4]},
    "kind": "cifar10",
    "precision": "tf32",
    "batch_norm": "local",
    "initialisation": "scratch",
    "implementation": "baselines.clean_only",
    "order": "fixed",
    "split": "released",
    "noise": "sym",
    "sampling": "exact-count",
    "selection": "last",
    "published": "published/table2.csv",
    "reference": "cross-entropy",
    "method": "cross-entropy",
    "of": "cross-entropy",
    "name": "resnet18",
    "human_labels": "data/cifar10n.dvc",
    "checkpoint": None,
    "passes.name": "balanced-anew",
    "methods": ["cross-entropy"],
    "variants": ["cross-entropy"],
    "gradients": ["faster"],
    "look_ahead": 2,
    "momentum": 0.8,
}
"""Another value for what has no obvious one; a number grows, a text gets a letter more, a list of numbers one."""

NOT_WALKED = {
    "datasets.digits.kind": "the other kinds need other data; part of the identity of data by its sources",
    "datasets.digits.human_labels": "of human noise only; see the test below",
    "datasets.digits.noise_matrix": "of noise from a matrix only; see tests/pipelines/test_noises.py",
    "datasets.digits.pretraining.checkpoint": "instead of a recipe; see the test below",
    "datasets.digits.imagenet": "of runs that start from it only; see tests/pipelines/test_photographs.py",
    "tables.table1.seeds": "instead of the profile's; see the test below",
    "tables.table1.columns.0.dataset": "there is one data set",
    "figures.fig5.column.dataset": "there is one data set",
    "fidelity.column.dataset": "there is one data set",
    "ablations.column.dataset": "there is one data set",
    **{
        f"{place}training.{key}": "does not go with milestones; see the test below"
        for place in ("", "methods.narrow.", "methods.narrow.datasets.digits.", "variants.smaller.")
        for key in ("schedule", "final_lr")
    },
    **{
        f"variants.smaller.datasets.digits.training.{key}": "does not go with milestones; see the test below"
        for key in ("schedule", "final_lr")
    },
}


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The keys of a profile with a value of their own; lists of plain values count as one."""
    if isinstance(value, dict) and not key.endswith(("class_map", "options")):
        for name, part in value.items():
            yield from leaves(part, f"{key}.{name}".lstrip("."))
    elif isinstance(value, dict) and key.endswith("options"):
        yield from ((f"{key}.{name}", part) for name, part in value.items())
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for position, part in enumerate(value):
            yield from leaves(part, f"{key}.{position}")
    else:
        yield key, value


def other(key: str, value: Any) -> Any:
    name = "passes.name" if key.endswith("passes.name") else key.rpartition(".")[2]
    if name in OTHER:
        return OTHER[name]
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1 if isinstance(value, int) else round(value * 1.1 + 0.01, 6)
        case str():
            return f"{value}x"
        case [first, *_] if isinstance(first, int | float):
            return [*value, first + 5] if isinstance(first, int) else [first * 1.1]
        case {"train": count, **rest}:
            return {"train": count + 10, **rest}
    raise AssertionError(f"no other value for {key}")


def changed(key: str) -> dict[str, Any]:
    """The full profile with another value of one key."""

    def replaced(value: Any, path: list[str]) -> Any:
        name, *rest = path
        if isinstance(value, list):
            return [replaced(part, rest) if str(i) == name else part for i, part in enumerate(value)]
        new = replaced(value[name], rest) if rest else other(key, value[name])
        return {**value, name: new}

    return replaced(FULL, key.split("."))


def made(profile: dict[str, Any]) -> dict[str, set[str]]:
    """Ids by kind of artefact of all that the profile asks for."""
    jobs = Jobs(checked(profile))
    found = {kind: set(by_id) for kind, by_id in jobs.by_kind.items()}
    found["runs"] = {jobs.steps.run(run).id for run in (*all_runs(jobs.profile), jobs.pages.fidelity_run())}
    return found


UNSEEN = (
    *("seeds_per_job", "cells_per_job", "methods.cross-entropy.cells_per_job"),
    *("checkpoint_minutes", "latency_seconds", "mirror", "loader_workers"),
)
"""Keys of how the work is done."""

NUMBERS = ("runs", "probes", "encoders")
KEYS = [key for key, _ in leaves(FULL)]


@pytest.fixture(scope="module")
def full():
    return made(FULL)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_changes_what_is_trained_or_stands_on_the_list(key, full):
    if key in NOT_WALKED:
        return
    now = made(changed(key))
    trained = any(now[kind] != full[kind] for kind in NUMBERS)
    assert trained != (key in INERT), f"{key}: trained anew {trained}, on the list {key in INERT}"


@pytest.mark.parametrize("key", [key for key in INERT if key not in UNSEEN])
def test_what_changes_no_run_still_makes_its_pages_anew(key, full):
    now = made(changed(key))
    pages = ("tables", "curves", "figures", "timing", "fidelity", "ablations", "reports")
    assert any(now[kind] != full[kind] for kind in pages if kind in full)


def test_the_walk_covers_every_key_of_the_types(capsys):
    """A new key of a profile has to be walked."""
    walked = {_generic(key) for key in KEYS} | {_generic(key) for key in NOT_WALKED}
    known = set(_fields(Profile))
    missing = {key for key in known if key not in walked and not any(w.startswith(f"{key}.") for w in walked)}
    assert missing == set()
    with capsys.disabled():
        print(f"\nidentity: {len(KEYS)} keys walked, {len(INERT)} of them change no number", end=" ")


NAMED = ("datasets", "methods", "variants", "tables", "figures")


def _generic(key: str) -> str:
    """A key of the full profile as one of the types: names and positions left out."""
    parts = key.split(".")
    if parts[0] in NAMED:
        del parts[1]
    if "datasets" in parts[1:]:
        del parts[2]  # that of a method
    return ".".join(part for part in parts if not part.isdigit())


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = [part for part in _types(field.annotation) if isinstance(part, type) and issubclass(part, BaseModel)]
        if inner and name not in ("model",):
            yield from (key for part in inner for key in _fields(part, f"{prefix}{name}."))
        else:
            yield f"{prefix}{name}"


def _types(annotation: Any) -> Iterator[Any]:
    arguments = get_args(annotation)
    yield from (part for argument in arguments for part in _types(argument)) if arguments else (annotation,)


def test_human_labels_and_checkpoints_of_one_s_own_are_part_of_it(tmp_path):
    encoder = tmp_path / "encoder.pt"
    digits = {**FULL["datasets"]["digits"], "pretraining": {"checkpoint": str(encoder)}}
    profile = {**FULL, "datasets": {"digits": digits}}
    encoder.write_bytes(b"one")
    first = made(profile)["runs"]
    encoder.write_bytes(b"two")
    assert not first & made(profile)["runs"]


PLACES = ("training", "methods.emlc.training", "variants.smaller.datasets.digits.training")
SCHEDULES = ({}, {"schedule": "constant"}, {"schedule": "cosine"}, {"schedule": "cosine", "final_lr": 0.001})


@pytest.mark.parametrize("place", PLACES)
def test_every_schedule_is_another_training(place):
    runs = [frozenset(made(with_training(place, {"milestones": [], **schedule}))["runs"]) for schedule in SCHEDULES]
    assert len(set(runs)) == len(SCHEDULES)


def with_training(place: str, change: dict[str, Any]) -> dict[str, Any]:
    """The full profile with a change of one of its trainings, and no milestones but there."""
    *path, last = place.split(".")
    profile = copy.deepcopy(FULL)
    for entry in (profile, *profile["methods"].values(), *profile["variants"].values()):
        for training in (entry.get("training", {}), entry.get("datasets", {}).get("digits", {}).get("training", {})):
            training.pop("milestones", None)
    block = profile
    for name in path:
        block = block[name]
    block[last] = {**block.get(last, {}), **change}
    return profile


def test_seeds_of_a_table_s_own_are_its_runs_and_its_page_s():
    def seeds_of(**changes):
        table = {**FULL["tables"]["table1"], **changes}
        jobs = Jobs(checked({**FULL, "tables": {"table1": table}}))
        assert jobs.pages.table("table1").identity["seeds"] == sorted({run["seed"] for run in runs_of(jobs)})
        return {run["id"] for run in runs_of(jobs)}

    def runs_of(jobs):
        return jobs.pages.table("table1").identity["runs"]

    assert seeds_of(seeds=[0, 1]) == seeds_of()
    assert seeds_of(seeds=[0]) < seeds_of() < seeds_of(seeds=[0, 1, 2])


def test_two_profiles_that_ask_for_the_same_share_their_runs():
    renamed = {**FULL, "profile": "other", "methods": {"ce": FULL["methods"]["cross-entropy"]}, "variants": {}}
    renamed |= {"figures": {}, "tables": {"table2": {"title": "T", "columns": FULL["tables"]["table1"]["columns"]}}}
    renamed = {key: value for key, value in renamed.items() if key not in ("timing", "fidelity", "ablations")}
    jobs = Jobs(checked(renamed))
    assert {jobs.steps.run(run).id for run in all_runs(jobs.profile)} < made(FULL)["runs"]

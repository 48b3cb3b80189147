"""The shipped profiles: valid, as published, and complete as a workflow."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from emlc.data import open_dataset
from emlc.data.cifar import Cifar10
from emlc.data.cifar_n import read_human_labels
from emlc.engine.run import method_class, parse_options
from emlc.judging.cells import Cell, read_published
from emlc.models import build_model
from pipelines.fetching.pointers import read_pointer
from pipelines.profile.derived import dataset_options, start_of, used
from pipelines.profile.load import checked, load_profile
from pipelines.profile.mappings import read_yaml
from pipelines.profile.model import said
from pipelines.profile.places import ROOT
from pipelines.workflow.jobs import Jobs
from pipelines.workflow.runs import figure_runs, table_runs
from pipelines.workflow.steps import Steps
from tests.fixtures import shared_file, torch_reads

PAPER, JPEG, EMBEDDED, HUMAN, HUMAN_JPEG, NEW_METHOD = (
    ROOT / "config" / f"{name}.yaml"
    for name in ("paper", "cifar10-jpeg", "config", "cifarn", "cifar10n-jpeg", "new-method")
)
TABLE_1, TABLE_2 = (ROOT / "published" / f"table{number}.csv" for number in (1, 2))


@pytest.fixture(scope="module")
def paper():
    return load_profile([PAPER])


@pytest.fixture(scope="module")
def jpeg():
    return load_profile([JPEG])


def test_rows_and_columns_are_those_of_the_paper(paper):
    cells = read_published(TABLE_1)
    labels = [paper.methods[name].label for name in paper.tables["table1"].methods]
    assert labels == [*dict.fromkeys(cell.method for cell in cells), "Clean only"]
    titles = {name: open_dataset(name, dataset_options(paper, name)).title for name in paper.datasets}
    columns = [(titles[column.dataset], column.noise, column.rate) for column in paper.tables["table1"].columns]
    assert columns == [*dict.fromkeys((cell.dataset, *cell.noise) for cell in cells)]
    assert len(table_runs(paper, "table1")) == 9 * 9 * 5


def test_recipe_of_section_4_1(paper):
    recipe = {"epochs": 15, "batch_size": 128, "lr": 0.02, "momentum": 0.9, "weight_decay": 5e-4}
    assert said(paper.training) == recipe
    assert (paper.protocol, paper.tables["table1"].selection, paper.initialisation) == ("paper", "best-clean", "simclr")
    assert (paper.seeds, paper.device) == ((0, 1, 2, 3, 4), "cuda")
    for name, model, classes in [("cifar10", "resnet34", 10), ("cifar100", "resnet50", 100)]:
        dataset = paper.datasets[name]
        assert dataset.model.model_dump() == {"name": model}
        assert dataset.clean_per_class * classes == 1_000
        assert dataset.crop_padding == 4
        assert said(dataset.pretraining) == {
            "epochs": 1000,
            "batch_size": 1024,
            "lr": 0.5,
            "momentum": 0.9,
            "weight_decay": 1e-4,
            "temperature": 0.5,
            "warm_up_epochs": 10,
            "warm_up_lr": 0.01,
        }
    assert not any(said(method.training) or method.initialisation for method in paper.methods.values())


def test_asymmetric_noise_is_the_field_s(paper):
    dataset = open_dataset("cifar10", dataset_options(paper, "cifar10"))
    assert dict(dataset.class_map) == {9: (1,), 2: (0,), 4: (7,), 3: (5,), 5: (3,)}


PUBLISHED = {
    "mw-net": {"weight_lr": 1e-3, "weight_decay": 1e-4, "hidden": 100},
    "mlnt": {
        "num_fast": 10,
        "perturb_ratio": 0.5,
        "neighbours": 10,
        "inner_lr": 0.2,
        "meta_weight": 0.4,
        "ramp_epochs": 20,
        "early_decay": 0.99,
        "late_decay": 0.999,
    },
    "mlc": {"teacher_lr": 3e-4, "gradient_steps": 1, "embedding": 128, "hidden": 128, "skip": False},
    "mslc": {"memory_epochs": 10, "hard_labels": False, "mixing_lr": 1e-3, "weight_decay": 1e-4, "hidden": 100},
    "fasten": {"noisy_weight": 0.5, "threshold": 0.8},
    "emlc-k1": {"look_ahead": 1, "meta_gradient": "fpmg", "corruption": "adversarial", "teacher_lr": 0.02},
    "emlc-k5": {"look_ahead": 5, "meta_gradient": "fpmg", "corruption": "adversarial", "teacher_lr": 0.02},
    "joint-optim": {"memory_epochs": 10, "prior_weight": 1.2, "entropy_weight": 0.8, "prior": "uniform"},
    "p-correction": {"label_lr": 600, "compatibility": 0.1, "entropy_weight": 0.8, "certainty": 10},
    "elr-plus": {"target_momentum": 0.7, "regularisation": 3, "ramp": 0, "mixup_alpha": 1, "average_decay": 0.997},
    "meta-cleaner": {"set_size": 5, "hidden": 512},
    "mslg": {"virtual_lr": 0.5, "label_lr": 4000, "entropy_weight": 1, "certainty": 10},
    "self-learning": {"candidates": 1280, "prototypes": 8, "corrected_weight": 0.5, "percentile": 0.4},
}
SHARES = [
    ("mslc", "warm_up", 120, 79),
    ("mslc", "warm_up", 15, 10),
    ("joint-optim", "first_share", 320, 200),
    ("joint-optim", "update_from", 200, 70),
    ("p-correction", "warm_up", 320, 70),
    ("p-correction", "correction", 320, 130),
    ("elr-plus", "average_ramp", 704, 400),
    ("mslg", "warm_up", 120, 44),
    ("self-learning", "warm_up", 15, 1),
]
"""Method, option, and how many epochs (steps for ELR+, in hundreds) the share stands for in a run of how many."""


def options_of(profile, method):
    recipe = Steps(profile).recipe(method, next(iter(profile.datasets)))
    implementation = recipe["implementation"]
    return parse_options(method_class(implementation).Options, recipe["options"], implementation)


def test_hyper_parameters_are_the_published_ones(paper):
    for method in paper.methods:
        options = options_of(paper, method)
        for key, value in PUBLISHED.get(method, {}).items():
            assert getattr(options, key) == value, (method, key)
    for method, option, whole, part in SHARES:
        assert round(getattr(options_of(paper, method), option) * whole) == part, (method, option)
    for weight in ("ce_weight", "bce_weight", "meta_weight"):
        assert getattr(options_of(paper, "emlc-k5"), weight) == 1.0


def test_methods_are_rows_of_the_published_tables(paper):
    published = {cell.method for table in (TABLE_1, TABLE_2) for cell in read_published(table)}
    assert {method.label for method in paper.methods.values()} - published == {"Clean only"}


def test_jpeg_profile_is_the_cifar10_half_and_a_row_without_simclr(paper, jpeg):
    methods = dict(jpeg.methods)
    extra = methods.pop("clean-only-scratch")
    assert methods == paper.methods
    assert (extra.implementation, extra.initialisation) == ("baselines.clean_only", "scratch")
    half = [column for column in paper.tables["table1"].columns if column.dataset == "cifar10"]
    columns = [column.model_copy(update={"dataset": "cifar10-jpeg"}) for column in half]
    assert list(jpeg.tables["table1"].columns) == columns
    for key in ("training", "seeds", "protocol", "initialisation"):
        assert getattr(jpeg, key) == getattr(paper, key)
    ours, theirs = jpeg.datasets["cifar10-jpeg"], paper.datasets["cifar10"]
    assert said(ours.pretraining) == said(theirs.pretraining) | {"epochs": 100}
    for key in ("clean_per_class", "crop_padding", "model"):
        assert getattr(ours, key) == getattr(theirs, key)
    dataset = open_dataset("cifar10-jpeg", dataset_options(jpeg, "cifar10-jpeg"))
    assert dataset.title == "CIFAR-10 (JPEG)"
    for fact in ("class_map", "mean", "std", "flips", "released"):
        assert getattr(dataset, fact) == getattr(Cifar10(), fact)


HUMAN_LABELS = {"cifar10": "data/cifar10n.dvc", "cifar100": "data/cifar100n.dvc", "cifar10-jpeg": "data/cifar10n.dvc"}


@pytest.mark.parametrize(("profile", "base"), [(HUMAN, PAPER), (HUMAN_JPEG, JPEG)], ids=["official", "jpeg"])
def test_human_noise_profiles_differ_in_columns_table_and_figures_only(profile, base):
    human, like = load_profile([profile]), load_profile([base])
    ((name, table),) = human.tables.items()
    assert (name, table.title, table.published) == ("table_cifarn", "Human label noise (CIFAR-N)", None)
    assert human.profile != like.profile
    assert not human.figures
    assert used(human) == used(like)
    for key in used(human):
        assert human.datasets[key].human_labels == HUMAN_LABELS[key]
    assert human.datasets == like.datasets
    for key in ("methods", "training", "seeds", "protocol", "initialisation", "device", "threads"):
        assert getattr(human, key) == getattr(like, key)
    kinds = [column.noise for column in table.columns if column.dataset != "cifar100"]
    assert kinds == [f"human-{name}" for name in ("aggre", "random1", "random2", "random3", "worst")]


def test_human_noise_rates_are_those_of_the_label_files():
    for profile in (HUMAN, HUMAN_JPEG):
        for column in load_profile([profile]).tables["table_cifarn"].columns:
            labels = shared_file({"cifar100": "CIFAR-100_human.pt"}.get(column.dataset, "CIFAR-10_human.pt"))
            md5 = read_pointer(ROOT / HUMAN_LABELS[column.dataset]).md5
            true = torch_reads(labels)["clean_label"]
            human = read_human_labels(labels, md5, true)[column.noise.removeprefix("human-")]
            assert round(float((human != true).mean()), 4) == column.rate


@pytest.mark.parametrize("profile", [PAPER, JPEG, EMBEDDED, HUMAN, HUMAN_JPEG])
def test_every_network_exists(profile):
    import torch

    for dataset in load_profile([profile]).datasets.values():
        options = {key: value for key, value in dataset.model.model_dump().items() if key != "name"}
        assert build_model(dataset.model.name, 10, 3, torch.Generator(), **options)


@pytest.mark.parametrize("profile", [PAPER, JPEG, HUMAN, HUMAN_JPEG])
def test_a_profile_says_only_what_is_its_own(profile):
    assert len(profile.read_text().splitlines()) <= 40


def test_the_embedded_profile_follows_the_paper_s_recipe_and_scratch_does_not():
    embedded, scratch = load_profile([EMBEDDED]), load_profile([ROOT / "config" / "scratch.yaml"])
    starts = {method: start_of(embedded, method) for method in embedded.methods}
    assert {method for method, start in starts.items() if start != "simclr"} == {"clean-only-scratch"}
    assert embedded.seeds == (0, 1, 2, 3, 4)
    assert {method for method in scratch.methods if start_of(scratch, method) != "scratch"} == {"c2d", "sanm"}
    assert scratch.model_copy(update={"profile": "embedded", "initialisation": "simclr"}).training == embedded.training


def test_dvc_plots_every_column_and_method_of_the_embedded_profile():
    embedded, wanted = load_profile([EMBEDDED]), []
    for name, table in embedded.tables.items():
        labels = [embedded.methods[method].label for method in table.methods or embedded.methods]
        columns = [f"{column.dataset}_{column.noise}-{column.rate}" for column in table.columns]
        wanted += [(f"results/embedded/figures/convergence_{name}/{column}.csv", labels) for column in columns]
    plots = [plot for entry in yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"] for plot in entry.values()]
    assert [item for plot in plots for item in plot["y"].items()] == wanted


def test_dvc_has_a_stage_for_every_table_of_the_embedded_profile():
    embedded, stages = load_profile([EMBEDDED]), yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert list(stages) == list(embedded.tables)
    for name, table in embedded.tables.items():
        assert f"results/{name}.md " in stages[name]["cmd"]
        data = {f"data/{column.dataset}.npz" for column in table.columns}
        assert data == {dep for dep in stages[name]["deps"] if dep.startswith("data/")}
        assert all(name in out for item in stages[name]["outs"] for out in item)


def test_table_2_of_the_embedded_profile_has_the_paper_s_rows_on_clothes_and_clean_only():
    embedded = load_profile([EMBEDDED])
    table, rows = embedded.tables["table2"], read_published(ROOT / "published" / "table2.csv")
    labels = [embedded.methods[name].label for name in table.methods]
    keys = [Cell(label, "").method_key for label in labels if label != "Clean only"]
    assert keys == [cell.method_key for cell in rows]
    assert "Clean only" in labels
    (column,) = table.columns
    assert (column.dataset, column.noise, column.rate) == ("clothes", "idn-part-dependent", 0.385)
    clothes = embedded.datasets["clothes"]
    clean, validation = 10 * clothes.clean_per_class, 10 * clothes.validation_per_class
    assert (2130 - clean - validation, clean / 2000, validation / 2000) == (2000, 0.05, 0.015)


@pytest.mark.parametrize("name", ["fig4", "fig5"])
def test_figures_can_be_asked_of_table_2_s_column_and_share_its_runs(name):
    clothes = {"dataset": "clothes", "noise": "idn-part-dependent", "rate": 0.385}
    figure = {
        "column": clothes,
        "methods": ["mlc", "emlc-k1"],
        "seeds": [0],
        **({"epochs": 2} if name == "fig5" else {}),
    }
    content = read_yaml(EMBEDDED) | {"figures": {name: figure}}
    jobs = Jobs(checked(content))
    assert jobs.pages.figure(name).identity["place"]["dataset"] == "Clothes (Fashion-MNIST, part)"
    tables = {jobs.steps.run(run).id for run in table_runs(jobs.profile, "table2")}
    assert {jobs.steps.run(run).id for run in figure_runs(jobs.profile, name)} <= tables


def test_table_1_of_the_embedded_profile_runs_nothing_of_table_2():
    steps = Steps(load_profile([EMBEDDED]))
    first, second = ({steps.run(run).id for run in table_runs(steps.profile, name)} for name in ("table1", "table2"))
    assert (len(first), len(second)) == (10 * 5 * 5, 19 * 3)
    assert not first & second


def test_profile_of_a_new_method_is_the_embedded_one_in_tiny_under_names_of_its_own():
    trial, embedded = load_profile([NEW_METHOD]), load_profile([EMBEDDED])
    others = [load_profile([path]) for path in (PAPER, JPEG, EMBEDDED, HUMAN, HUMAN_JPEG)]
    assert trial.profile not in {other.profile for other in others}
    ((name, table),) = trial.tables.items()
    assert name not in {other for profile in others for other in profile.tables}
    assert table.published is None
    assert (len(table.columns), len(trial.seeds), trial.training.epochs) == (1, 1, 2)
    assert table.columns[0] in embedded.tables["table1"].columns
    assert trial.training == embedded.training.model_copy(update={"epochs": 2})
    for key in ("protocol", "device", "threads"):
        assert getattr(trial, key) == getattr(embedded, key)
    assert trial.methods["cross-entropy"] == embedded.methods["cross-entropy"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """What a dry run reads, in a folder without results."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("baselines", "config", "emlc", "pipelines", "profiles", "published", "data", "Snakefile", "data.dvc"):
        source, ignored = ROOT / name, shutil.ignore_patterns("__pycache__", "*.tar.*", "*.npz", "*.pt", "*.lock")
        shutil.copytree(source, folder / name, ignore=ignored) if source.is_dir() else shutil.copy(source, folder)
    return folder


def dry_run(folder, *arguments, target="results/table1.md"):
    """Return the jobs of each rule, and everything that was printed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [sys.executable, "-m", "snakemake", target, "-n", *arguments]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    text = done.stdout + done.stderr
    assert done.returncode == 0, text[-3000:]
    stats = text.partition("Job stats:")[2].partition("total")[0]
    return Counter({rule: int(count) for rule, count in re.findall(r"^(\w+)\s+(\d+)$", stats, re.MULTILINE)}), text


def test_dry_run_lists_the_whole_of_table_1(checkout):
    jobs, _ = dry_run(checkout, "--configfile", "config/paper.yaml")
    fetches = {rule: count for rule, count in jobs.items() if rule.startswith("fetch_")}
    assert fetches == {"fetch_cifar10": 1, "fetch_cifar100": 1}
    assert (jobs["prepare"], jobs["pretrain"], jobs["inject"], jobs["train"]) == (2, 2, 45, 405)


def test_dry_run_pretrains_only_for_what_starts_from_simclr(checkout):
    profile = load_profile([JPEG]).model_dump(mode="json", exclude_unset=True)
    profile["seeds"] = [0]
    profile["tables"]["table1"]["columns"] = profile["tables"]["table1"]["columns"][:1]
    (checkout / "one.yaml").write_text(yaml.safe_dump(profile, sort_keys=False))
    jobs, text = dry_run(checkout, "--configfile", "one.yaml")
    assert (jobs["pretrain"], jobs["train"]) == (1, 10)
    trains = re.findall(r"^rule train:\n    input: (.*)$|^localrule train:\n    input: (.*)$", text, re.MULTILINE)
    assert sum("store/encoders" in "".join(inputs) for inputs in trains) == 9
    profile["datasets"]["cifar10-jpeg"]["pretraining"] = {"checkpoint": "data.dvc"}
    (checkout / "one.yaml").write_text(yaml.safe_dump(profile, sort_keys=False))
    jobs, text = dry_run(checkout, "--configfile", "one.yaml")
    assert (jobs["pretrain"], jobs["train"]) == (0, 10)


def test_dry_run_of_published_recipes(checkout):
    jobs, _ = dry_run(checkout, "--configfile", "config/published.yaml")
    # Methods of one clean budget and sampling share their tasks: 1,000 images, 1 per class, MLC's and FasTEN's.
    assert (jobs["prepare"], jobs["pretrain"], jobs["inject"], jobs["train"]) == (2, 2, 4 * 45, 8 * 45)
    assert jobs["table"] == 1


def test_dry_run_of_human_noise(checkout):
    jobs, _ = dry_run(checkout, "--configfile", "config/cifarn.yaml", target="results/table_cifarn.md")
    fetches = sorted(rule for rule in jobs if rule.startswith("fetch_"))
    assert fetches == ["fetch_cifar10", "fetch_cifar100", "fetch_cifar100n", "fetch_cifar10n"]
    assert (jobs["prepare"], jobs["human"], jobs["inject"], jobs["train"]) == (2, 2, 30, 270)
    assert jobs["table"] == 1

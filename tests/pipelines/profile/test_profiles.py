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
from emlc.judging.cells import read_published
from emlc.models import build_model
from pipelines.fetching.pointers import read_pointer
from pipelines.profile.load import dataset_options, load_profile
from pipelines.profile.model import said
from pipelines.profile.places import ROOT
from pipelines.workflow.steps import Steps
from tests.fixtures import shared_file, torch_reads

NAMES = ("paper", "cifar10-jpeg", "config", "cifarn", "cifar10n-jpeg", "new-method", "scratch")
PAPER, JPEG, EMBEDDED, HUMAN, HUMAN_JPEG, NEW_METHOD, SCRATCH = (ROOT / "config" / f"{name}.yaml" for name in NAMES)
TABLE_1 = ROOT / "published" / "table1.csv"


@pytest.fixture(scope="module")
def paper():
    return load_profile([PAPER])


@pytest.fixture(scope="module")
def jpeg():
    return load_profile([JPEG])


def plain(path):
    """A profile with what it is based on, as plain data."""
    return said(load_profile([path]))


def used_datasets(profile):
    return {column["dataset"] for table in profile["tables"].values() for column in table["columns"]}


@pytest.mark.parametrize("path", [PAPER, JPEG, HUMAN, HUMAN_JPEG])
def test_cifar_profiles_say_what_is_their_own(path):
    assert len(path.read_text().splitlines()) <= 40


def test_rows_and_columns_are_those_of_the_paper(paper):
    cells = read_published(TABLE_1)
    labels = [method.label for method in paper.methods.values()]
    assert labels == [*dict.fromkeys(cell.method for cell in cells), "Clean only"]
    titles = {name: open_dataset(name, dataset_options(paper, name)).title for name in paper.datasets}
    table = paper.tables["table1"]
    columns = [(titles[column.dataset], column.noise, column.rate) for column in table.columns]
    assert columns == [*dict.fromkeys((cell.dataset, *cell.noise) for cell in cells)]
    assert (list(paper.tables), table.methods, table.published) == (["table1"], None, "published/table1.csv")
    assert len(Steps(paper).table_runs("table1")) == 9 * 9 * 5


SIMCLR = {"epochs": 1000, "batch_size": 1024, "lr": 0.5, "momentum": 0.9, "weight_decay": 1e-4, "temperature": 0.5}
WARM_UP = {"warm_up_epochs": 10, "warm_up_lr": 0.01}


def test_recipe_of_section_4_1():
    paper = plain(PAPER)
    assert paper["training"] == {"epochs": 15, "batch_size": 128, "lr": 0.02, "momentum": 0.9, "weight_decay": 5e-4}
    assert (paper["protocol"], paper["initialisation"], paper["device"]) == ("paper", "simclr", "cuda")
    assert paper["seeds"] == [0, 1, 2, 3, 4]
    assert load_profile([PAPER]).tables["table1"].selection == "best-clean"
    for name, model, classes in [("cifar10", "resnet34", 10), ("cifar100", "resnet50", 100)]:
        dataset = paper["datasets"][name]
        assert dataset["model"] == {"name": model}
        assert dataset["clean_per_class"] * classes == 1_000
        assert dataset["crop_padding"] == 4
        assert dataset["pretraining"] == SIMCLR | WARM_UP
    assert not any({"training", "initialisation"} & set(method) for method in paper["methods"].values())


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
}


def options_of(profile, method):
    recipe = Steps(profile).recipe(method, next(iter(profile.datasets)))
    return parse_options(method_class(recipe["implementation"]).Options, recipe["options"], recipe["implementation"])


def test_hyper_parameters_are_the_published_ones(paper):
    for method in paper.methods:
        options = options_of(paper, method)
        for key, value in PUBLISHED.get(method, {}).items():
            assert getattr(options, key) == value, (method, key)
    for epochs, warm_up in [(120, 79), (15, 10)]:  # of the released code, and here
        assert round(options_of(paper, "mslc").warm_up * epochs) == warm_up
    for weight in ("ce_weight", "bce_weight", "meta_weight"):
        assert getattr(options_of(paper, "emlc-k5"), weight) == 1.0


def test_jpeg_profile_is_the_cifar10_half_and_a_row_without_simclr(jpeg):
    paper, ours = plain(PAPER), plain(JPEG)
    extra = ours["methods"].pop("clean-only-scratch")
    assert ours["methods"] == paper["methods"]
    assert list(ours["methods"]) == list(paper["methods"])
    assert (extra["implementation"], extra["initialisation"]) == ("baselines.clean_only", "scratch")
    columns = [table["tables"]["table1"]["columns"] for table in (paper, ours)]
    half = [column | {"dataset": "cifar10-jpeg"} for column in columns[0] if column["dataset"] == "cifar10"]
    assert columns[1] == half
    for key in ("training", "seeds", "protocol", "initialisation"):
        assert ours[key] == paper[key]
    copy, official = ours["datasets"]["cifar10-jpeg"], paper["datasets"]["cifar10"]
    assert copy["pretraining"] == official["pretraining"] | {"epochs": 100}
    for key in ("clean_per_class", "crop_padding", "model", "human_labels"):
        assert copy[key] == official[key]
    dataset = open_dataset("cifar10-jpeg", dataset_options(jpeg, "cifar10-jpeg"))
    assert dataset.title == "CIFAR-10 (JPEG)"
    for fact in ("class_map", "mean", "std", "flips", "released"):
        assert getattr(dataset, fact) == getattr(Cifar10(), fact)


HUMAN_LABELS = {"cifar10": "data/cifar10n.dvc", "cifar100": "data/cifar100n.dvc", "cifar10-jpeg": "data/cifar10n.dvc"}


@pytest.mark.parametrize(("path", "base"), [(HUMAN, PAPER), (HUMAN_JPEG, JPEG)], ids=["official", "jpeg"])
def test_human_noise_profiles_differ_in_table_and_figures_only(path, base):
    human, like = plain(path), plain(base)
    assert used_datasets(human) == used_datasets(like)
    (table,) = (human.pop("tables")["table_cifarn"],)
    like.pop("tables")
    assert (table["title"], "published" in table) == ("Human label noise (CIFAR-N)", False)
    assert human.pop("profile") != like.pop("profile")
    for table1_only in ("figures", "variants"):
        assert table1_only not in human
        like.pop(table1_only, None)
    assert human == like
    for name in HUMAN_LABELS:
        assert human["datasets"][name]["human_labels"] == HUMAN_LABELS[name]
    kinds = [column["noise"] for column in table["columns"] if column["dataset"] != "cifar100"]
    assert kinds == [f"human-{name}" for name in ("aggre", "random1", "random2", "random3", "worst")]


def test_human_noise_rates_are_those_of_the_label_files():
    for profile in (HUMAN, HUMAN_JPEG):
        for column in load_profile([profile]).tables["table_cifarn"].columns:
            labels = shared_file({"cifar100": "CIFAR-100_human.pt"}.get(column.dataset, "CIFAR-10_human.pt"))
            md5 = read_pointer(ROOT / HUMAN_LABELS[column.dataset]).md5
            true = torch_reads(labels)["clean_label"]
            human = read_human_labels(labels, md5, true)[column.noise.removeprefix("human-")]
            assert round(float((human != true).mean()), 4) == column.rate


@pytest.mark.parametrize("path", [PAPER, EMBEDDED])
def test_every_network_exists(path):
    import torch

    for dataset in plain(path)["datasets"].values():
        options = {key: value for key, value in dataset["model"].items() if key != "name"}
        assert build_model(dataset["model"]["name"], 10, 3, torch.Generator(), **options)


def test_from_scratch_is_the_embedded_profile_but_for_its_start():
    scratch, embedded = plain(SCRATCH), plain(EMBEDDED)
    names = {"profile": "scratch", "initialisation": "scratch"}
    assert scratch == embedded | names
    assert embedded["initialisation"] == "simclr"
    steps = Steps(load_profile([SCRATCH]))
    assert {steps.run(run).identity["initialisation"] for run in steps.table_runs("table1")} == {"scratch"}


def test_dvc_plots_every_column_and_method_of_the_embedded_profile():
    embedded = load_profile([EMBEDDED])
    labels = [method.label for method in embedded.methods.values()]
    columns = [f"{column.dataset}_{column.noise}-{column.rate}" for column in embedded.tables["table1"].columns]
    plots = [plot for entry in yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"] for plot in entry.values()]
    shown = [item for plot in plots for item in plot["y"].items()]
    folder = "results/embedded/figures/convergence_table1"
    assert shown == [(f"{folder}/{column}.csv", labels) for column in columns]


def test_profile_of_a_new_method_is_the_embedded_one_in_tiny_with_a_table_of_its_own():
    trial, embedded = plain(NEW_METHOD), plain(EMBEDDED)
    others = [plain(path) for path in (PAPER, JPEG, EMBEDDED, HUMAN, HUMAN_JPEG, SCRATCH)]
    assert trial["profile"] not in {other["profile"] for other in others}
    own = trial["tables"].pop("table_new_method")
    assert "table_new_method" not in {name for other in others for name in other["tables"]}
    assert ("published" in own, own["methods"]) == (False, ["cross-entropy", "my-method"])
    assert own["columns"] == [column for column in own["columns"] if column in embedded["tables"]["table1"]["columns"]]
    assert (len(own["columns"]), trial["seeds"], trial["training"].pop("epochs")) == (1, [0], 2)
    assert trial["training"].items() <= embedded["training"].items()
    trial["methods"].pop("my-method")
    changed = {"profile", "seeds", "training", "initialisation"}
    assert {key: value for key, value in trial.items() if key not in changed} == {
        key: value for key, value in embedded.items() if key not in changed
    }


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
    jobs, text = dry_run(checkout, "--configfile", "config/paper.yaml")
    fetches = {rule: count for rule, count in jobs.items() if rule.startswith("fetch_")}
    assert fetches == {"fetch_cifar10": 1, "fetch_cifar100": 1}
    assert (jobs["prepare"], jobs["pretrain"], jobs["inject"], jobs["train"]) == (2, 2, 45, 405)
    training = re.findall(r"^    input: (.*)\n    output: results/store/cells/", text, re.MULTILINE)
    assert len(training) == 405
    assert all("results/store/encoders/" in inputs for inputs in training)


def test_dry_run_pretrains_only_for_what_starts_from_simclr(checkout):
    profile = plain(JPEG)
    profile["seeds"], profile["tables"]["table1"]["columns"] = [0], profile["tables"]["table1"]["columns"][:1]
    (checkout / "one.yaml").write_text(yaml.safe_dump(profile, sort_keys=False))
    jobs, text = dry_run(checkout, "--configfile", "one.yaml")
    assert (jobs["pretrain"], jobs["train"]) == (1, 10)
    inputs = re.findall(r"^    input: (.*)\n    output: results/store/cells/", text, re.MULTILINE)
    assert sum("results/store/encoders/" not in line for line in inputs) == 1
    profile["datasets"]["cifar10-jpeg"]["pretraining"] = {"checkpoint": "data.dvc"}
    (checkout / "one.yaml").write_text(yaml.safe_dump(profile, sort_keys=False))
    jobs, text = dry_run(checkout, "--configfile", "one.yaml")
    assert (jobs["pretrain"], jobs["train"]) == (0, 10)


def test_dry_run_of_human_noise(checkout):
    jobs, text = dry_run(checkout, "--configfile", "config/cifarn.yaml", target="results/table_cifarn.md")
    fetches = sorted(rule for rule in jobs if rule.startswith("fetch_"))
    assert fetches == ["fetch_cifar10", "fetch_cifar100", "fetch_cifar100n", "fetch_cifar10n"]
    assert (jobs["prepare"], jobs["human"], jobs["inject"], jobs["train"]) == (2, 2, 30, 270)
    assert jobs["table"] == 1
    inputs = re.findall(r"^    input: (.*)\n    output: results/store/tasks/", text, re.MULTILINE)
    assert len(inputs) == 30
    assert all("results/store/labels/" in line for line in inputs)


def test_encoders_are_shared_by_profiles_with_the_same_data():
    steps = {path: Steps(load_profile([path])) for path in (PAPER, HUMAN, JPEG, HUMAN_JPEG)}
    for one, other, name in ((PAPER, HUMAN, "cifar10"), (PAPER, HUMAN, "cifar100"), (JPEG, HUMAN_JPEG, "cifar10-jpeg")):
        assert steps[one].encoder(name).id == steps[other].encoder(name).id

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
from pipelines.profile.load import load_settings
from pipelines.profile.settings import ROOT, Run, dataset_options, run_spec, runs, table_facts
from tests.fixtures import shared_file, torch_reads

PAPER, JPEG, EMBEDDED, HUMAN, HUMAN_JPEG, NEW_METHOD = (
    ROOT / "config" / f"{name}.yaml"
    for name in ("paper", "cifar10-jpeg", "config", "cifarn", "cifar10n-jpeg", "new-method")
)
TABLE_1 = ROOT / "published" / "table1.csv"


@pytest.fixture(scope="module")
def paper():
    return load_settings([PAPER])


@pytest.fixture(scope="module")
def jpeg():
    return load_settings([JPEG])


def test_rows_and_columns_are_those_of_the_paper(paper):
    cells = read_published(TABLE_1)
    labels = [method["label"] for method in paper["methods"].values()]
    assert labels == [*dict.fromkeys(cell.method for cell in cells), "Clean only"]
    titles = {name: open_dataset(name, dataset_options(paper, name)).title for name in paper["datasets"]}
    columns = [(titles[column["dataset"]], column["noise"], column["rate"]) for column in paper["columns"]]
    assert columns == [*dict.fromkeys((cell.dataset, *cell.noise) for cell in cells)]
    assert len(runs(paper)) == 9 * 9 * 5


def test_recipe_of_section_4_1(paper):
    assert paper["training"] == {"epochs": 15, "batch_size": 128, "lr": 0.02, "momentum": 0.9, "weight_decay": 5e-4}
    assert (paper["protocol"], paper["selection"], paper["initialisation"]) == ("paper", "best-clean", "simclr")
    assert (paper["seeds"], paper["device"]) == ([0, 1, 2, 3, 4], "cuda")
    for name, model, classes in [("cifar10", "resnet34", 10), ("cifar100", "resnet50", 100)]:
        dataset = paper["datasets"][name]
        assert dataset["model"] == {"name": model}
        assert dataset["clean_per_class"] * classes == 1_000
        assert dataset["crop_padding"] == 4
        assert dataset["pretraining"] == {
            "epochs": 1000,
            "batch_size": 1024,
            "lr": 0.5,
            "momentum": 0.9,
            "weight_decay": 1e-4,
            "temperature": 0.5,
            "warm_up_epochs": 10,
            "warm_up_lr": 0.01,
        }
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


def options_of(settings, method):
    dataset = next(iter(settings["datasets"]))
    spec = run_spec(settings, Run(method, dataset, "sym", 0.5, 0))
    return parse_options(method_class(spec["implementation"]).Options, spec["options"], spec["implementation"])


def test_hyper_parameters_are_the_published_ones(paper):
    for method in paper["methods"]:
        options = options_of(paper, method)
        for key, value in PUBLISHED.get(method, {}).items():
            assert getattr(options, key) == value, (method, key)
    for epochs, warm_up in [(120, 79), (15, 10)]:  # of the released code, and here
        assert round(options_of(paper, "mslc").warm_up * epochs) == warm_up
    for weight in ("ce_weight", "bce_weight", "meta_weight"):
        assert getattr(options_of(paper, "emlc-k5"), weight) == 1.0


def test_jpeg_profile_is_the_cifar10_half_and_a_row_without_simclr(paper, jpeg):
    extra = jpeg["methods"].pop("clean-only-scratch")
    assert jpeg["methods"] == paper["methods"]
    assert list(jpeg["methods"]) == list(paper["methods"])
    assert (extra["implementation"], extra["initialisation"]) == ("baselines.clean_only", "scratch")
    half = [column | {"dataset": "cifar10-jpeg"} for column in paper["columns"] if column["dataset"] == "cifar10"]
    assert jpeg["columns"] == half
    for key in ("training", "seeds", "selection", "protocol", "initialisation"):
        assert jpeg[key] == paper[key]
    ours, theirs = jpeg["datasets"]["cifar10-jpeg"], paper["datasets"]["cifar10"]
    assert ours["pretraining"] == theirs["pretraining"] | {"epochs": 100}
    for key in ("clean_per_class", "crop_padding", "model"):
        assert ours[key] == theirs[key]
    dataset = open_dataset("cifar10-jpeg", dataset_options(jpeg, "cifar10-jpeg"))
    assert dataset.title == "CIFAR-10 (JPEG)"
    for fact in ("class_map", "mean", "std", "flips", "released"):
        assert getattr(dataset, fact) == getattr(Cifar10(), fact)


HUMAN_LABELS = {"cifar10": "data/cifar10n.dvc", "cifar100": "data/cifar100n.dvc", "cifar10-jpeg": "data/cifar10n.dvc"}


@pytest.mark.parametrize(("profile", "base"), [(HUMAN, PAPER), (HUMAN_JPEG, JPEG)], ids=["official", "jpeg"])
def test_human_noise_profiles_differ_in_columns_table_and_figures_only(profile, base):
    human, like = load_settings([profile]), load_settings([base])
    assert human.pop("table") == {"name": "table_cifarn", "title": "Human label noise (CIFAR-N)"}
    assert human.pop("profile") != like.pop("profile")
    for table1_only in ("figures", "variants"):
        assert table1_only not in human
        like.pop(table1_only, None)
    columns = human.pop("columns")
    assert {column["dataset"] for column in columns} == {column["dataset"] for column in like.pop("columns")}
    for name, dataset in human["datasets"].items():
        assert dataset.pop("human_labels") == HUMAN_LABELS[name]
    assert human == like
    kinds = [column["noise"] for column in columns if column["dataset"] != "cifar100"]
    assert kinds == [f"human-{name}" for name in ("aggre", "random1", "random2", "random3", "worst")]


def test_human_noise_rates_are_those_of_the_label_files():
    for profile in (HUMAN, HUMAN_JPEG):
        for column in load_settings([profile])["columns"]:
            labels = shared_file({"cifar100": "CIFAR-100_human.pt"}.get(column["dataset"], "CIFAR-10_human.pt"))
            md5 = read_pointer(ROOT / HUMAN_LABELS[column["dataset"]]).md5
            true = torch_reads(labels)["clean_label"]
            human = read_human_labels(labels, md5, true)[column["noise"].removeprefix("human-")]
            assert round(float((human != true).mean()), 4) == column["rate"]


@pytest.mark.parametrize("profile", [PAPER, JPEG, EMBEDDED, HUMAN, HUMAN_JPEG])
def test_every_network_exists(profile):
    import torch

    for dataset in load_settings([profile])["datasets"].values():
        options = {key: value for key, value in dataset["model"].items() if key != "name"}
        assert build_model(dataset["model"]["name"], 10, 3, torch.Generator(), **options)


def test_embedded_profile_has_a_pretraining_that_no_row_uses():
    settings = load_settings([EMBEDDED])
    assert settings["initialisation"] == "scratch"
    assert settings["datasets"]["digits"]["pretraining"]["epochs"] == 100
    assert {run_spec(settings, run)["initialisation"] for run in runs(settings)} == {"scratch"}


def test_dvc_plots_every_column_and_method_of_the_embedded_profile():
    settings = load_settings([EMBEDDED])
    labels = [method["label"] for method in settings["methods"].values()]
    columns = [f"{column['dataset']}_{column['noise']}-{column['rate']}" for column in settings["columns"]]
    plots = [plot for entry in yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"] for plot in entry.values()]
    shown = [item for plot in plots for item in plot["y"].items()]
    assert shown == [(f"results/figures/convergence/{column}.csv", labels) for column in columns]


def test_profile_of_a_new_method_is_the_embedded_one_in_tiny_under_names_of_its_own():
    trial, embedded = load_settings([NEW_METHOD]), load_settings([EMBEDDED])
    others = [load_settings([path]) for path in (PAPER, JPEG, EMBEDDED, HUMAN, HUMAN_JPEG)]
    assert trial["profile"] not in {other["profile"] for other in others}
    assert table_facts(trial)["name"] not in {table_facts(other)["name"] for other in others}
    assert "published" not in table_facts(trial)
    assert (len(trial["columns"]), len(trial["seeds"]), trial["training"].pop("epochs")) == (1, 1, 2)
    assert trial["columns"][0] in embedded["columns"]
    assert trial["training"].items() <= embedded["training"].items()
    for key in ("protocol", "selection", "device", "threads", "initialisation"):
        assert trial[key] == embedded[key]
    embedded["datasets"]["digits"].pop("pretraining")
    assert trial["datasets"] == embedded["datasets"]
    assert trial["methods"]["cross-entropy"] == embedded["methods"]["cross-entropy"]


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


def trainings(jobs):
    return sum(count for rule, count in jobs.items() if rule.startswith("train_seeds_"))


def test_dry_run_lists_the_whole_of_table_1(checkout):
    jobs, text = dry_run(checkout, "--configfile", "config/paper.yaml")
    fetches = {rule: count for rule, count in jobs.items() if rule.startswith("fetch_")}
    assert fetches == {"fetch_cifar10": 1, "fetch_cifar100": 1}
    assert (jobs["prepare"], jobs["pretrain"], jobs["inject"], trainings(jobs)) == (2, 2, 45, 405)
    training = re.findall(r"^    input: (.*)\n    output: results/runs/paper/(\S+?)/", text, re.MULTILINE)
    assert len(training) == 405
    assert all(f"results/pretrained/paper/{dataset}.pt" in inputs for inputs, dataset in training)


def test_dry_run_pretrains_only_for_what_starts_from_simclr(checkout):
    profile = yaml.safe_load(JPEG.read_text())
    profile["seeds"], profile["columns"] = [0], profile["columns"][:1]
    (checkout / "one.yaml").write_text(yaml.safe_dump(profile, sort_keys=False))
    jobs, text = dry_run(checkout, "--configfile", "one.yaml")
    assert (jobs["pretrain"], trainings(jobs)) == (1, 10)
    inputs = re.findall(r"^    input: (.*)\n    output: results/runs/\S+/clean-only-scratch/", text, re.MULTILINE)
    assert len(inputs) == 1
    assert "results/pretrained" not in inputs[0]
    profile["datasets"]["cifar10-jpeg"]["pretraining"] = {"checkpoint": "data.dvc"}
    (checkout / "one.yaml").write_text(yaml.safe_dump(profile, sort_keys=False))
    jobs, text = dry_run(checkout, "--configfile", "one.yaml")
    assert (jobs["pretrain"], trainings(jobs)) == (0, 10)
    assert (
        len(re.findall(r"^    input: .*seed0\.npz, data\.dvc, .*\n    output: results/runs/", text, re.MULTILINE)) == 9
    )


def test_dry_run_of_human_noise(checkout):
    jobs, text = dry_run(checkout, "--configfile", "config/cifarn.yaml", target="results/table_cifarn.md")
    fetches = sorted(rule for rule in jobs if rule.startswith("fetch_"))
    assert fetches == ["fetch_cifar10", "fetch_cifar100", "fetch_cifar100n", "fetch_cifar10n"]
    assert (jobs["prepare"], jobs["human"], jobs["inject"], trainings(jobs)) == (2, 2, 30, 270)
    assert (jobs["compare"], jobs["table"]) == (0, 1)
    inputs = re.findall(
        r"^    input: (.*)\n    output: results/tasks/cifarn/cifar10/human-worst-0\.4021/", text, re.MULTILINE
    )
    assert len(inputs) == 5
    assert all("results/human/cifar10.npz" in line for line in inputs)

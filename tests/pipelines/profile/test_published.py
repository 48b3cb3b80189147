"""The profile of published recipes: every method by its own, as far as sources tell, and complete as a workflow."""

import pytest

from emlc.engine.run import method_class, parse_options
from emlc.judging.cells import read_published
from emlc.judging.recipes import differences, read_recipes, recipe_of
from emlc.models import MODELS
from pipelines.profile.derived import start_of
from pipelines.profile.load import load_profile
from pipelines.profile.places import ROOT
from pipelines.workflow.runs import Run
from pipelines.workflow.steps import Steps
from tests.pipelines.recipes import CLASSES, run_of, told_of

CONFIG = ROOT / "config"
RECIPES = read_recipes(ROOT / "published" / "provenance.yaml")


@pytest.fixture(scope="module")
def published():
    return load_profile([CONFIG / "published.yaml"])


@pytest.fixture(scope="module")
def paper():
    return load_profile([CONFIG / "paper.yaml"])


def test_rows_and_columns_are_those_of_the_paper(published, paper):
    table = published.tables["table1"]
    labels = [published.methods[name].label for name in table.methods]
    assert labels == [*dict.fromkeys(cell.method for cell in read_published(ROOT / "published" / "table1.csv"))]
    assert table.columns == paper.tables["table1"].columns
    assert (table.published, published.seeds, published.protocol) == ("published/table1.csv", paper.seeds, "paper")
    assert not published.figures
    assert not published.variants


STEPS = (0.1, (80, 100), 5e-4)
BY_METHOD = {
    "cross-entropy": ("preact-resnet18", 300, 128, (0.02, (150,), 5e-4), "zero", 10, 0, "best-test", "exact-count"),
    "mw-net": ("resnet34", 120, 100, STEPS, "reflect", 1000, 0, "best-test", "per-label"),
    "mlnt": ("preact-resnet32", 120, 128, (0.2, (80,), 1e-4), "zero", 10, 0, "last", "exact-count"),
    "mlc": ("resnet32", 120, 100, STEPS, "reflect", 1000, 1000, "best-clean", "per-label"),
    "mslc": ("resnet34", 120, 100, (0.1, (79, 99), 5e-4), "reflect", 1000, 0, "best-test", "per-label"),
    "fasten": ("resnet34", 70, 100, (0.1, (50, 60), 5e-4), "zero", 1000, 5000, "best-clean", "exact-count"),
    "emlc-k1": ("resnet34", 15, 128, (0.02, (), 5e-4), "zero", 1000, 0, "best-clean", "per-label"),
    "emlc-k5": ("resnet34", 15, 128, (0.02, (), 5e-4), "zero", 1000, 0, "best-clean", "per-label"),
    "mw-net-wrn": ("wrn-28-10", 40, 100, (0.1, (36, 38), 5e-4), "reflect", 1000, 0, "best-test", "per-label"),
}


@pytest.mark.parametrize("method", BY_METHOD)
def test_every_method_trains_by_its_own_recipe(published, method):
    run = Run(method, "cifar10", "sym", 0.5, 0)
    recipe, training = told_of(published, run), published.training_of(method, "cifar10")
    network, epochs, batch, (lr, milestones, decay), content, clean, further, selection, sampling = BY_METHOD[method]
    assert recipe == {
        "network": network,
        "initialisation": "simclr" if method.startswith("emlc") else "scratch",
        "epochs": epochs,
        "batch_size": batch,
        "padding": 4,
        "padding_content": content,
        "clean_images": clean,
        "validation_images": further,
        "selection": selection,
    }
    assert (training.lr, training.milestones or (), training.weight_decay) == (lr, milestones, decay)
    assert (training.momentum, training.nesterov or False) == (0.9, method == "mw-net-wrn")
    assert Steps(published).task_of(run).identity["sampling"] == sampling


def test_the_same_on_cifar_100_but_for_emlc_s_network_and_the_images_per_class(published):
    for method in BY_METHOD:
        run = Run(method, "cifar100", "sym", 0.5, 0)
        here, there = told_of(published, run), told_of(published, run._replace(dataset="cifar10"))
        differing = {key for key in here if here[key] != there[key]}
        few = {"clean_images"} if there["clean_images"] == 10 else set()
        assert differing == ({"network"} if method.startswith("emlc") else few), method


def test_every_published_number_is_compared_with_a_run_of_its_recipe(published):
    """But for MLNT's at 20 %, the only one of its row that is a peak."""
    others = {}
    for cell in read_published(ROOT / "published" / "table1.csv"):
        told = {"noise": cell.noise_type, **told_of(published, run_of(published, cell))}
        found = differences(told, recipe_of(cell, RECIPES))
        if found:
            others[cell.method, cell.dataset, cell.noise_rate] = [one.key for one in found]
    assert others == {("MLNT", "CIFAR-10", 0.2): ["selection"]}


def test_emlc_s_rows_are_the_runs_of_the_paper_s_profile(published, paper):
    runs = [Run(method, "cifar100", "sym", 0.9, 3) for method in ("emlc-k1", "emlc-k5")]
    for run in runs:
        assert Steps(published).run(run).id == Steps(paper).run(run).id
    assert start_of(published, "mlc") == "scratch"


def test_options_and_networks_exist(published):
    for name, entry in published.methods.items():
        parse_options(method_class(entry.implementation).Options, entry.options, entry.implementation)
        assert all(published.data(name, dataset).model.name in MODELS for dataset in CLASSES)


def test_statistics_are_those_of_the_codes(published):
    steps = Steps(published)
    for method in ("mw-net", "mlc", "mslc"):
        recipe = steps.recipe(method, "cifar100")
        assert [round(255 * value, 1) for value in recipe["mean"]] == pytest.approx([125.3, 123.0, 113.9], abs=0.05)
        assert [round(255 * value, 1) for value in recipe["std"]] == pytest.approx([63.0, 62.1, 66.7], abs=0.05)
    assert steps.recipe("fasten", "cifar100")["mean"] == [0.507, 0.487, 0.441]

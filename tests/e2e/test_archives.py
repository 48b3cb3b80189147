"""Profiles on archives in the official layout, from a mirror to the table."""

import csv
import json

import pytest
import yaml

from emlc.data.cifar import Cifar10
from emlc.data.store import load_arrays
from emlc.records.artefacts import read_json
from emlc.records.record import read_record
from emlc.tasks.draw import load_task
from pipelines.profile.load import load_profile
from pipelines.profile.model import said
from tests.fixtures import shared_file, write_cifar_archive, write_human_labels, write_pointer
from tests.tiny import OPTIONS

pytestmark = pytest.mark.slow

LABEL_SETS = {"aggre_label": 0.1, "worse_label": 0.4}


@pytest.fixture
def mirror(workplace, tmp_path):
    """A mirror with small archives; the clone's pointers pin them in place of the real ones."""

    def make(images_per_class, image_classes=(10,)):
        folder = tmp_path / "mirror"
        folder.mkdir()
        for classes in image_classes:
            archive = folder / f"cifar-{classes}-python.tar.gz"
            write_cifar_archive(archive, images_per_class, classes)
            write_pointer(workplace.folder / "data" / f"cifar{classes}.dvc", archive)
        true = Cifar10().prepare((folder / "cifar-10-python.tar.gz",)).train_labels
        write_human_labels(folder / "CIFAR-10_human.pt", true, LABEL_SETS)
        write_pointer(workplace.folder / "data" / "cifar10n.dvc", folder / "CIFAR-10_human.pt")
        return folder

    return make


def shipped(workplace, name):
    """A profile with what it is based on, to be changed."""
    return said(load_profile([workplace.folder / "config" / f"{name}.yaml"]))


def records_of(workplace):
    return [read_record(path) for path in (workplace.folder / "results" / "runs").glob("*/record.json")]


def data_seals(workplace, *profile):
    """The seals of the data sets of a profile."""
    workplace.run("python", "-m", "pipelines.plan", "--orders", "--config", *profile)
    orders = sorted((workplace.folder / "results" / "orders" / "data").glob("*.json"))
    return [f"results/store/data/{order.stem}/seal.json" for order in orders]


def write(workplace, profile):
    (workplace.folder / "small.yaml").write_text(yaml.safe_dump(profile, sort_keys=False))
    return ("--configfile", "small.yaml", "--")


@pytest.mark.full
def test_one_epoch_of_every_method_at_resnet34_width(workplace, mirror):
    """The paper profile on 30 images: 20 noisy ones in batches of 4 are five steps, one update of EMLC (k=5)."""
    profile = shipped(workplace, "paper") | {"seeds": [0], "device": "cpu", "threads": 1, "mirror": str(mirror(3))}
    profile["datasets"]["cifar10"]["clean_per_class"] = 1
    profile["datasets"]["cifar10"]["pretraining"] = {"epochs": 1, "batch_size": 8, "lr": 0.01, "warm_up_epochs": 0}
    profile["tables"]["table1"]["columns"] = [{"dataset": "cifar10", "noise": "sym", "rate": 0.5}]
    profile["training"] |= {"epochs": 1, "batch_size": 4}
    profile["methods"]["mlnt"]["options"] = OPTIONS["baselines.mlnt"][""] | {"pretrain_epochs": 0}
    assert profile["datasets"]["cifar10"]["model"] == {"name": "resnet34"}
    workplace.snakemake(*write(workplace, profile), "results/table1.csv")
    records = records_of(workplace)
    assert {record["run"]["method"]: record["status"] for record in records} == dict.fromkeys(
        profile["tables"]["table1"]["methods"], "completed"
    )
    for record in records:
        assert record["config"]["model"] == {"name": "resnet34"}
        assert (record["config"]["initialisation"], len(record["epochs"])) == ("simclr", 1)
        assert (record["task"]["noisy"], record["task"]["clean"]) == (20, 10)


def test_the_paper_s_archives_are_fetched_from_a_mirror_and_prepared(workplace, mirror):
    folder = mirror(2, image_classes=(10, 100))
    prepared = data_seals(workplace, "config/paper.yaml")
    workplace.snakemake("--configfile", "config/paper.yaml", "--config", f"mirror={folder}", "--", *prepared)
    found = [load_arrays((workplace.folder / seal).with_name("arrays.npz"))[0] for seal in prepared]
    shapes = {arrays.num_classes: arrays.train_images.shape for arrays in found}
    assert shapes == {classes: (2 * classes, 32, 32, 3) for classes in (10, 100)}


def test_without_archives_and_network_a_run_ends_at_the_fetch_in_one_line(workplace):
    profile = shipped(workplace, "paper")
    profile["tables"]["table1"]["columns"] = profile["tables"]["table1"]["columns"][:1]
    configfile = write(workplace, profile)
    arguments = ("snakemake", "--cores", "1", *configfile, *data_seals(workplace, "small.yaml"))
    offline = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    done = workplace.run(*arguments, check=False, **offline, EMLC_MIRROR="")
    assert done.returncode != 0
    log = (workplace.folder / "results" / "logs" / "fetch" / "cifar-10-python.tar.gz.log").read_text()
    (line,) = [line for line in log.splitlines() if line.startswith("error: ")]
    assert line in done.stdout + done.stderr
    assert "Traceback" not in log
    for part in (
        "data/cifar-10-python.tar.gz (170,498,071 bytes, md5 c58f30108f718f92721af3b95e74349a)",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz: ",
        "Provide it in one of three ways: put the file at ",
        "--mirror or EMLC_MIRROR",
        "dvc remote add --default",
    ):
        assert part in line
    assert not (workplace.folder / "data" / "cifar-10-python.tar.gz").exists()


@pytest.mark.full
def test_two_epochs_of_every_method_on_a_subset_of_the_jpeg_copy(workplace):
    """The shipped profile but for sizes: 200 images, a narrow network, two epochs."""
    mirror = shared_file("cifar10-jpeg.tar.xz").parent
    profile = shipped(workplace, "cifar10-jpeg") | {"seeds": [0], "device": "cpu", "threads": 1, "mirror": str(mirror)}
    dataset = profile["datasets"]["cifar10-jpeg"]
    dataset |= {"clean_per_class": 2, "model": {"name": "resnet18", "width": 2}}
    dataset["options"]["subset"] = {"train": 200, "test": 50}
    dataset["pretraining"] = {"epochs": 1, "batch_size": 40, "lr": 0.02, "warm_up_epochs": 0}
    profile["tables"]["table1"]["columns"] = [{"dataset": "cifar10-jpeg", "noise": "asym", "rate": 0.4}]
    profile["training"] |= {"epochs": 2, "batch_size": 18}
    workplace.snakemake(*write(workplace, profile), "results/table1.md")
    records = records_of(workplace)
    assert {record["run"]["method"]: (record["status"], len(record["epochs"])) for record in records} == dict.fromkeys(
        profile["tables"]["table1"]["methods"], ("completed", 2)
    )
    assert "## CIFAR-10 (JPEG), 200 images" in (workplace.folder / "results" / "table1.md").read_text()


@pytest.mark.chaos
def test_a_table_of_human_noise(workplace, mirror):
    profile = shipped(workplace, "cifarn") | {"seeds": [0], "device": "cpu", "threads": 1, "mirror": str(mirror(8))}
    dataset = profile["datasets"]["cifar10"]
    dataset |= {"clean_per_class": 1, "model": {"name": "resnet18", "width": 4}}
    dataset["options"] = {"subset": {"train": 60, "test": 30}}
    profile |= {"datasets": {"cifar10": dataset}, "initialisation": "scratch"}
    table = profile["tables"]["table_cifarn"]
    rates = {"human-aggre": 0.1, "human-worst": 0.4}
    table["columns"] = [{"dataset": "cifar10", "noise": kind, "rate": rate} for kind, rate in rates.items()]
    profile["training"] |= {"epochs": 1, "batch_size": 10}
    table["methods"] = ["cross-entropy", "emlc-k5"]
    profile["methods"] = {name: profile["methods"][name] for name in table["methods"]}
    arguments = write(workplace, profile)
    workplace.snakemake(*arguments, "results/table_cifarn.md")

    results = workplace.folder / "results"
    page = (results / "table_cifarn.md").read_text()
    assert page.startswith("# Human label noise (CIFAR-N), profile `cifarn`")
    assert "No published numbers stand beside them" in page
    assert "paper," not in page
    assert "| Aggre 10%" in page
    assert "| Worst 40%" in page
    assert page.count("not run") == 0
    with (results / "table_cifarn.csv").open() as handle:
        cells = list(csv.DictReader(handle))
    assert {(cell["noise_type"], float(cell["noise_rate"]), cell["n_seeds"]) for cell in cells} == {
        (kind, rate, "1") for kind, rate in rates.items()
    }
    assert len(cells) == 4
    assert read_json(results / "table_cifarn.json")["profile"] == "cifarn"
    assert not list(results.glob("*table1*"))
    assert workplace.scheduled(*arguments, "results/table_cifarn.md") == []
    check_tasks(results)

    table["columns"][0]["rate"] = 0.11
    done = workplace.snakemake(*write(workplace, profile), "results/table_cifarn.md", check=False)
    assert done.returncode != 0
    logs = "".join(path.read_text() for path in (results / "logs" / "tasks").glob("*.log"))
    assert "error: noise human-aggre has rate 0.1000, not 0.11; correct the column's rate\n" in logs


def check_tasks(results):
    """All label sets of a seed share their split, and the labels are the file's."""
    tasks = [load_task(path) for path in (results / "store" / "tasks").glob("*/task.npz")]
    assert len({json.dumps(task.clean_indices.tolist()) for task in tasks}) == 1
    assert [task.sampling for task in tasks] == ["given"] * 2
    wrong = [task.noisy_labels != task.true_labels for task in tasks]
    for task, mask in zip(tasks, wrong, strict=True):
        assert ((task.noisy_labels - task.true_labels)[mask] % 10 == 1).all()  # as the fixture draws them
        assert task.effective_rate > 0

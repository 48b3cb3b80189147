"""The plan: how many jobs, hours from records that fit and from no others, and never too little disk."""

import copy
import shutil
from collections import namedtuple

import pytest

from emlc.data import open_dataset
from emlc.data.store import load_arrays, save_arrays
from emlc.records.artefacts import write_json
from emlc.records.errors import SuiteError
from emlc.records.record import FAILED, write_record
from emlc.tasks.draw import save_task
from pipelines import plan as planning
from pipelines.inject import draw_task
from pipelines.plan import as_markdown, as_size, bytes_needed, main, missing, plan
from pipelines.planning.disk import dataset_sizes, encoder_bytes, run_bytes, source_bytes
from pipelines.planning.hours import recorded_times
from pipelines.pretrain import pretrain_dataset
from pipelines.profile.load import load_settings, validated
from pipelines.profile.settings import ROOT, dataset_options, runs
from pipelines.train import main as train
from tests.fixtures import write_pointer
from tests.pipelines.records import content_of
from tests.tiny import tiny_profile, write_data, write_yaml

GPU = "NVIDIA H100"
PAPER = ROOT / "config" / "paper.yaml"


def profile():
    settings = copy.deepcopy(tiny_profile(initialisation="simclr", seeds=[0, 1, 2]))
    settings["columns"].append({"dataset": "digits", "noise": "asym", "rate": 0.4})
    settings["datasets"]["digits"]["pretraining"] = {"epochs": 5, "batch_size": 16, "warm_up_epochs": 0}
    settings["methods"]["cross-entropy"]["initialisation"] = "scratch"
    return validated(settings)


def items_of(settings, root=ROOT, times=None, device=GPU):
    return {(item.step, item.about): item for item in plan(settings, root, device, times or {})}


def write_record_of(folder, settings, run, seconds, epochs=2, device=GPU, **changes):
    content = content_of(settings, run, [50.0] * epochs, **changes)
    content |= {"device": device, "timing": {"total_seconds": seconds}}
    write_record(folder / device / run.folder / "record.json", content)


def test_number_of_jobs():
    items = items_of(profile())
    assert {key: len(item.files) for key, item in items.items()} == {
        ("fetch", "UCI digits"): 1,
        ("prepare", "UCI digits"): 1,
        ("inject", "UCI digits"): 6,
        ("pretrain", "UCI digits"): 1,
        ("train", "UCI digits: Cross-Entropy"): 6,
        ("train", "UCI digits: EMLC (k=5)"): 6,
    }
    assert "results/tasks/tiny/digits/asym-0.4/seed2.npz" in items["inject", "UCI digits"].files
    assert items["pretrain", "UCI digits"].files == ("results/pretrained/tiny/digits.pt",)


def test_no_pretraining_where_nothing_starts_from_it():
    scratch, own = profile(), profile()
    scratch["initialisation"] = "scratch"
    own["datasets"]["digits"]["pretraining"] = {"checkpoint": "simclr.pth"}
    assert not [key for settings in (scratch, own) for key in items_of(settings) if key[0] == "pretrain"]


def test_hours_come_from_records_that_fit(tmp_path):
    settings = profile()
    emlc, ce = (next(run for run in runs(settings) if run.method == name) for name in ("emlc-k5", "cross-entropy"))
    for seed, seconds in enumerate([10.0, 20.0, 90.0]):  # 5, 10 and 45 seconds an epoch
        write_record_of(tmp_path, settings, emlc._replace(seed=seed), seconds)
    others = [
        {"device": "NVIDIA A100"},
        {"device": GPU, "title": "CIFAR-10"},
    ]
    for number, changes in enumerate(others):
        write_record_of(tmp_path / str(number), settings, ce, 1e6, **changes)
    larger = validated({**settings, "training": {**settings["training"], "batch_size": 24}})
    write_record_of(tmp_path / "larger", larger, ce, 1e6)
    failed = content_of(settings, ce, "diverged") | {"device": GPU, "status": FAILED}
    write_record(tmp_path / "failed" / "record.json", failed)
    write_json(tmp_path / "table1.json", {"profile": "tiny"})
    write_json(tmp_path / "list.json", [1])
    items = items_of(settings, times=recorded_times([tmp_path, tmp_path / "none"]))
    assert items["train", "UCI digits: EMLC (k=5)"].seconds == 10.0 * settings["training"]["epochs"]
    assert items["train", "UCI digits: Cross-Entropy"].seconds is None
    assert items["pretrain", "UCI digits"].seconds is None


def test_hours_of_a_pretraining_scale_with_its_epochs(tmp_path):
    settings, longer = profile(), profile()
    settings["device"] = longer["device"] = "cpu"
    longer["datasets"]["digits"]["pretraining"]["epochs"] = 50
    data = write_data(tmp_path / "digits.npz")
    record = pretrain_dataset(settings, "digits", data, tmp_path / "digits.pt")
    write_json(tmp_path / "records" / "digits.json", record)
    times = recorded_times([tmp_path / "records"])
    found = items_of(longer, times=times, device=record["device"])["pretrain", "UCI digits"].seconds
    assert found == pytest.approx(record["timing"]["total_seconds"] * 10)


def test_an_edited_record_is_refused(tmp_path):
    settings = profile()
    write_record_of(tmp_path, settings, runs(settings)[0], 10.0)
    path = next(tmp_path.rglob("record.json"))
    path.write_text(path.read_text().replace("10.0", "11.0"))
    with pytest.raises(SuiteError, match="does not match its sha256"):
        recorded_times([tmp_path])


def test_disk_is_estimated_high_enough(tmp_path):
    """Against the real files: embedded data, every kind of artefact."""
    settings = profile()
    sizes = dataset_sizes(settings, "digits", ROOT)
    dataset = open_dataset("digits", dataset_options(settings, "digits"))
    save_arrays(tmp_path / "digits.npz", dataset.prepare((ROOT / "embedded" / "digits.npz",)), "digits")
    run = runs(settings)[0]
    save_task(draw_task(settings, *load_arrays(tmp_path / "digits.npz"), run), tmp_path / "task.npz")
    settings["datasets"]["digits"]["pretraining"]["epochs"] = 1
    pretrain_dataset(settings, "digits", tmp_path / "digits.npz", tmp_path / "digits.pt")
    file = write_yaml(tmp_path / "profile.yaml", settings)
    arguments = ["--config", file, "--method", run.method, "--dataset", run.dataset, "--noise", run.noise]
    arguments += ["--rate", run.rate, "--seed", run.seed, "--data", tmp_path / "digits.npz"]
    train([str(value) for value in [*arguments, "--task", tmp_path / "task.npz", "--out", tmp_path / "run"]])
    made = sum(path.stat().st_size for path in (tmp_path / "run").iterdir())
    assert made <= run_bytes(settings["training"], sizes.images)
    for name, size, slack in [
        ("digits.npz", sizes.prepared, 1.2),
        ("task.npz", sizes.task, 5),
        ("digits.pt", encoder_bytes(settings["datasets"]["digits"]["model"]), 2),
    ]:
        assert (tmp_path / name).stat().st_size <= size <= slack * (tmp_path / name).stat().st_size


def test_disk_of_cifar_is_that_of_its_pixels_and_pointers():
    settings = load_settings([PAPER])
    items = items_of(settings)
    assert items["fetch", "CIFAR-10"].size == 170_498_071
    assert items["prepare", "CIFAR-100"].size == pytest.approx(60_000 * 3_072, rel=0.01)
    assert items["pretrain", "CIFAR-10"].size == pytest.approx(4 * 21.6e6, rel=0.01)
    settings["datasets"]["cifar10"]["options"] = {"subset": {"train": 1_000, "test": 200}}
    small = items_of(settings)["prepare", "CIFAR-10, 1,000 images"]
    assert small.size == pytest.approx(1_200 * 3_080, rel=0.01)


def test_sources_of_one_s_own(tmp_path):
    (tmp_path / "images" / "a").mkdir(parents=True)
    for name in ("1", "2"):
        (tmp_path / "images" / "a" / name).write_bytes(bytes(3_000))
    assert source_bytes(tmp_path / "images") == 6_000
    write_pointer(tmp_path / "one.dvc", tmp_path / "images" / "a" / "1")
    assert source_bytes(tmp_path / "one.dvc") == 3_000
    with pytest.raises(SuiteError, match="gone does not exist"):
        source_bytes(tmp_path / "gone")
    settings = profile()
    settings["datasets"]["digits"] |= {"kind": "image-folder", "options": {"source": "images"}}
    assert dataset_sizes(settings, "digits", tmp_path).prepared >= 10 * 6_000


def test_what_exists_is_not_counted_again(tmp_path):
    shutil.copy(ROOT / "data.dvc", tmp_path)
    settings = profile()
    items = plan(settings, tmp_path, GPU, {})
    before = bytes_needed(items, tmp_path)
    made = [file for item in items if item.step == "train" for file in item.files[:2]]
    for file in made:
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    assert len(made) == 4
    assert before - bytes_needed(items, tmp_path) == 4 * run_bytes(settings["training"], 1_797)
    assert [missing(item, tmp_path) for item in items if item.step == "train"] == [4, 4]
    assert before == sum(item.size * len(item.files) for item in items)


def test_page_adds_up(tmp_path):
    shutil.copy(ROOT / "data.dvc", tmp_path)
    times = {}
    items = [
        item._replace(seconds=1_800.0 if item.step == "train" else item.seconds)
        for item in plan(profile(), tmp_path, GPU, times)
    ]
    rows = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in as_markdown(items, tmp_path).splitlines()
    }
    assert rows["all train"][1:4] == ["12", "12", "6.00"]
    assert rows["pretrain"][1:4] == ["1", "1", "unknown"]
    assert rows["**all**"][1:4] == ["21", "21", "6.00 + unknown"]
    assert rows["**all**"][4] == as_size(bytes_needed(items, tmp_path))
    assert (as_size(1_500_000), as_size(2_500_000_000)) == ("1.5 MB", "2.5 GB")


def test_a_full_disk_is_an_error(monkeypatch, capsys, tmp_path):
    Usage = namedtuple("Usage", "total used free")
    shutil.copy(ROOT / "data.dvc", tmp_path)
    monkeypatch.setattr(planning, "ROOT", tmp_path)
    file = write_yaml(tmp_path / "profile.yaml", profile())
    needed = bytes_needed(plan(profile(), tmp_path, GPU, {}), tmp_path)
    arguments = ["--config", str(file), "--recorded", str(tmp_path / "none"), "--device", GPU]
    monkeypatch.setattr(planning.shutil, "disk_usage", lambda path: Usage(needed, 0, needed))
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert f"Table 1 of profile `tiny` on {GPU}" in out
    assert "| Times " in out  # not jobs: one trains `seeds_per_job` seeds
    monkeypatch.setattr(planning.shutil, "disk_usage", lambda path: Usage(needed, 1, needed - 1))
    with pytest.raises(SuiteError, match=r"free, but the plan needs \d\.\d MB; make room first"):
        main(arguments)
    assert "| **all**" in capsys.readouterr().out


def test_without_the_device_that_is_asked_for_hours_are_unknown(monkeypatch, capsys, tmp_path):
    import torch

    shutil.copytree(ROOT / "data", tmp_path / "data", ignore=lambda _, names: [n for n in names if ".dvc" not in n])
    monkeypatch.setattr(planning, "ROOT", tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["--config", str(PAPER)]) == 0
    out = capsys.readouterr().out
    assert "on cuda (none on this machine)" in out
    assert [cell.strip() for cell in out.splitlines()[-1].split("|")[3:6]] == ["456", "456", "unknown"]

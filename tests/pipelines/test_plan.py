"""The plan: how many jobs, hours from records that fit and from no others, and never too little disk."""

import copy
from collections import namedtuple

import pytest

from emlc.data import open_dataset
from emlc.data.store import save_arrays
from emlc.records.artefacts import read_json, write_json
from emlc.records.errors import SuiteError
from emlc.records.record import FAILED, write_record
from pipelines import plan as command
from pipelines.inject import make as make_task
from pipelines.machine import speed as loop
from pipelines.plan import main
from pipelines.planning import plan as planning
from pipelines.planning.batches import as_line, batches
from pipelines.planning.disk import dataset_sizes, encoder_bytes, run_bytes, source_bytes
from pipelines.planning.hours import recorded_times
from pipelines.planning.plan import Times, as_markdown, as_size, bytes_needed, plan
from pipelines.pretrain import main as pretrain
from pipelines.profile.derived import dataset_options
from pipelines.profile.load import checked, load_profile
from pipelines.profile.places import ROOT
from pipelines.train import train_run
from pipelines.workflow.jobs import Jobs
from pipelines.workflow.runs import table_runs
from tests.fixtures import write_pointer
from tests.pipelines.records import content_of, made, write_run
from tests.stores import tiny_jobs, write_order
from tests.tiny import tiny_profile, write_yaml

GPU = "NVIDIA H100"
PAPER = ROOT / "config" / "paper.yaml"


def profile(epochs=5, **changes):
    tiny = copy.deepcopy(tiny_profile(initialisation="simclr", seeds=[0, 1, 2]))
    tiny["tables"]["table1"]["columns"].append({"dataset": "digits", "noise": "sym", "rate": 0.8})
    tiny["datasets"]["digits"]["pretraining"] = {"epochs": epochs, "batch_size": 16, "warm_up_epochs": 0}
    tiny["methods"]["cross-entropy"]["initialisation"] = "scratch"
    return {**tiny, **changes}


@pytest.fixture
def jobs(tmp_path):
    return Jobs(checked(profile()), tmp_path / "results")


def items_of(jobs, times=None, device=GPU):
    return {(item.step, item.about): item for item in plan(jobs, Times(device, times or {}))}


def run_of(jobs, method):
    return next(run for run in table_runs(jobs.profile, "table1") if run.method == method)


def write_record_of(folder, order, seconds, device=GPU, **changes):
    content = content_of(order, [50.0] * 2) | {"device": device, "timing": {"total_seconds": seconds}}
    content["run"] |= changes
    write_record(folder / f"{order.id}{device}" / "record.json", content)


def test_number_of_jobs(jobs):
    assert {key: item.times for key, item in items_of(jobs).items()} == {
        ("fetch", "digits.npz"): 1,
        ("prepare", "UCI digits"): 1,
        ("inject", "UCI digits"): 6,
        ("pretrain", "UCI digits"): 1,
        ("train", "UCI digits: Cross-Entropy"): 6,
        ("train", "UCI digits: EMLC (k=5)"): 6,
    }


def test_no_pretraining_where_nothing_starts_from_it(tmp_path):
    (tmp_path / "simclr.pth").touch()
    own = profile()
    own["datasets"]["digits"]["pretraining"] = {"checkpoint": str(tmp_path / "simclr.pth")}
    for content in (profile(initialisation="scratch"), own):
        assert not [key for key in items_of(Jobs(checked(content), tmp_path)) if key[0] == "pretrain"]


def test_hours_come_from_records_that_fit(jobs, tmp_path):
    emlc, ce = run_of(jobs, "emlc-k5"), run_of(jobs, "cross-entropy")
    for seed, seconds in enumerate([10.0, 20.0, 90.0]):  # 5, 10 and 45 seconds an epoch
        write_record_of(tmp_path, jobs.steps.run(emlc._replace(seed=seed)), seconds)
    write_record_of(tmp_path, jobs.steps.run(ce), 1e6, device="NVIDIA A100")
    write_record_of(tmp_path / "other", jobs.steps.run(ce), 1e6, title="CIFAR-10")
    larger = Jobs(checked(profile(training={**tiny_profile()["training"], "batch_size": 24})), tmp_path / "results")
    write_record_of(tmp_path / "larger", larger.steps.run(ce), 1e6)
    failed = content_of(jobs.steps.run(ce), "diverged") | {"device": GPU, "status": FAILED}
    write_record(tmp_path / "failed" / "record.json", failed)
    (tmp_path / "runs" / ".killed.part").mkdir(parents=True)
    (tmp_path / "runs" / ".killed.part" / "record.json").write_text("half")
    write_json(tmp_path / "table1.json", {"profile": "tiny"})
    write_json(tmp_path / "list.json", [1])
    items = items_of(jobs, times=recorded_times([tmp_path, tmp_path / "none"]))
    assert items["train", "UCI digits: EMLC (k=5)"].seconds == 10.0 * jobs.profile.training.epochs
    assert items["train", "UCI digits: Cross-Entropy"].seconds is None
    assert items["pretrain", "UCI digits"].seconds is None


def test_hours_of_a_pretraining_scale_with_its_epochs(tmp_path):
    short = tiny_jobs(tmp_path, **profile(device="cpu"))
    encoder = short.steps.encoder("digits")
    pretrain([str(write_order(encoder))])
    record = read_json(encoder.folder / "record.json")
    longer = Jobs(checked(profile(epochs=50, device="cpu")), tmp_path / "results")
    items = items_of(longer, recorded_times([encoder.folder]), record["device"])
    assert items["pretrain", "UCI digits"].seconds == pytest.approx(record["timing"]["total_seconds"] * 10)


def test_an_edited_record_is_refused(jobs, tmp_path):
    write_record_of(tmp_path, jobs.steps.run(run_of(jobs, "emlc-k5")), 10.0)
    path = next(tmp_path.rglob("record.json"))
    path.write_text(path.read_text().replace("10.0", "11.0"))
    with pytest.raises(SuiteError, match="does not match its sha256"):
        recorded_times([tmp_path])


def test_disk_is_estimated_high_enough(tmp_path):
    """Against the real files: embedded data, every kind of artefact."""
    content = profile(epochs=1)
    real = open_dataset("digits", dataset_options(checked(content), "digits"))
    jobs = tiny_jobs(tmp_path, real.prepare((ROOT / "embedded" / "digits.npz",)), **content)
    sizes = dataset_sizes(jobs.profile, "digits", ROOT)
    run, encoder = run_of(jobs, "emlc-k5"), jobs.steps.encoder("digits")
    pretrain([str(write_order(encoder))])
    order = jobs.steps.run(run)
    train_run(order, 10, lambda: False)
    task = jobs.steps.task_of(run)
    made(task, make_task)
    assert sum(path.stat().st_size for path in order.folder.iterdir()) <= run_bytes(
        order.identity["training"], sizes.images
    )
    for file, size, slack in [
        (jobs.steps.data("digits").folder / "arrays.npz", sizes.prepared, 1.2),
        (task.folder / "task.npz", sizes.task, 5),
        (encoder.folder / "encoder.pt", encoder_bytes(encoder.identity["model"]), 2),
    ]:
        assert file.stat().st_size <= size <= slack * file.stat().st_size
    save_arrays(tmp_path / "again.npz", real.prepare((ROOT / "embedded" / "digits.npz",)), "digits")


def test_disk_of_cifar_is_that_of_its_pixels_and_pointers(tmp_path):
    paper = load_profile([PAPER])
    items = items_of(Jobs(paper, tmp_path))
    assert items["fetch", "cifar-10-python.tar.gz"].size == 170_498_071
    assert items["prepare", "CIFAR-100"].size == pytest.approx(60_000 * 3_072, rel=0.01)
    assert items["pretrain", "CIFAR-10"].size == pytest.approx(4 * 21.6e6, rel=0.01)
    small = paper.datasets["cifar10"].model_copy(update={"options": {"subset": {"train": 1_000, "test": 200}}})
    part = paper.model_copy(update={"datasets": {**paper.datasets, "cifar10": small}})
    size = items_of(Jobs(part, tmp_path))["prepare", "CIFAR-10, 1,000 images"].size
    assert size == pytest.approx(1_200 * 3_080, rel=0.01)


def test_sources_of_one_s_own(tmp_path):
    (tmp_path / "images" / "a").mkdir(parents=True)
    for name in ("1", "2"):
        (tmp_path / "images" / "a" / name).write_bytes(bytes(3_000))
    assert source_bytes(tmp_path / "images") == 6_000
    write_pointer(tmp_path / "one.dvc", tmp_path / "images" / "a" / "1")
    assert source_bytes(tmp_path / "one.dvc") == 3_000
    with pytest.raises(SuiteError, match="gone does not exist"):
        source_bytes(tmp_path / "gone")
    content = profile()
    content["datasets"]["digits"] |= {"kind": "image-folder", "options": {"source": str(tmp_path / "images")}}
    assert dataset_sizes(checked(content), "digits", tmp_path).prepared >= 10 * 6_000


def test_what_is_in_the_store_is_not_counted_again(jobs):
    before = plan(jobs, Times(GPU, {}))
    for method in ("emlc-k5", "cross-entropy"):
        for seed in (0, 1):
            write_run(jobs.steps, run_of(jobs, method)._replace(seed=seed), [50.0])
    after = plan(jobs, Times(GPU, {}))
    saved = 4 * run_bytes(jobs.steps.run(run_of(jobs, "emlc-k5")).identity["training"], 1_797)
    assert bytes_needed(before) - bytes_needed(after) == saved
    assert [item.to_do for item in after if item.step == "train"] == [4, 4]


def test_line_of_jobs(jobs, tmp_path):
    assert as_line(batches(jobs), lambda run: None) == (
        "Trainings: 12 runs in 4 jobs of up to 3 (seeds_per_job, cells_per_job), of unknown length."
    )

    def seconds(run):
        return {"cross-entropy": 1800.0, "emlc-k5": 3600.0}[run.about["method"]]

    grouped = Jobs(checked(profile(seeds_per_job=3, cells_per_job=2)), tmp_path / "results")
    assert as_line(batches(grouped), seconds) == (
        "Trainings: 12 runs in 2 jobs of up to 6 (seeds_per_job, cells_per_job), the longest of 6.00 hours."
    )
    write_run(jobs.steps, run_of(jobs, "emlc-k5"), [50.0])
    assert "11 runs in 2 jobs of up to 6 (seeds_per_job, cells_per_job), the longest of 5.00" in as_line(
        batches(grouped), seconds
    )


def test_page_adds_up(jobs):
    items = [item._replace(seconds=1_800.0) if item.step == "train" else item for item in plan(jobs, Times(GPU, {}))]
    rows = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in as_markdown(items).splitlines()
    }
    assert rows["all train"][1:4] == ["12", "12", "6.00"]
    assert rows["pretrain"][1:4] == ["1", "1", "unknown"]
    assert rows["**all**"][3] == "6.00 + unknown"
    assert rows["**all**"][4] == as_size(bytes_needed(items))
    assert (as_size(1_500_000), as_size(2_500_000_000)) == ("1.5 MB", "2.5 GB")


def test_a_full_disk_is_an_error(monkeypatch, capsys, tmp_path):
    Usage = namedtuple("Usage", "total used free")
    file = write_yaml(tmp_path / "profile.yaml", profile())
    arguments = ["--config", str(file), "--recorded", str(tmp_path / "none"), "--device", GPU]
    monkeypatch.setattr(planning.shutil, "disk_usage", lambda path: Usage(10**12, 0, 10**12))
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert f"Table 1 of profile `tiny` on {GPU}" in out
    assert "| Times " in out  # not jobs: one trains `seeds_per_job` seeds
    monkeypatch.setattr(planning.shutil, "disk_usage", lambda path: Usage(10, 9, 1))
    with pytest.raises(SuiteError, match=r"free, but the plan needs \d\.\d MB; make room first"):
        main(arguments)
    assert "| **all**" in capsys.readouterr().out


def test_without_the_device_that_is_asked_for_hours_are_those_of_a_stated_rate(monkeypatch, capsys, tmp_path):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(planning.shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(10**15))
    file = write_yaml(tmp_path / "profile.yaml", profile(device="cuda"))
    assert main(["--config", str(file), "--recorded", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "on cuda (none on this machine)" in out
    assert "unknown" not in out
    assert out.count("counted arithmetic at 10 TFLOP/s, 5 µs per kernel (stated)") == 3  # one pretraining, two methods


def test_the_resolved_profile_is_one(capsys, tmp_path):
    (tmp_path / "base.yaml").write_text("seeds: [7]\n")
    base = write_yaml(tmp_path / "own.yaml", {**profile(), "base": "base.yaml", "threads": 2})
    assert main(["--config", str(base), "--resolved"]) == 0
    (tmp_path / "resolved.yaml").write_text(capsys.readouterr().out)
    assert load_profile([tmp_path / "resolved.yaml"]) == load_profile([base])


def test_orders_are_written_for_machines_without_snakemake(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["--config", str(write_yaml(tmp_path / "p.yaml", profile())), "--orders"]) == 0
    orders = sorted(path.parent.name for path in (tmp_path / "results" / "orders").rglob("*.json"))
    assert (orders.count("cells"), orders.count("tasks"), orders.count("encoders")) == (4, 12, 1)


def test_the_default_profile_s_time_is_foretold_from_the_last_table_s(tmp_path, monkeypatch, capsys):
    write_json(tmp_path / "time.json", {"seconds": 600.0, "runs": 210, "cores": 2, "reference_seconds": 0.5})
    monkeypatch.setattr(command, "TABLE_TIME", tmp_path / "time.json")
    monkeypatch.setattr(command, "plan", lambda jobs, times: [planning.Item("train", "all", 210, 70, 0)])
    monkeypatch.setattr(command, "batches", lambda jobs: [])
    monkeypatch.setattr(loop, "reference_seconds", lambda: 1.0)
    monkeypatch.setattr(command.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(command, "check_disk", lambda jobs: None)
    assert main(["--recorded", str(tmp_path)]) == 0
    line = "70 runs: about 3.3 minutes on 4 cores; the reference loop takes 1.00 s here."
    assert line in capsys.readouterr().out
    main(["--recorded", str(tmp_path), "--config", str(PAPER)])
    assert "reference loop" not in capsys.readouterr().out

"""Clothing1M and folders of photographs, from a profile to records: nothing but listings and pixels on the way."""

import itertools
import json
import tarfile

import numpy as np
import pytest
import torch

from emlc.data.key_lists import read_key_lists
from emlc.data.listing import load_listing
from emlc.engine.run import build_method, initial_network
from emlc.records.errors import Interrupted, SuiteError
from pipelines import probe, recovery, splits
from pipelines.corrections import caption as caption_of_figure_3
from pipelines.corrections import draw, tidy
from pipelines.machine.interrupts import Keep
from pipelines.planning.disk import dataset_sizes
from pipelines.planning.plan import check_sources
from pipelines.prepare import make as make_data
from pipelines.profile.load import checked
from pipelines.profile.places import ROOT
from pipelines.training.runs import execute, opened
from pipelines.workflow.jobs import Jobs, fetched
from pipelines.workflow.runs import all_runs
from tests.emlc.data.small_clothing1m import BROKEN, TRUNCATED, key_of, write_clothing1m
from tests.photographs import WAY, clothing1m_profile, first_run, prepared_jobs
from tests.tiny import tiny_profile

CPU = torch.device("cpu")
PASSES = {
    "S0": {"name": "all"},
    "S1": {"name": "balanced-anew", "images": 56},
    "S2": {"name": "balanced-once", "images": 56},
    "S3": {"name": "cut-to-smallest"},
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clothing1m")
    write_clothing1m(folder)
    return folder


@pytest.fixture(scope="module")
def jobs(copy, tmp_path_factory):
    return prepared_jobs(tmp_path_factory.mktemp("place"), clothing1m_profile(copy, loader_workers=2))


@pytest.fixture(scope="module")
def whole(jobs, tmp_path_factory):
    return execute(first_run(jobs), never(tmp_path_factory.mktemp("kept")), 10)


def never(folder):
    return Keep(folder / "run.pt", lambda: False)


def test_only_a_listing_is_prepared(jobs, copy):
    (data,) = (job.order for job in jobs.by_kind["data"].values())
    assert sorted(path.name for path in data.folder.iterdir()) == ["listing.npz", "seal.json"]
    listing, _ = load_listing(data.folder / "listing.npz")
    assert np.array_equal(listing.train_keys, read_key_lists(copy).train_keys)


def test_a_record_says_what_was_trained_on_and_what_could_not_be_read(whole):
    content, history = whole
    assert content["status"] == "completed"
    facts = content["task"]
    assert (facts["noisy"], facts["clean"], facts["validation"]) == (120, 42, 28)
    broken = sorted(key_of("noisy_train", position).removeprefix("images/") for position in (BROKEN, TRUNCATED))
    assert content["data"]["unreadable"] == broken
    assert len(history.steps) == 2 * (120 // 16)


def test_the_number_of_workers_decides_nothing(whole, jobs, copy, tmp_path):
    alone = prepared_jobs(tmp_path, clothing1m_profile(copy, loader_workers=0))
    order = first_run(alone)
    assert order.id == first_run(jobs).id
    content, history = execute(order, never(tmp_path), 10)
    assert (history.steps, history.epochs) == (whole[1].steps, whole[1].epochs)
    without_times = [{key: value for key, value in one.items() if key != "timing"} for one in (content, whole[0])]
    assert without_times[0] == without_times[1]


def batches_of(order, count):
    arrays, _, task, recipe = opened(order)
    noisy = build_method(recipe, task, arrays, CPU).noisy
    return [noisy.next() for _ in range(count)], noisy.batches_per_pass


@pytest.mark.parametrize("passes", PASSES)
def test_all_samplings_give_one_process_and_two_the_same_batches(copy, tmp_path, passes):
    orders = [
        first_run(prepared_jobs(tmp_path, clothing1m_profile(copy, data={"passes": PASSES[passes]}, loader_workers=n)))
        for n in (0, 2)
    ]
    (first, length), (second, _) = (batches_of(order, 8) for order in orders)
    assert length == {"S0": 120, "S1": 56, "S2": 56, "S3": 14 * 8}[passes] // 16
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.labels, other.labels)
    counts = torch.bincount(torch.cat([batch.labels for batch in first[:length]]), minlength=14)
    assert (counts.max() > 10) == (passes == "S0")  # class 0 is twice as frequent in the list


@pytest.mark.parametrize("passes", ["S0", "S1"])
def test_killed_in_the_middle_of_an_epoch_and_resumed(copy, tmp_path, passes):
    profile = clothing1m_profile(copy, data={"passes": PASSES[passes]}, loader_workers=2)
    order = first_run(prepared_jobs(tmp_path, profile), "emlc-k5" if passes == "S0" else "cross-entropy")
    content, left_in_peace = execute(order, never(tmp_path / "one"), 10)
    asked = itertools.count()
    with pytest.raises(Interrupted):
        execute(order, Keep(tmp_path / "two.pt", lambda: next(asked) == 1), 10)
    resumed_content, resumed = execute(order, Keep(tmp_path / "two.pt", lambda: False), 10)
    assert resumed.resumed == 1
    assert (resumed.steps, resumed.epochs) == (left_in_peace.steps, left_in_peace.epochs)
    assert resumed_content["data"] == content["data"]


def test_without_the_data_everything_can_be_planned_and_one_line_says_what_is_missing(tmp_path):
    jobs = Jobs(checked(clothing1m_profile(tmp_path / "nowhere")), tmp_path / "results")
    assert {kind: len(jobs.by_kind[kind]) for kind in ("data", "tasks")} == {"data": 1, "tasks": 1}
    (data,) = jobs.by_kind["data"].values()
    assert data.files == ()
    assert dataset_sizes(jobs.profile, "clothing1m", ROOT).images == 1_072_409
    message = (
        "nowhere does not exist; it is configured as the source of Clothing1M; put your copy there, or a link to it"
    )
    for refuse in (lambda: make_data(data.order, tmp_path), lambda: check_sources(jobs)):
        with pytest.raises(SuiteError, match=message) as error:
            refuse()
        assert "\n" not in str(error.value)
    said = jobs.profile.model_dump(mode="json", exclude_unset=True)
    (tmp_path / "nowhere").mkdir()
    jobs = Jobs(checked(said), tmp_path / "results")
    with pytest.raises(SuiteError, match=r"it has no noisy_train_key_list\.txt, .*ask its authors for the data"):
        make_data(next(iter(jobs.by_kind["data"].values())).order, tmp_path)


def test_another_copy_is_another_data_set(copy, tmp_path):
    ids = {first_run(Jobs(checked(clothing1m_profile(copy)), tmp_path)).id}
    lines = (copy / "clean_label_kv.txt").read_text()
    (copy / "clean_label_kv.txt").write_text(lines + "images/9/99/5,6.jpg 3\n")
    ids.add(first_run(Jobs(checked(clothing1m_profile(copy)), tmp_path)).id)
    (copy / "clean_label_kv.txt").write_text(lines)
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clean_per_class": 3}, "datasets.clothing1m.clean_per_class: its own lists say what is clean"),
        ({"passes": {"name": "balanced-anew"}}, "datasets.clothing1m.passes: .*balanced-anew needs images"),
        ({"passes": {"images": 5}}, "all counts its images itself"),
        ({"options": {**WAY, "preprocessing": "torn"}}, "preprocessing is 'torn'; it must be one of cropped"),
        ({"options": {**WAY, "size": 21}}, "size is 21; it must be at most side, 20"),
        ({"options": {"subset": {"train": 5, "test": 5}}}, "subset is not an option of kind 'clothing1m'"),
    ],
)
def test_mistakes_in_profiles(copy, change, message):
    with pytest.raises(SuiteError, match=message):
        checked(clothing1m_profile(copy, data=change))


def test_noise_is_real_where_data_bring_it_and_nowhere_else(copy):
    profile = clothing1m_profile(copy)
    profile["tables"]["table2"]["columns"][0]["noise"] = "sym"
    with pytest.raises(SuiteError, match="noise: sym does not fit clothing1m"):
        checked(profile)
    profile = tiny_profile()
    profile["tables"]["table1"]["columns"][0]["noise"] = "real"
    with pytest.raises(SuiteError, match="noise: real does not fit digits; real is the noise of data that come with"):
        checked(profile)


def test_what_needs_true_labels_is_not_known(jobs, tmp_path):
    found = probe.observe(jobs.steps.probe(next(run for run in all_runs(jobs.profile) if run.method == "emlc-k5")))
    assert {row["recovery"] for row in found.epochs} == {None}
    assert found.arrays["soft_labels"].shape == (120, 14)
    assert np.isnan(recovery.given_right(found.arrays))
    place = {"dataset": "Clothing1M", "noise": "real", "rate": 0.3}
    drawn = tidy(found.arrays)
    assert drawn.empty
    assert "not known" in caption_of_figure_3(drawn, place, "EMLC")
    draw(drawn)
    audit = splits.as_markdown(splits.audit(jobs.pages.splits()))
    assert audit.count("not known") >= 3
    assert "42 / 28 / 120" in audit


def write_folders(root):
    rng = np.random.default_rng(0)
    from tests.emlc.data.small_clothing1m import write_image

    for part, count in (("train", 8), ("validation", 2), ("test", 3)):
        for label in range(3):
            for number in range(count):
                write_image(root / part / f"class {label}" / f"{number}.jpg", 4 * label, -1, 24, rng)
    return root


@pytest.fixture
def folders(tmp_path):
    return write_folders(tmp_path / "photos")


def folder_profile(source):
    data = {"kind": "photo-folder", "options": {"source": str(source), **WAY}, "clean_per_class": 2}
    data |= {"crop_padding": 0, "model": {"name": "resnet18-imagenet", "width": 4}}
    tables = {"table1": {"title": "T", "columns": [{"dataset": "photos", "noise": "sym", "rate": 0.5}]}}
    return tiny_profile(datasets={"photos": data}, tables=tables)


def test_an_archive_of_photographs_trains_as_its_folder(folders, tmp_path):
    with tarfile.open(tmp_path / "photos.tar.gz", "w:gz") as archive:
        archive.add(folders, arcname=".")
    histories = []
    for source, place in ((folders, "one"), (tmp_path / "photos.tar.gz", "two")):
        order = first_run(prepared_jobs(tmp_path / place, folder_profile(source)))
        histories.append(execute(order, never(tmp_path / place), 10)[1])
    assert histories[0].epochs == histories[1].epochs
    assert histories[0].steps == histories[1].steps


def write_weights(path, seed):
    from torchvision.models import resnet18

    torch.manual_seed(seed)
    weights = resnet18(num_classes=7, weights=None).state_dict()
    torch.save(weights, path)
    return weights


def test_runs_start_from_weights_of_imagenet_and_know_which(copy, tmp_path):
    file = tmp_path / "resnet18.pth"
    data = {"model": {"name": "resnet18-imagenet"}, "imagenet": str(file)}
    profile = clothing1m_profile(copy, data=data, initialisation="imagenet")
    weights = write_weights(file, 0)
    order = first_run(prepared_jobs(tmp_path, profile))
    arrays, _, _, recipe = opened(order)
    network = initial_network(recipe, arrays, "student").state_dict()
    assert torch.equal(network["layer2.0.shortcut.0.weight"], weights["layer2.0.downsample.0.weight"])
    assert torch.equal(network["conv1.weight"], weights["conv1.weight"])
    assert network["classifier.weight"].shape == (14, 512)
    assert order.identity["initialisation"] == "imagenet"
    write_weights(file, 1)
    assert first_run(Jobs(checked(profile), tmp_path)).id != order.id
    with pytest.raises(SuiteError, match="has changed since this run was ordered"):
        opened(order)


def test_a_start_from_imagenet_needs_weights(copy):
    with pytest.raises(SuiteError, match=r"clothing1m\.imagenet: missing, yet runs are to start from weights"):
        checked(clothing1m_profile(copy, initialisation="imagenet"))


def test_pinned_weights_are_fetched_and_part_of_the_identity(copy, tmp_path):
    data = {"model": {"name": "resnet50-imagenet"}, "imagenet": "data/resnet50-imagenet.pin"}
    jobs = Jobs(checked(clothing1m_profile(copy, data=data, initialisation="imagenet")), tmp_path)
    assert fetched(jobs.profile, jobs) == {"data/resnet50-11ad3fa6.pth": "data/resnet50-imagenet.pin"}
    encoder = first_run(jobs).identity["encoder"]
    assert encoder["sha256"].startswith("11ad3fa6")
    assert all(job.files == ("data/resnet50-11ad3fa6.pth",) for job in jobs.by_kind["cells"].values())
    assert json.dumps(encoder)

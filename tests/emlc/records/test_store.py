"""The store of sealed artefacts: what counts as sound, and that nothing half-made ever does."""

import json
import shutil
import threading

import pytest

from emlc.records.artefacts import read_json, write_json
from emlc.records.errors import SuiteError
from emlc.records.store import LATENCY, SEAL, Order, complaint, filling, identifier, issue, read_order, sound


@pytest.fixture
def order(tmp_path):
    return Order("tasks", {"seed": 0, "noise": "sym"}, {"title": "Digits"}, tmp_path / "results")


def fill(order, text="labels"):
    with filling(order) as folder:
        (folder / "task.npz").write_text(text)
        (folder / "more").mkdir()
        (folder / "more" / "notes.txt").write_text("notes")
    return order


def test_what_was_filled_is_sound_and_lies_under_its_id(order):
    assert not sound(order)
    fill(order)
    assert sound(order)
    assert order.folder == order.results / "store" / "tasks" / identifier("tasks", {"noise": "sym", "seed": 0})
    assert set(read_json(order.folder / SEAL)["files"]) == {"task.npz", "more/notes.txt"}


def test_runs_lie_in_sight(tmp_path):
    order = Order("runs", {"seed": 1}, {}, tmp_path)
    assert order.folder == tmp_path / "runs" / order.id


def test_names_decide_nothing_and_the_kind_does(order):
    assert Order("tasks", order.identity, {"title": "other"}).id == order.id
    assert Order("probes", order.identity, {}).id != order.id


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "task.npz").unlink(),
        lambda folder: (folder / "task.npz").write_text("label"),
        lambda folder: (folder / "task.npz").write_text("lebals"),
        lambda folder: (folder / "more" / "notes.txt").write_text(""),
        lambda folder: (folder / SEAL).unlink(),
        lambda folder: (folder / SEAL).write_text("{"),
        lambda folder: (folder / SEAL).write_text("[]"),
        lambda folder: (folder / SEAL).write_text("{}"),
        lambda folder: shutil.rmtree(folder),
    ],
    ids=["deleted", "truncated", "edited", "inner", "no seal", "broken seal", "no mapping", "empty seal", "all of it"],
)
def test_damage_is_seen_and_mended_by_filling_again(order, damage):
    fill(order)
    damage(order.folder)
    assert not sound(order)
    assert complaint(order.folder, order.id)
    with pytest.raises(SuiteError, match=f"delete {order.folder} and start the workflow again"):
        Order("runs", {}, {}, order.results).beside("tasks", order.id)
    fill(order)
    assert sound(order)
    assert not list(order.folder.parent.glob(".*"))


def test_another_artefact_in_its_place_is_seen(order, tmp_path):
    other = fill(Order("tasks", {"seed": 1, "noise": "sym"}, {}, order.results), "other labels")
    shutil.copytree(other.folder, order.folder)
    assert complaint(order.folder, order.id) == f"{order.folder} holds something else"
    assert sound(other)


def test_an_edited_seal_is_seen(order):
    fill(order)
    seal = read_json(order.folder / SEAL)
    write_json(order.folder / SEAL, {**seal, "identity": {**seal["identity"], "seed": 5}})
    assert not sound(order)


def test_what_fails_while_it_is_made_leaves_the_place_as_it_was(order):
    def fail():
        with filling(order) as folder:
            (folder / "task.npz").write_text("half")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert not order.folder.exists()
    fill(order)
    with pytest.raises(ValueError, match="no"):
        fail()
    assert sound(order)
    assert [path.name for path in order.folder.parent.iterdir()] == [order.id]


def test_an_empty_folder_in_the_way_is_replaced(order):
    """Snakemake makes the folders of a job's outputs before the job."""
    order.folder.mkdir(parents=True)
    fill(order)
    assert sound(order)


def test_a_place_that_cannot_be_written_is_one_line(order):
    order.results.mkdir()
    (order.results / "store").write_text("a file")
    with pytest.raises(SuiteError, match=f"cannot write .*{order.id}"), filling(order):
        pass


def test_orders_are_read_back_equal_and_edited_ones_refused(order):
    write_json(order.file, order.document)
    assert read_order(order.file) == order
    write_json(order.file, {**order.document, "identity": {**order.identity, "seed": 2}})
    with pytest.raises(SuiteError, match=r"was edited: it asks for tasks [0-9a-f]{20}; write it again"):
        read_order(order.file)
    order.file.write_text(json.dumps({"kind": "tasks"}))
    with pytest.raises(SuiteError, match=r"is no order; python -m pipelines.plan --orders writes them"):
        read_order(order.file)


def test_issuing_again_changes_bytes_and_nothing_else(order):
    fill(order)
    write_json(order.file, order.document)
    before = order.file.read_bytes(), (order.folder / SEAL).read_bytes()
    issue(order.file)
    issue(order.folder / SEAL)
    assert read_order(order.file) == order
    assert sound(order)
    assert (order.file.read_bytes(), (order.folder / SEAL).read_bytes()) != before
    issue(order.file)
    assert read_json(order.file)["issue"] == 2


def test_what_a_shared_file_system_shows_late_is_waited_for_and_no_longer(order, monkeypatch):
    reader = Order("runs", {}, {}, order.results)
    monkeypatch.setenv(LATENCY, "0.2")
    with pytest.raises(SuiteError, match="is not there"):
        reader.beside("tasks", order.id)
    monkeypatch.setenv(LATENCY, "60")
    late = threading.Timer(0.3, fill, [order])
    late.start()
    assert reader.beside("tasks", order.id) == order.folder
    late.join()

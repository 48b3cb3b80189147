"""Records: what the seal covers, what it refuses, and the four selection rules by hand."""

import json

import pytest

from emlc.records.errors import SuiteError
from emlc.records.record import COMPLETED, SCHEMA, SELECTIONS, read_record, scores, seal, write_record

CONTENT = {
    "status": COMPLETED,
    "run": {"method": "mlc", "seed": 0},
    "test_accuracy": {"best-clean": 81.25},
    "timing": {"total_seconds": 1.5},
}


@pytest.fixture
def path(tmp_path):
    write_record(tmp_path / "deep" / "record.json", CONTENT)
    return tmp_path / "deep" / "record.json"


def test_a_record_comes_back_as_it_was_written(path):
    record = read_record(path)
    assert {key: record[key] for key in CONTENT} == CONTENT
    assert record == seal(CONTENT)
    assert record["schema"] == SCHEMA == "emlc.record/1"
    assert set(record) == {*CONTENT, "schema", "fingerprint", "sha256"}


def test_the_same_record_gives_the_same_bytes_whatever_the_order_of_its_keys(path, tmp_path):
    write_record(tmp_path / "other.json", dict(reversed(CONTENT.items())))
    assert (tmp_path / "other.json").read_bytes() == path.read_bytes()


def test_the_fingerprint_covers_all_but_the_timing():
    slow = seal({**CONTENT, "timing": {"total_seconds": 9.0}})
    without = seal({key: value for key, value in CONTENT.items() if key != "timing"})
    assert slow["fingerprint"] == without["fingerprint"] == seal(CONTENT)["fingerprint"]
    assert len({slow["sha256"], without["sha256"], seal(CONTENT)["sha256"]}) == 3
    for change in ({"status": "failed"}, {"test_accuracy": {"best-clean": 81.26}}, {"new": None}):
        assert seal({**CONTENT, **change})["fingerprint"] != slow["fingerprint"]


@pytest.mark.parametrize("key", ["status", "run", "test_accuracy", "timing", "fingerprint", "schema", "sha256"])
def test_an_edited_record_is_refused_by_name(path, key):
    record = json.loads(path.read_text())
    record[key] = "emlc.record/1 " if key == "schema" else "edited"
    path.write_text(json.dumps(record))
    with pytest.raises(SuiteError, match=r"deep/record\.json .* delete it and run again$"):
        read_record(path)


@pytest.mark.parametrize("key", ["status", "timing", "fingerprint", "sha256"])
def test_a_record_that_lost_a_key_is_refused(path, key):
    record = json.loads(path.read_text())
    del record[key]
    path.write_text(json.dumps(record))
    with pytest.raises(SuiteError, match="does not match its sha256: it was edited or damaged"):
        read_record(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not valid JSON"),
        ("", "is not valid JSON"),
        ("[]", "is not a record of schema"),
        ("null", "is not a record of schema"),
        ('{"schema": "emlc.record/2"}', "is not a record of schema"),
        ('{"schema": ["emlc.record/1"]}', "is not a record of schema"),
        ("[" * 100_000, "is not valid JSON"),
        ("\ud800".encode("utf-8", "surrogatepass"), "is not valid JSON"),
    ],
)
def test_what_is_no_record_is_refused_in_one_line(path, text, message):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SuiteError, match=message) as caught:
        read_record(path)
    assert "record.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_record_is_refused(path):
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SuiteError, match=r"record\.json is not valid JSON"):
        read_record(path)


def test_a_missing_record_is_refused(tmp_path):
    with pytest.raises(SuiteError, match=r"cannot read .*none\.json: No such file"):
        read_record(tmp_path / "none.json")


def test_whitespace_is_no_edit(path):
    path.write_text(json.dumps(json.loads(path.read_text())))
    assert read_record(path) == seal(CONTENT)


def epochs(*accuracies):
    return [{"epoch": epoch, "test_accuracy": accuracy} for epoch, accuracy in enumerate(accuracies)]


def test_the_four_selection_rules_by_hand():
    history = epochs(10.0, 50.0, 90.0, 30.0, 40.0, 20.0, 60.0)
    assert scores(history, 1) == {"best-clean": 50.0, "last": 60.0, "best-test": 90.0, "mean-last-5": 48.0}
    assert tuple(scores(history, 1)) == SELECTIONS
    assert scores(history, 5, first=4) == scores(history[4:], 1)


def test_short_histories_average_what_there_is():
    assert scores(epochs(10.0, 20.0), 0) == {"best-clean": 10.0, "last": 20.0, "best-test": 20.0, "mean-last-5": 15.0}
    assert scores(epochs(33.333333, 33.333333, 33.333334), 2)["mean-last-5"] == 33.333333

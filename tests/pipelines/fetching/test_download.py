import random

import pytest

from emlc.records.errors import SuiteError
from pipelines.fetching import download as module
from pipelines.fetching.download import download
from tests import loopback
from tests.loopback import serve

DATA = random.Random(0).randbytes(300_000)
SIZE = len(DATA)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def part(tmp_path):
    return tmp_path / "a.part"


def test_a_whole_file(part):
    with serve(DATA, loopback.whole) as host:
        download(host.url(), part, SIZE, pause_s=0)
    assert part.read_bytes() == DATA
    assert host.ranges == [None]


def test_an_earlier_part_is_continued(part):
    part.write_bytes(DATA[:100_000])
    with serve(DATA, loopback.whole) as host:
        download(host.url(), part, SIZE, pause_s=0)
    assert part.read_bytes() == DATA
    assert host.ranges == ["bytes=100000-"]


def test_a_complete_part_asks_nobody(part):
    part.write_bytes(DATA)
    download("http://127.0.0.1:1/", part, SIZE, pause_s=0)


def test_a_part_longer_than_the_file_is_started_over(part):
    part.write_bytes(DATA + b"x")
    with serve(DATA, loopback.whole) as host:
        download(host.url(), part, SIZE, pause_s=0)
    assert part.read_bytes() == DATA
    assert host.ranges == [None]


def test_a_host_that_ignores_range_is_read_from_the_start(part):
    part.write_bytes(DATA[:100_000])
    with serve(DATA, loopback.ignore_range) as host:
        download(host.url(), part, SIZE, pause_s=0)
    assert part.read_bytes() == DATA
    assert host.ranges == ["bytes=100000-"]


@pytest.mark.parametrize("breaks", [loopback.half, loopback.half_then_reset])
def test_interrupted_transfers_go_on_where_they_broke(part, breaks):
    with serve(DATA, breaks, breaks, breaks, breaks, breaks, loopback.whole) as host:
        download(host.url(), part, SIZE, pause_s=0)
    assert part.read_bytes() == DATA
    assert len(host.ranges) == 6
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in host.ranges[1:]]
    assert starts == sorted(set(starts))


def test_a_busy_host_is_asked_again(part):
    with serve(DATA, loopback.status(503), loopback.status(429), loopback.whole) as host:
        download(host.url(), part, SIZE, pause_s=0)
    assert part.read_bytes() == DATA


@pytest.mark.parametrize(
    ("behaviour", "message", "asked"),
    [
        (loopback.status(404), "HTTP status 404", 1),
        (loopback.status(416), "HTTP status 416", 1),
        (loopback.status(503), "HTTP status 503", 3),
        (loopback.reset_at_once, "cannot connect", 3),
        (loopback.page, "offers 26 bytes instead of 300,000", 1),
        (loopback.endless, "sends more than the pinned 300,000 bytes", 1),
    ],
)
def test_a_host_that_fails_is_given_up(part, behaviour, message, asked):
    with serve(DATA, behaviour) as host, pytest.raises(SuiteError, match=message):
        download(host.url(), part, SIZE, pause_s=0)
    assert len(host.ranges) == asked
    assert not part.exists() or part.stat().st_size <= SIZE


def test_the_wrong_part_is_refused(part):
    part.write_bytes(DATA[:1000])
    with (
        serve(DATA, loopback.wrong_part) as host,
        pytest.raises(SuiteError, match="sent bytes from 1,001, not from 1,000"),
    ):
        download(host.url(), part, SIZE, pause_s=0)
    assert part.read_bytes() == DATA[:1000]


def test_a_dripping_host_is_given_up_although_it_is_never_silent(part, monkeypatch):
    monkeypatch.setattr(module, "SLOWEST_BYTES_PER_S", 2**40)
    monkeypatch.setattr(module, "GRACE_S", 0.3)
    with serve(DATA, loopback.drip) as host, pytest.raises(SuiteError, match="slower than"):
        download(host.url(), part, SIZE, pause_s=0)
    assert 0 < part.stat().st_size < 100
    assert part.read_bytes() == DATA[: part.stat().st_size]


def test_a_silent_host_times_out_and_keeps_what_came(part, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT_S", (0.2, 0.2))
    with serve(DATA, loopback.stall, loopback.whole) as host:
        download(host.url(), part, SIZE, pause_s=0)
    assert part.read_bytes() == DATA
    assert host.ranges == [None, "bytes=10-"]


def test_nobody_there(part):
    with pytest.raises(SuiteError, match="cannot connect"):
        download("http://127.0.0.1:1/a", part, SIZE, pause_s=0)
    with pytest.raises(SuiteError):
        download("http://", part, SIZE, pause_s=0)


def test_an_unwritable_folder_is_one_line(tmp_path):
    (tmp_path / "file").write_text("x")
    with serve(DATA, loopback.whole) as host, pytest.raises(SuiteError, match=r"cannot write .*Not a directory"):
        download(host.url(), tmp_path / "file" / "a.part", SIZE, pause_s=0)

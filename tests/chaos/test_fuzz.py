"""Mutated files through the loaders: equal or refused by the suite, without traceback, write, process or hang."""

import io
import os
import pickle
import random
import signal
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from emlc.data.archives import read_archive
from emlc.data.safe_pickle import load_pickled_dict
from emlc.data.store import load_arrays
from emlc.engine.checkpoints import read_checkpoint, write_checkpoint
from emlc.engine.history import History
from emlc.judging.cells import read_published
from emlc.judging.provenance import read_provenance
from emlc.records.artefacts import write_json
from emlc.records.errors import SuiteError
from emlc.records.record import read_record, write_record
from emlc.tasks.draw import load_task, save_task
from pipelines.fetching.pointers import read_pointer
from pipelines.page.accuracies import read_table
from pipelines.profile.load import load_profile
from tests.chaos.place import TALLY
from tests.emlc.engine.test_run import TASK
from tests.fixtures import encode, write_pointer
from tests.tiny import ROOT, tiny_profile, write_data, write_yaml

IDENTITY = {"run": 1}
TOKENS = [b"null", b"NaN", b"1e999", b"-1", b"[", b"{", b"&a [*a]", b"*a", b"!!python/object/apply:os.system [id]"]
TOKENS += [b"../../", b"/etc/passwd", b"\0", b"\xff\xfe", b"'", b'"', b"\n", b",,,", b"9" * 400, b"cos\nsystem\n"]


class Kind(NamedTuple):
    """A sort of file.

    Attributes
    ----------
    name : str
        Of the file.
    write : callable
        Writes a valid one.
    load : callable
    sealed : bool
        Whether the file tells that it is not what was written, so that it loads equal or not at all.
    """

    name: str
    write: Callable[[Path], Any]
    load: Callable[[Path], Any]
    sealed: bool


def _record(path: Path) -> None:
    epochs = [{"epoch": 0, "test_accuracy": 90.5}]
    write_record(path, {"status": "completed", "run": {"seed": 0}, "cell": "x", "epochs": epochs})


def _archive(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name in ("train/0/a.png", "train/1/b.png", "test/0/c.png"):
            data = encode(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def _pickle(path: Path) -> None:
    path.write_bytes(
        pickle.dumps({"data": np.arange(60, dtype=np.uint8), "labels": [1, 2], b"names": ["a"]}, protocol=2)
    )


def _copy(source: str) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes((ROOT / source).read_bytes())


def _table(path: Path) -> None:
    cell = dict.fromkeys(("method", "dataset", "noise_type", "noise_rate", "mean", "std", "missing"))
    facts = {"profile": "p", "protocol": "paper", "selection": "last", "seeds": [0], "datasets": [], "methods": ["a"]}
    write_json(path, {**facts, "cells": [{**cell, "failed": []}]})


def _pointer(path: Path) -> None:
    data = path.with_name("data.bin")
    data.write_bytes(b"abc")
    write_pointer(path, data, "https://example.org/data.bin")
    data.unlink()


KINDS = [
    Kind("task.npz", lambda path: save_task(TASK, path), load_task, True),
    Kind("data.npz", write_data, load_arrays, True),
    Kind("record.json", _record, read_record, True),
    Kind(
        "run.pt",
        lambda path: write_checkpoint(path, IDENTITY, {"method": {"a": [1, 2.5]}}, History(seconds=[1.5])),
        lambda path: read_checkpoint(path, IDENTITY),
        True,
    ),
    Kind("profile.yaml", lambda path: write_yaml(path, tiny_profile()), lambda path: load_profile([path]), False),
    Kind("profile.json", lambda path: write_json(path, tiny_profile()), lambda path: load_profile([path]), False),
    Kind("table.json", _table, read_table, False),
    Kind("published.csv", _copy("published/table1.csv"), read_published, False),
    Kind("provenance.yaml", _copy("published/provenance.yaml"), read_provenance, False),
    Kind("data.dvc", _pointer, read_pointer, False),
    Kind("images.tar.gz", _archive, lambda path: list(read_archive(path)), False),
    Kind("batch.pkl", _pickle, lambda path: load_pickled_dict(path.read_bytes(), "batch"), False),
]


def mutate(content: bytes, coin: random.Random) -> bytes:
    """Return a file with one to four accidents."""
    for _ in range(coin.choice((1, 1, 2, 4))):
        first, second = sorted(coin.randrange(len(content) + 1) for _ in range(2))
        middle = content[first:second]
        accident = coin.randrange(6)
        if accident == 0 and content:
            at = coin.randrange(len(content))
            content = content[:at] + bytes([content[at] ^ 1 << coin.randrange(8)]) + content[at + 1 :]
        elif accident == 1:
            content = content[:first] + content[second:]
        elif accident == 2:
            content = content[:second] + middle[:1000] + content[second:]
        elif accident == 3:
            content = content[:first] + coin.choice(TOKENS) + content[first:]
        elif accident == 4:
            content = content[:first] + coin.randbytes(coin.randrange(1, 20)) + content[first + 4 :]
        else:
            content = content[:first]
    return content


WATCHED = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.system", "subprocess.Popen"}
seen: list[str] = []
watching = [False]


def _watch(event: str, arguments: tuple) -> None:
    if not watching[0]:
        return
    flags = arguments[2] if event == "open" and isinstance(arguments[2], int) else 0
    if event in WATCHED or flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        seen.append(f"{event} {arguments}")


@cache
def _install() -> None:
    sys.addaudithook(_watch)


@contextmanager
def watched(seconds: float) -> Iterator[None]:
    """Note every write and every process, and end what takes too long."""

    def too_long(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} seconds")

    _install()
    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    watching[0] = True
    try:
        yield
    finally:
        watching[0] = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


ROUNDS = [
    pytest.param(range(40), id="some"),
    pytest.param(range(40, 900), id="many", marks=pytest.mark.chaos),
]


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
@pytest.mark.parametrize("rounds", ROUNDS)
def test_mutated_files_load_equal_or_are_refused(kind, rounds, tmp_path):
    path = tmp_path / kind.name
    kind.write(path)
    content = path.read_bytes()
    expected = _told(kind.load(path)) if kind.sealed else None
    path.unlink()
    for number in rounds:
        coin = random.Random(f"{kind.name}{number}")
        path.write_bytes(mutate(content, coin))
        seen.clear()
        try:
            with watched(20):
                loaded = kind.load(path)
        except SuiteError as error:
            assert "\n" not in str(error), number  # noqa: PT017
        else:
            assert not kind.sealed or loaded is None or _told(loaded) == expected, number
        assert seen == [], number
        TALLY.mutants += 1
    path.unlink()
    assert list(tmp_path.iterdir()) == []


def _told(value: Any) -> str:
    """Return all of a loaded value as text."""
    with np.printoptions(threshold=sys.maxsize):
        return repr(value)

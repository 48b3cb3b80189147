"""Bad data through the command line: one clear line, status 2, no traceback, nothing half-written."""

import io
import tarfile

import numpy as np
import pytest

from pipelines.machine.work import work
from pipelines.prepare import make
from pipelines.profile.load import checked
from pipelines.workflow.jobs import Jobs
from tests.fixtures import encode, pickle_like_python2, write_cifar_archive, write_tar
from tests.stores import write_order
from tests.tiny import tiny_profile

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
JPEG = encode(PIXELS, "JPEG")
FOLDER = {f"{split}/{name}/1.jpg": JPEG for split in ("train", "test") for name in ("cat", "dog")}


def images(changes):
    """A writer of an archive with `changes` to its files; like the others, it returns the kind of the dataset."""

    def write(path):
        write_tar(path, FOLDER | changes)
        return "image-folder"

    return write


def escaping(path):
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("train/../../evil.jpg")
        info.size = len(JPEG)
        archive.addfile(info, io.BytesIO(JPEG))
    return "image-folder"


def foreign_class(path):
    write_tar(path, {"cifar-10-batches-py/batches.meta": b"\x80\x02cos\nsystem\n(S'touch evil'\ntR."})
    return "cifar10"


def half_downloaded(path):
    write_cifar_archive(path.with_suffix(".gz"), images_per_class=2)
    whole = path.with_suffix(".gz").read_bytes()
    path.with_suffix(".gz").unlink()
    path.write_bytes(whole[: len(whole) // 2])
    return "cifar10"


def without_a_batch(path):
    write_tar(path, {"cifar-10-batches-py/batches.meta": pickle_like_python2({b"label_names": [b"a", b"b"]})})
    return "cifar10"


BAD = {
    "path that escapes": (
        escaping,
        "'train/../../evil.jpg' leads out of the archive's folder; do not use this archive",
    ),
    "foreign class": (foreign_class, "cifar-10-batches-py/batches.meta: the pickle names os.system"),
    "half downloaded": (half_downloaded, "is not a readable tar archive"),
    "missing batch": (without_a_batch, "has no cifar-10-batches-py/data_batch_1: not the official python-version"),
    "empty class": (images({"train/emu": None}), "class 'train/emu' has no image"),
    "grayscale": (images({"train/cat/2.jpg": encode(PIXELS[..., 0], "JPEG")}), "'train/cat/2.jpg' is 'L', not RGB"),
    "odd size": (images({"train/cat/2.jpg": encode(PIXELS[:31], "JPEG")}), "'train/cat/2.jpg' has (31, 32) pixels"),
    "corrupt JPEG": (images({"train/cat/2.jpg": JPEG[:200]}), "'train/cat/2.jpg' is not a readable JPEG"),
    "no image": (images({"train/cat/2.jpg": b"<html>"}), "'train/cat/2.jpg' is not a readable JPEG"),
}


@pytest.mark.parametrize("case", BAD)
def test_one_clear_line_and_nothing_half_written(case, tmp_path, monkeypatch, capsys):
    write, message = BAD[case]
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "source.tar"
    digits = tiny_profile()["datasets"]["digits"] | {"kind": write(source), "options": {"source": str(source)}}
    order = Jobs(checked(tiny_profile(datasets={"digits": digits})), tmp_path / "results").steps.data("digits")
    monkeypatch.setattr("sys.argv", ["prepare", str(write_order(order))])
    with pytest.raises(SystemExit) as ended:
        work("pipelines.prepare", "", "data", make)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert str(source) in line
    assert message in line
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["source.tar", order.file.name]
    assert not (tmp_path.parent / "evil.jpg").exists()

import pytest
import yaml

from emlc.records.errors import SuiteError
from pipelines.fetching.pointers import find_damage, read_pointer, require_file
from tests.fixtures import ROOT, write_pointer

OUT = {"path": "a.bin", "md5": "0" * 32, "size": 3, "hash": "md5"}


@pytest.fixture
def write(tmp_path):
    def make(content):
        path = tmp_path / "a.dvc"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return make


def test_committed_pointers_pin_the_published_files():
    found = {}
    for path in [ROOT / "data.dvc", ROOT / "clothes.dvc", *(ROOT / "data").glob("*.dvc")]:
        pointer = read_pointer(path)
        found[path.name] = (pointer.target.relative_to(ROOT).as_posix(), pointer.size, pointer.md5)
        assert pointer.url is None or pointer.url.startswith("https://")
    assert found == {
        "data.dvc": ("data/digits.npz", 117_315, "2c6cbd6e02336a89b4361f8d6135964f"),
        "clothes.dvc": ("data/clothes.npz", 1_370_538, "7412ec4afb517655be733585aab888a9"),
        "clothing-small.dvc": ("data/clothing-small-256.tar.xz", 53_019_012, "2625428e6f922b4e16b9d121545b0cf2"),
        "cifar10.dvc": ("data/cifar-10-python.tar.gz", 170_498_071, "c58f30108f718f92721af3b95e74349a"),
        "cifar100.dvc": ("data/cifar-100-python.tar.gz", 169_001_437, "eb9058c3a382ffc7106e4002c42a8d85"),
        "cifar10-jpeg.dvc": ("data/cifar10-jpeg.tar.xz", 18_581_216, "ed9cfb83bc3d281be81291ffb40f410c"),
        "cifar10n.dvc": ("data/CIFAR-10_human.pt", 2_401_007, "96644db5574813cae939af5f7f2a0aec"),
        "cifar100n.dvc": ("data/CIFAR-100_human.pt", 1_000_959, "a67b45c1d7992051865b5c755bd68bb1"),
    }


def test_the_source_is_the_dependency_or_the_noted_url(write, tmp_path):
    url = "https://host/a.bin"
    assert read_pointer(write({"outs": [OUT]})).source is None
    assert read_pointer(write({"outs": [OUT], "meta": {"url": url}})).url == url
    assert read_pointer(write({"outs": [OUT], "deps": [{"path": url}], "frozen": True})).url == url
    pointer = read_pointer(write({"outs": [OUT], "deps": [{"path": "embedded/a.bin"}]}))
    assert (pointer.url, pointer.embedded) == (None, tmp_path / "embedded" / "a.bin")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "does not pin one file"),
        ("[1, 2]", "does not pin one file"),
        ({"outs": []}, "does not pin one file"),
        ({"outs": [OUT, OUT]}, "does not pin one file"),
        ({"outs": [{"path": "a.bin", "md5": "0" * 32}]}, "does not pin one file"),
        ({"outs": [OUT], "deps": [{"path": "a"}, {"path": "b"}]}, "does not pin one file"),
        ({"outs": [OUT], "meta": "url"}, "does not pin one file"),
        ({"outs": [OUT | {"md5": "0" * 32 + ".dir"}]}, "folders cannot be pinned"),
        ({"outs": [OUT | {"size": "3"}]}, "size a number"),
        ({"outs": [OUT | {"path": "../../.ssh/authorized_keys"}]}, "leads out of its folder"),
        ({"outs": [OUT | {"path": "/etc/passwd"}]}, "leads out of its folder"),
        ({"outs": [OUT | {"path": 3}]}, "leads out of its folder"),
        ({"outs": [OUT], "deps": [{"path": "../secret"}]}, "neither an HTTP address nor a path in its folder"),
        ({"outs": [OUT], "meta": {"url": "/etc/passwd"}}, "neither an HTTP address nor a path in its folder"),
        ("outs: [", r"is not a readable \.dvc file"),
        ("outs: !!python/object/apply:os.system ['true']", r"is not a readable \.dvc file"),
        ("#" * 70_000, r"is not a readable \.dvc file \(larger than"),
    ],
)
def test_other_files_are_refused_in_one_line(write, content, message):
    with pytest.raises(SuiteError, match=message) as caught:
        read_pointer(write(content))
    assert "\n" not in str(caught.value)


def test_a_missing_pointer_is_one_line(tmp_path):
    with pytest.raises(SuiteError, match=r"cannot read .*none\.dvc: No such file"):
        read_pointer(tmp_path / "none.dvc")


def test_damage_is_told_by_size_or_checksum(tmp_path):
    file = tmp_path / "a.bin"
    file.write_bytes(b"right")
    write_pointer(tmp_path / "a.dvc", file)
    pointer = read_pointer(tmp_path / "a.dvc")
    assert find_damage(file, pointer) is None
    assert require_file(tmp_path / "a.dvc") == file
    file.write_bytes(b"rights")
    assert find_damage(file, pointer) == "6 bytes instead of 5"
    file.write_bytes(b"wrong")
    assert find_damage(file, pointer).startswith("md5 ")
    with pytest.raises(SuiteError, match=r"a\.bin is damaged: it has md5 .*; move it away and run python -m"):
        require_file(tmp_path / "a.dvc")
    file.unlink()
    with pytest.raises(SuiteError, match=r"a\.bin is missing; run python -m pipelines\.fetch"):
        require_file(tmp_path / "a.dvc")

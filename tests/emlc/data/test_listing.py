from dataclasses import fields, replace

import numpy as np
import pytest

from emlc.data.key_lists import read_key_lists
from emlc.data.listing import load_listing, save_listing
from emlc.records.bundles import read_bundle, write_bundle
from emlc.records.errors import SuiteError
from tests.emlc.data.small_clothing1m import write_clothing1m


@pytest.fixture(scope="module")
def listing(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clothing1m")
    write_clothing1m(folder)
    return read_key_lists(folder)


def test_round_trip(listing, tmp_path):
    digest = save_listing(tmp_path / "a.npz", listing, "clothing1m")
    loaded, found = load_listing(tmp_path / "a.npz")
    assert digest == found
    for field in fields(listing):
        before, after = getattr(listing, field.name), getattr(loaded, field.name)
        if field.name == "split":
            for name in ("clean", "validation", "noisy"):
                np.testing.assert_array_equal(getattr(before, name), getattr(after, name), strict=True)
        elif isinstance(before, np.ndarray):
            np.testing.assert_array_equal(before, after, strict=True)
        else:
            assert before == after
    save_listing(tmp_path / "b.npz", loaded, "clothing1m")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_any_change_changes_the_checksum(listing, tmp_path):
    labels, keys = listing.train_labels.copy(), listing.test_keys.copy()
    labels[3] += 1
    keys[0] = keys[0].replace(b"5", b"6", 1)
    changed = [
        (listing, "clothing1m"),
        (listing, "other"),
        (replace(listing, train_labels=labels), "clothing1m"),
        (replace(listing, test_keys=keys), "clothing1m"),
        (replace(listing, notes=()), "clothing1m"),
        (replace(listing, confusion=listing.confusion + 1), "clothing1m"),
    ]
    assert len({save_listing(tmp_path / "a.npz", part, name) for part, name in changed}) == len(changed)


DTYPES = {
    **dict.fromkeys(("train_labels", "test_labels", "clean", "validation", "noisy", "confusion"), "<i8"),
    **dict.fromkeys(("train_keys", "test_keys"), "|u1"),
}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"schema": "emlc.listing/2"}, "not a listing of schema"),
        ({"notes": "none"}, "not a listing of schema"),
        ({"more": 1}, "not a listing of schema"),
        ({"sha256": "0" * 64}, "do not agree"),
        ({"class_names": ["a"]}, "do not agree"),
        ({"dataset": "other"}, "do not agree"),
    ],
)
def test_edited_files_are_refused(listing, tmp_path, edit, message):
    save_listing(tmp_path / "a.npz", listing, "clothing1m")
    meta, arrays = read_bundle(tmp_path / "a.npz", DTYPES)
    write_bundle(tmp_path / "a.npz", {**meta, **edit}, arrays)
    with pytest.raises(SuiteError, match=message) as refusal:
        load_listing(tmp_path / "a.npz")
    assert "\n" not in str(refusal.value)


def test_edited_labels_are_refused(listing, tmp_path):
    save_listing(tmp_path / "a.npz", listing, "clothing1m")
    meta, arrays = read_bundle(tmp_path / "a.npz", DTYPES)
    arrays["train_labels"][0] += 1
    write_bundle(tmp_path / "a.npz", meta, arrays)
    with pytest.raises(SuiteError, match="edited or damaged"):
        load_listing(tmp_path / "a.npz")

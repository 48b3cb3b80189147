import numpy as np
import pytest

from emlc.data.clothing1m import Clothing1M
from emlc.data.streaming.preprocessing import PREPROCESSING
from emlc.records.errors import SuiteError
from tests.emlc.data.small_clothing1m import key_of, write_clothing1m


def test_a_copy_is_listed_and_its_images_are_there(tmp_path):
    write_clothing1m(tmp_path)
    dataset = Clothing1M((str(tmp_path),))
    listing = dataset.listing((tmp_path,))
    files = dataset.images((tmp_path,), listing.test_keys)
    assert len(files) == 14
    assert files.path(3) == tmp_path / key_of("clean_test", 3)
    assert dataset.preprocessing in PREPROCESSING


def test_a_missing_image_is_told_before_a_run(tmp_path):
    write_clothing1m(tmp_path)
    (tmp_path / key_of("clean_val", 5)).unlink()
    with pytest.raises(SuiteError, match=f"1 of 190 images are missing, the first is .*{key_of('clean_val', 5)}"):
        Clothing1M((str(tmp_path),)).listing((tmp_path,))


def test_a_folder_without_data_is_refused_in_one_line(tmp_path):
    with pytest.raises(
        SuiteError, match=r"is no copy of Clothing1M: it has no noisy_train_key_list\.txt, clean"
    ) as refusal:
        Clothing1M((str(tmp_path),)).listing((tmp_path,))
    assert "\n" not in str(refusal.value)
    with pytest.raises(SuiteError, match="has no images"):
        Clothing1M((str(tmp_path),)).images((tmp_path,), np.array([b"images/0/1/a.jpg"]))

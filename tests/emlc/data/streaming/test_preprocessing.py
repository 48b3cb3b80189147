import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as reference

from emlc.data.augment.simclr import draw_boxes
from emlc.data.streaming.preprocessing import (
    PREPROCESSING,
    CentreCrop,
    MiddleSquare,
    RandomCrop,
    RandomResizedCrop,
    Squashed,
    preprocessing,
)
from emlc.records.errors import SuiteError


def picture(width, height):
    """A picture whose pixels tell where they are: red the column, green the row."""
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    return Image.fromarray(np.stack([columns, rows, np.zeros_like(rows)], axis=2).astype(np.uint8))


def pictures(count, width, height):
    return torch.from_numpy(np.asarray(picture(width, height)).copy()).permute(2, 0, 1).expand(count, -1, -1, -1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (47, 47), (33, 100), (101, 34), (8, 9)])
def test_reading_is_torchvision_s_resize_and_centre_crop(shape):
    image = picture(*shape)
    square = reference.center_crop(reference.resize(image, 32), 32)
    np.testing.assert_array_equal(MiddleSquare(32)(image), square)
    squashed = reference.resize(image, [32, 32], reference.InterpolationMode.BICUBIC)
    np.testing.assert_array_equal(Squashed(32)(image), squashed)


@pytest.mark.parametrize("size", [28, 27, 32])
def test_the_centre_is_torchvision_s(size):
    images = pictures(3, 32, 32)
    np.testing.assert_array_equal(CentreCrop(size)(images, None), reference.center_crop(images, size))


def test_random_crops_lie_everywhere_and_nowhere_else():
    images = pictures(300, 6, 6)
    places = set()
    for crop in RandomCrop(4)(images, generator()):
        left, top = crop[:2, 0, 0].tolist()
        assert torch.equal(crop, images[0, :, top : top + 4, left : left + 4])
        places.add((left, top))
    assert places == {(left, top) for left in range(3) for top in range(3)}


def test_random_resized_crops_are_torchvision_s_of_the_same_boxes():
    images = pictures(20, 64, 64)
    crops = RandomResizedCrop(64)(images, generator(1))
    boxes = draw_boxes(20, 64, 64, generator(1)).tolist()
    for crop, image, box in zip(crops, images, boxes, strict=True):
        expected = reference.resized_crop(image, *box, [64, 64], antialias=False)
        assert (crop.int() - expected.int()).abs().max() <= 1


@pytest.mark.parametrize("name", PREPROCESSING)
def test_every_way_ends_in_one_size_and_evaluation_is_never_random(name):
    way = preprocessing(name, 20, 16)
    images = torch.from_numpy(np.asarray(way.read(picture(40, 30))).copy()).permute(2, 0, 1).expand(8, -1, -1, -1)
    train, evaluation = way.train(images, generator()), way.evaluation(images, None)
    for crops in (train, evaluation):
        assert crops.shape == (8, 3, 16, 16)
        assert crops.dtype == torch.uint8
    assert all(torch.equal(crop, evaluation[0]) for crop in evaluation)
    assert all(torch.equal(crop, evaluation[0]) for crop in train) == (name in ("central", "squashed"))
    assert torch.equal(train, way.train(images, generator()))


def test_ways_that_there_are_not():
    with pytest.raises(SuiteError, match="unknown preprocessing 'raw'; known: cropped, central, squashed"):
        preprocessing("raw")
    with pytest.raises(SuiteError, match="images of 200 pixels cannot be cropped to 224"):
        preprocessing("central", 200, 224)

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import functional as reference

from emlc.data.views import (
    PREPROCESSING,
    CentreCrop,
    Mirror,
    RandomCrop,
    RandomResizedCrop,
    ShortSide,
    Square,
    views_of,
)
from emlc.records.errors import SuiteError


def picture(width, height):
    """A picture whose pixels tell where they are: red the column, green the row."""
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    return Image.fromarray(np.stack([columns, rows, np.zeros_like(rows)], axis=2).astype(np.uint8))


def rng(seed=0):
    return np.random.default_rng(seed)


SHAPES = [(40, 60), (60, 40), (47, 47), (33, 100), (101, 34)]


@pytest.mark.parametrize("shape", SHAPES)
def test_scaling_and_centre_crop_are_torchvision_s(shape):
    image = picture(*shape)
    scaled = ShortSide(32)(image, rng())
    np.testing.assert_array_equal(scaled, reference.resize(image, 32))
    np.testing.assert_array_equal(CentreCrop(28)(scaled, rng()), reference.center_crop(scaled, 28))
    squashed = reference.resize(image, [32, 32], reference.InterpolationMode.BICUBIC)
    np.testing.assert_array_equal(Square(32)(image, rng()), squashed)


def test_random_crops_lie_everywhere_and_nowhere_else():
    image = picture(6, 5)
    places = set()
    for seed in range(200):
        pixels = np.asarray(RandomCrop(4)(image, rng(seed)))
        assert pixels.shape == (4, 4, 3)
        left, top = pixels[0, 0, :2]
        np.testing.assert_array_equal(pixels, np.asarray(image)[top : top + 4, left : left + 4])
        places.add((int(left), int(top)))
    assert places == {(left, top) for left in range(3) for top in range(2)}


def test_every_other_image_is_mirrored():
    image = picture(5, 3)
    seen = [np.asarray(Mirror()(image, rng(seed))) for seed in range(400)]
    mirrored = [np.array_equal(pixels, np.asarray(image)[:, ::-1]) for pixels in seen]
    assert all(flipped or np.array_equal(pixels, image) for flipped, pixels in zip(mirrored, seen, strict=True))
    assert sum(mirrored) == pytest.approx(200, abs=50)  # 5 standard deviations


@pytest.mark.parametrize("shape", [(120, 90), (90, 120)])
def test_random_resized_crops_have_the_shares_and_aspects_they_should(shape):
    image, step = picture(*shape), RandomResizedCrop(10, least=0.2)
    boxes = np.array([box for seed in range(500) if (box := step._drawn(image, rng(seed)))])
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    share, aspect = width * height / (120 * 90), width / height
    assert len(boxes) > 300
    assert share.min() == pytest.approx(0.2, abs=0.02)
    assert share.max() > 0.9
    assert aspect.min() == pytest.approx(3 / 4, abs=0.03)
    assert aspect.max() == pytest.approx(4 / 3, abs=0.05)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= shape).all()
    left, top, right, bottom = boxes[0].tolist()
    expected = reference.resized_crop(image, top, left, bottom - top, right - left, [10, 10])
    first = next(seed for seed in range(500) if step._drawn(image, rng(seed)))
    np.testing.assert_array_equal(step(image, rng(first)), expected)


@pytest.mark.parametrize(("shape", "size"), [((200, 12), (16, 12)), ((12, 200), (12, 16))])
def test_where_no_rectangle_fits_the_largest_in_the_middle_is_taken(shape, size):
    image, step = picture(*shape), RandomResizedCrop(8, least=0.9)
    assert all(step._drawn(image, rng(seed)) is None for seed in range(50))
    left, top = (shape[0] - size[0]) // 2, (shape[1] - size[1]) // 2
    middle = image.crop((left, top, left + size[0], top + size[1]))
    np.testing.assert_array_equal(step(image, rng()), middle.resize((8, 8), Image.Resampling.BILINEAR))


@pytest.mark.parametrize("name", PREPROCESSING)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_view_ends_in_one_size_and_evaluation_is_never_random(name, shape):
    views = views_of(name, 20, 16)

    def seen(view, seed):
        image, numbers = picture(*shape), rng(seed)
        for step in view:
            image = step(image, numbers)
        return np.asarray(image)

    assert seen(views.train, 0).shape == seen(views.evaluation, 0).shape == (16, 16, 3)
    np.testing.assert_array_equal(seen(views.evaluation, 0), seen(views.evaluation, 1))
    is_random = any(not np.array_equal(seen(views.train, 0), seen(views.train, seed)) for seed in range(1, 6))
    assert is_random == (name in ("cropped", "resized-crop"))


def test_views_that_there_are_not():
    with pytest.raises(SuiteError, match="unknown preprocessing 'raw'; known: cropped, central, squashed"):
        views_of("raw")
    with pytest.raises(SuiteError, match="images of 200 pixels cannot be cropped to 224"):
        views_of("central", 200, 224)

import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image

from emlc.data.image_files import Broken, Files, check_there, open_rgb
from emlc.data.key_lists import image_root, read_key_lists, without_prefix
from emlc.data.streaming.images import StreamedImages
from emlc.data.streaming.preprocessing import preprocessing
from emlc.engine.sampling import sampling
from emlc.records.errors import SuiteError
from tests.emlc.data.small_clothing1m import BROKEN, CMYK, GREY, PNG, TRUNCATED, write_clothing1m

READ = preprocessing("cropped", 20, 16).read
CPU = torch.device("cpu")
SAMPLINGS = {
    "S0": ("all", None),
    "S1": ("balanced-anew", 56),
    "S2": ("balanced-once", 56),
    "S3": ("cut-to-smallest", None),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clothing1m")
    write_clothing1m(folder)
    listing = read_key_lists(folder)
    return Files(image_root(folder), without_prefix(listing.train_keys)), listing


def images_of(copy, workers=0):
    return StreamedImages(copy[0], READ, workers, CPU)


def passes(copy, name, count, seed=0, size=16):
    """Index batches of some passes over the noisy set, full ones only, as streams make them."""
    listing = copy[1]
    labels = torch.from_numpy(listing.train_labels[listing.split.noisy])
    variant = sampling(SAMPLINGS[name][0], labels, SAMPLINGS[name][1], 3)
    members = variant.members(torch.arange(len(labels)))
    draw = variant.draw(labels[members])
    generator = torch.Generator().manual_seed(seed)
    return [part for _ in range(count) for part in members[draw(generator)].split(size) if len(part) == size]


@pytest.mark.parametrize("name", SAMPLINGS)
def test_two_workers_one_and_none_give_the_same_batches(copy, name):
    batches = passes(copy, name, 2)
    alone = list(images_of(copy).ahead(batches))
    assert len(alone) == len(batches)
    assert all(images.shape == (16, 3, 20, 20) and images.dtype == torch.uint8 for images in alone)
    assert all(images.is_contiguous() for images in alone)
    for workers in (1, 2):
        for images, expected in zip(images_of(copy, workers).ahead(batches), alone, strict=True):
            assert torch.equal(images, expected)
    assert not all(
        torch.equal(images, images_of(copy)[other]) for images, other in zip(alone, batches[1:], strict=False)
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_going_on_in_the_middle_of_a_pass(copy, workers):
    batches = passes(copy, "S1", 2)
    whole = list(images_of(copy, workers).ahead(batches))
    stopped = images_of(copy, workers).ahead(batches)
    begun = [next(stopped) for _ in range(3)]
    stopped.close()  # with workers, four more have been decoded ahead: nothing of that is kept
    rest = list(images_of(copy, 2 - workers).ahead(batches[3:]))
    assert all(torch.equal(images, expected) for images, expected in zip(begun + rest, whole, strict=True))


def test_batches_are_asked_for_a_little_at_a_time(copy):
    taken = []

    def plan():
        for batch in passes(copy, "S0", 5):
            taken.append(batch)
            yield batch

    stream = images_of(copy, 2).ahead(plan())
    next(stream)
    assert 1 <= len(taken) <= 6
    stream.close()


def test_images_can_be_taken_at_any_positions(copy):
    files, _ = copy
    images = images_of(copy)
    assert images.shape == (190, 3, 20, 20)
    assert len(images) == 190
    indices = torch.tensor([150, 7, 7, 42])
    taken = images[indices]
    for pixels, position in zip(taken, indices.tolist(), strict=True):
        expected = np.asarray(READ(open_rgb(files.path(position))))
        np.testing.assert_array_equal(pixels.numpy().transpose(1, 2, 0), expected)


def test_images_are_those_of_their_labels(copy):
    labels = copy[1].train_labels
    positions = [i for i in range(190) if i not in (GREY, CMYK, BROKEN, TRUNCATED)]
    means = images_of(copy)[torch.tensor(positions)].double().mean(dim=(2, 3))
    classes = torch.from_numpy(labels[positions]).double()
    colours = torch.stack([18 * classes, 255 - 18 * classes, torch.full_like(classes, 100)], dim=1)
    assert (means - colours).abs().max() < 20  # the picture's colour tells its class


def test_grey_and_cmyk_images_become_rgb_and_broken_ones_grey(copy, caplog):
    for workers in (0, 2):
        images = images_of(copy, workers)
        for _ in range(2):  # each counts once
            (batch,) = images.ahead([torch.arange(6)])
        assert images.broken.positions == {BROKEN, TRUNCATED}
        assert images.broken.names == [copy[0].keys[position].decode() for position in (BROKEN, TRUNCATED)]
        assert (batch[[BROKEN, TRUNCATED]] == 128).all()
        assert torch.equal(batch[GREY][0], batch[GREY][2])
        assert not torch.equal(batch[CMYK][0], batch[CMYK][2])
        assert not (batch[PNG] == 128).all()
    named = [record.getMessage() for record in caplog.records]
    assert len(named) == 4
    assert all("cannot be read; a grey image stands in for it" in text for text in named)


def test_too_many_broken_files_end_the_run(tmp_path):
    few, many = (Files(tmp_path, np.array([f"{i}.jpg".encode() for i in range(count)])) for count in (250, 2000))
    broken = Broken(few)
    for _ in range(2):
        broken.note(list(range(7, 17)))
    with pytest.raises(SuiteError, match=r"11 of 250 images cannot be read, e\.g\. .*7\.jpg; restore your copy"):
        broken.note([200])
    broken = Broken(many)
    broken.note(list(range(20)))
    with pytest.raises(SuiteError, match="21 of 2,000 images"):
        broken.note([20])


def test_the_global_generators_are_left_alone(copy):
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    for workers in (0, 1):
        list(images_of(copy, workers).ahead(passes(copy, "S0", 1)))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)


def test_missing_files_are_told_before_a_run(copy):
    check_there(copy[0])
    keys = np.append(copy[0].keys, [b"1/2/no,where.jpg", b"1/2/no,thing.jpg"])
    with pytest.raises(SuiteError, match=r"2 of 192 images are missing, the first is .*no,where\.jpg"):
        check_there(Files(copy[0].root, keys))


def test_shapes_that_no_photograph_has_are_broken(tmp_path):
    Image.new("RGB", (421, 21)).save(tmp_path / "long.jpg")
    Image.new("RGB", (420, 21)).save(tmp_path / "wide.jpg")
    images = StreamedImages(Files(tmp_path, np.array([b"long.jpg", b"wide.jpg"])), READ, 0, CPU)
    images[torch.arange(2)]
    assert images.broken.names == ["long.jpg"]


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    Image.new("RGB", (40, 40), (9, 99, 200)).save(tmp_path / "a.jpg")

    def peak(count):
        images = StreamedImages(Files(tmp_path, np.array([b"a.jpg"] * count)), READ, 0, CPU)
        order = torch.arange(count)
        tracemalloc.start()
        try:
            for _ in images.ahead(order.split(10)):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(50)  # what is made at the first use
    assert peak(1500) < 1.5 * peak(50)

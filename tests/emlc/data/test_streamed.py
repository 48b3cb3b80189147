import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image

from emlc.data.clothing1m import image_root, read_clothing1m, without_prefix
from emlc.data.image_files import Broken, Files, check_there, open_rgb
from emlc.data.sampling import Batches, balanced_anew, balanced_once, cut_to_smallest, every_image
from emlc.data.streamed import StreamedBatches, in_order
from emlc.data.views import views_of
from emlc.records.errors import SuiteError
from tests.emlc.data.small_clothing1m import BROKEN, CMYK, GREY, PNG, TRUNCATED, write_clothing1m

VIEWS = views_of("cropped", 20, 16)
SAMPLINGS = {
    "S0": every_image,
    "S1": lambda labels: balanced_anew(labels, 56),
    "S2": lambda labels: balanced_once(labels, 56, 3),
    "S3": lambda labels: cut_to_smallest(labels, 3),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clothing1m")
    write_clothing1m(folder)
    listing = read_clothing1m(folder)
    return Files(image_root(folder), without_prefix(listing.train_keys)), listing


def streamed(copy, sampling="S0", workers=0, seed=0, size=16):
    files, listing = copy
    noisy = listing.split.noisy
    labels = torch.from_numpy(listing.train_labels[noisy])
    batches = Batches(SAMPLINGS[sampling](labels), size, torch.Generator().manual_seed(seed))
    return StreamedBatches(Files(files.root, files.keys[noisy]), VIEWS.train, batches, workers)


def take(stream, count):
    batches = [stream.next() for _ in range(count)]
    return [(batch.images.clone(), batch.positions.tolist()) for batch in batches]


def same(first, second):
    return all(
        torch.equal(images, others) and positions == places
        for (images, positions), (others, places) in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_two_workers_one_and_none_give_the_same_batches(copy, sampling):
    alone = take(streamed(copy, sampling), 12)  # more than one pass
    assert all(images.shape == (16, 3, 16, 16) and images.dtype == torch.uint8 for images, _ in alone)
    for workers in (1, 2):
        stream = streamed(copy, sampling, workers)
        assert same(take(stream, 12), alone)
        stream.close()
    assert not same(take(streamed(copy, sampling, seed=1), 12), alone)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_goes_on_in_the_middle_of_a_pass(copy, workers):
    stream = streamed(copy, "S1", workers)
    take(stream, 5)  # with workers, four more have been decoded ahead
    state = stream.state()
    expected = take(stream, 9)
    resumed = streamed(copy, "S1", 2 - workers, seed=8)
    take(resumed, 2)
    resumed.load_state(state)
    assert same(take(resumed, 9), expected)
    assert resumed.broken.positions == stream.broken.positions
    stream.close()
    resumed.close()


def test_a_state_survives_a_checkpoint_file(copy, tmp_path):
    stream = streamed(copy, "S2")
    take(stream, 3)
    torch.save(stream.state(), tmp_path / "state.pt")
    expected = take(stream, 4)
    resumed = streamed(copy, "S2", seed=8)
    resumed.load_state(torch.load(tmp_path / "state.pt", weights_only=True))
    assert same(take(resumed, 4), expected)


def test_the_global_generators_are_left_alone(copy):
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    take(streamed(copy), 2)
    list(in_order(copy[0], range(4), VIEWS.evaluation, 2, 0, Broken(copy[0])))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)


def test_images_are_those_of_their_positions(copy):
    _, listing = copy
    stream = streamed(copy)
    for batch in (stream.next() for _ in range(7)):
        means = batch.images.double().mean(dim=(2, 3))
        for mean, position in zip(means, batch.positions.tolist(), strict=True):
            if position in (GREY, CMYK, BROKEN, TRUNCATED):
                continue
            label = int(listing.train_labels[position])
            expected = torch.tensor([18.0 * label, 255 - 18.0 * label, 100])
            assert (mean - expected).abs().max() < 20  # the picture's colour tells its class


def test_broken_files_are_counted_and_named_and_grey(copy):
    files, _ = copy
    broken = Broken(files)
    (batch,) = in_order(files, range(6), VIEWS.evaluation, 6, 0, broken)
    assert broken.positions == {BROKEN, TRUNCATED}
    assert broken.names == [files.keys[position].decode() for position in (BROKEN, TRUNCATED)]
    assert (batch.images[[BROKEN, TRUNCATED]] == 128).all()
    assert (batch.images[PNG] != 128).any()
    assert np.array_equal(batch.images[GREY][0], batch.images[GREY][1])
    for workers in (0, 2):
        stream = streamed(copy, workers=workers)
        take(stream, 15)  # two passes: each counts once
        assert stream.broken.positions == {BROKEN, TRUNCATED}
        stream.close()


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


def test_a_set_in_order(copy):
    files, listing = copy
    positions = listing.split.validation
    broken = Broken(files)
    for workers in (0, 2):
        batches = list(in_order(files, positions, VIEWS.evaluation, 10, workers, broken))
        assert [len(batch.images) for batch in batches] == [10, 10, 8]
        assert torch.cat([batch.positions for batch in batches]).tolist() == positions.tolist()
        for image, position in zip(batches[0].images, positions, strict=False):
            rgb = open_rgb(files.path(position))
            for step in VIEWS.evaluation:
                rgb = step(rgb, None)
            np.testing.assert_array_equal(image.numpy().transpose(1, 2, 0), np.asarray(rgb))
    assert not broken.positions


def test_missing_files_are_told_before_a_run(copy, tmp_path):
    check_there(copy[0])
    keys = np.append(copy[0].keys, [b"1/2/no,where.jpg", b"1/2/no,thing.jpg"])
    with pytest.raises(SuiteError, match=r"2 of 192 images are missing, the first is .*no,where\.jpg"):
        check_there(Files(copy[0].root, keys))


def test_shapes_that_no_photograph_has_are_broken(tmp_path):
    Image.new("RGB", (421, 21)).save(tmp_path / "long.jpg")
    Image.new("RGB", (420, 21)).save(tmp_path / "wide.jpg")
    files = Files(tmp_path, np.array([b"long.jpg", b"wide.jpg"]))
    broken = Broken(files)
    list(in_order(files, [0, 1], VIEWS.evaluation, 2, 0, broken))
    assert broken.names == ["long.jpg"]


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    Image.new("RGB", (40, 40), (9, 99, 200)).save(tmp_path / "a.jpg")

    def peak(count):
        files = Files(tmp_path, np.array([b"a.jpg"] * count))
        stream = StreamedBatches(files, VIEWS.train, Batches(every_image(files.keys), 10, torch.Generator()), 0)
        tracemalloc.start()
        try:
            for _ in range(count // 10):
                stream.next()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(50)  # what is made at the first use
    assert peak(1500) < 1.5 * peak(50)

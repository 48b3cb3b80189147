"""Images on disk and images in memory are the same to everything above them."""

from functools import partial

import pytest
import torch

from emlc.data.clothing1m import Clothing1M
from emlc.data.streaming.images import StreamedImages
from emlc.data.streaming.preprocessing import preprocessing
from emlc.engine.samples import Samples
from emlc.engine.streams import FixedOrderStream, Stream
from tests.emlc.data.small_clothing1m import write_clothing1m

CPU = torch.device("cpu")


def jittered(images, generator):
    return images.float() + torch.rand(images.shape, generator=generator)


def generator_of(name):
    return torch.Generator().manual_seed(len(name))


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clothing1m")
    write_clothing1m(folder)
    dataset = Clothing1M((str(folder),))
    listing = dataset.listing((folder,))
    return dataset.images((folder,), listing.train_keys), torch.from_numpy(listing.train_labels)


def samples_of(opened, workers, kind=Stream):
    files, labels = opened
    images = StreamedImages(files, preprocessing("cropped", 20, 16).read, workers or 0, CPU)
    pixels = images[torch.arange(len(files))] if workers is None else images
    views = {"plain": lambda images, _: images.float(), "weak": jittered}
    return Samples(pixels, labels, views, partial(generator_of), kind)


def take(stream, count):
    return [stream.next() for _ in range(count)]


def same(first, second):
    return all(
        torch.equal(a.indices, b.indices)
        and torch.equal(a.labels, b.labels)
        and all(torch.equal(x, y) for x, y in zip(a.views, b.views, strict=True))
        for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("kind", [Stream, FixedOrderStream])
def test_streams_and_passes_are_those_of_images_in_memory(opened, workers, kind):
    resident, streamed = samples_of(opened, None, kind), samples_of(opened, workers, kind)
    first, second = (samples.stream(32, "weak", "weak") for samples in (resident, streamed))
    other, another = (samples.stream(16, "weak", name="other") for samples in (resident, streamed))
    for _ in range(3):  # over the ends of passes, two streams and a scoring at the same time
        assert same(take(first, 4), take(second, 4))
        assert same(take(other, 3), take(another, 3))
        assert same(list(resident.batches()), list(streamed.batches()))
    first.over(torch.arange(50))
    second.over(torch.arange(50))
    assert same(take(first, 3), take(second, 3))


@pytest.mark.parametrize("workers", [0, 2])
def test_balanced_batches_too(opened, workers):
    first, second = (samples_of(opened, count).balanced(28, "weak") for count in (None, workers))
    assert same(take(first, 4), take(second, 4))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_stream_goes_on_in_the_middle_of_a_pass(opened, workers):
    stream = samples_of(opened, workers).stream(16, "weak")
    take(stream, 5)
    state = stream.state_dict()
    expected = take(stream, 12)
    resumed = samples_of(opened, 2 - workers).stream(16, "weak")
    take(resumed, 2)
    resumed.load_state_dict(state)
    assert same(take(resumed, 12), expected)


def test_what_is_expected_is_decoded_by_workers_and_nothing_else_is(opened, monkeypatch):
    """The images of one process are never decoded in it where it said beforehand which they are."""
    samples = samples_of(opened, 2)
    images = samples._images
    here = []
    decoded = StreamedImages._decoded

    def noted(self, batches, workers):
        here.append(workers)
        return decoded(self, batches, workers)

    monkeypatch.setattr(StreamedImages, "_decoded", noted)
    stream = samples.stream(32, "plain")
    take(stream, 11)  # two passes of five batches, and one of the third
    assert here == [2, 2, 2]
    images[torch.arange(3)]
    assert here == [2, 2, 2, 0]
    assert len(images._foreseen) == 1
    del stream
    assert len(images._foreseen) == 0


def test_labels_and_pictures_belong_together(opened):
    batch = samples_of(opened, 2).stream(64, "plain").next()
    colours = batch.inputs.mean(dim=(2, 3))[:, 0]
    usual = (colours - 18 * batch.labels.float()).abs() < 20
    assert usual.float().mean() > 0.9  # but for grey, foreign and broken ones

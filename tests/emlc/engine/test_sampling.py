import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emlc.engine.sampling import balanced_anew, every_image, sampling
from emlc.records.errors import SuiteError

SIZES = (9, 30, 12, 50)
LABELS = torch.arange(4).repeat_interleave(torch.tensor(SIZES))[torch.randperm(101, generator=torch.Generator())]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def counts(positions):
    return torch.bincount(LABELS[positions], minlength=4).tolist()


def test_all_images_come_once_a_pass():
    draw, stream = every_image(LABELS), generator()
    first, second = draw(stream), draw(stream)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(101))
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (32, [8, 8, 8, 8]),
        (34, [8, 9, 8, 9]),  # what is left over goes to the largest classes
        (60, [9, 15, 12, 15]),  # small classes give all they have
        (400, [9, 30, 12, 50]),
        (4, [1, 1, 1, 1]),
    ],
)
def test_balanced_passes_hold_each_class_equally_often(count, expected):
    draw, stream = balanced_anew(LABELS, count), generator()
    first, second = draw(stream), draw(stream)
    assert counts(first) == counts(second) == expected
    assert len(set(first.tolist())) == len(first)
    assert not torch.equal(first.sort().values, second.sort().values) or count == 400


def test_balanced_passes_are_shuffled_over_classes():
    order = LABELS[balanced_anew(LABELS, 32)(generator())]
    assert (order.diff() == 0).sum() < 20  # 7 of 31 expected; sorted ones would have 28


def test_every_image_of_a_class_is_as_likely():
    draw, stream = balanced_anew(LABELS, 16), generator()
    drawn = torch.bincount(torch.cat([draw(stream) for _ in range(3000)]), minlength=101) / 3000
    for label, size in enumerate(SIZES):
        expected = 4 / size
        error = (expected * (1 - expected) / 3000) ** 0.5
        assert (drawn[label == LABELS] - expected).abs().max() < 5 * error


def drawing(name, count, seed):
    """One pass of a variant over all samples, from a generator."""
    variant = sampling(name, LABELS, count, seed)
    members = variant.members(torch.arange(len(LABELS)))
    return lambda stream: members[variant.draw(LABELS[members])(stream)]


def test_drawn_once_is_the_same_set_in_new_orders():
    draw, stream = drawing("balanced-once", 32, 5), generator()
    first, second = draw(stream), draw(stream)
    assert counts(first) == [8, 8, 8, 8]
    assert torch.equal(first.sort().values, second.sort().values)
    assert not torch.equal(first, second)
    again, other = (drawing("balanced-once", 32, seed)(generator()) for seed in (5, 6))
    assert torch.equal(again, drawing("balanced-once", 32, 5)(generator()))
    assert not torch.equal(again.sort().values, other.sort().values)


def test_cut_to_the_smallest_class():
    draw, stream = drawing("cut-to-smallest", None, 1), generator()
    first, second = draw(stream), draw(stream)
    assert counts(first) == [9, 9, 9, 9]
    assert torch.equal(first.sort().values, second.sort().values)
    assert not torch.equal(first, second)


def test_what_cannot_be_balanced_is_refused():
    with pytest.raises(SuiteError, match="3 images cannot be of 4 classes"):
        balanced_anew(LABELS, 3)
    with pytest.raises(SuiteError, match="class 0 has no image"):
        sampling("cut-to-smallest", torch.tensor([1, 1, 2]), None, 0)


@settings(max_examples=50, deadline=None)
@given(labels=st.lists(st.integers(0, 5), min_size=6, max_size=60), data=st.data(), seed=st.integers(0, 2**60))
def test_a_balanced_pass_never_repeats_and_always_has_its_length(labels, data, seed):
    labels = torch.tensor(labels)
    classes = int(labels.max()) + 1
    count = data.draw(st.integers(classes, 80))
    draw, stream = balanced_anew(labels, count), generator(seed)
    passes = [draw(stream) for _ in range(3)]
    for positions in passes:
        assert len(positions) == len(passes[0]) <= count
        assert len(set(positions.tolist())) == len(positions)
        of_class = torch.bincount(labels[positions], minlength=classes)
        sizes = torch.bincount(labels, minlength=classes)
        assert (of_class <= -(-count // classes)).all()
        assert (of_class >= torch.minimum(sizes, torch.tensor(count // classes))).all()


def test_variants_without_a_set_of_their_own_go_over_all_samples():
    assert torch.equal(drawing("all", None, 7)(generator()), every_image(LABELS)(generator()))
    assert torch.equal(drawing("balanced-anew", 32, 7)(generator()), balanced_anew(LABELS, 32)(generator()))


def test_of_some_samples_a_pass_holds_those_that_were_kept_or_draws_anew():
    some = torch.arange(0, 101, 2)
    once, anew = sampling("balanced-once", LABELS, 32, 7), sampling("balanced-anew", LABELS, 8, 7)
    kept = once.members(torch.arange(101))
    assert len(kept) == 32
    assert once.members(some).tolist() == [i for i in kept.tolist() if i % 2 == 0]
    assert torch.equal(anew.members(some), some)
    drawn = some[anew.draw(LABELS[some])(generator())]
    assert counts(drawn) == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("name", "count", "message"),
    [
        ("half", None, "unknown sampling 'half'; known: all, balanced-anew, balanced-once, cut-to-smallest"),
        ("balanced-once", None, "balanced-once needs the number of images"),
        ("balanced-anew", 2, "2 images cannot be of 4 classes"),
        ("all", 32, "sampling all counts itself"),
        ("cut-to-smallest", 32, "sampling cut-to-smallest counts itself"),
    ],
)
def test_variants_that_there_are_not(name, count, message):
    with pytest.raises(SuiteError, match=message):
        sampling(name, LABELS, count, 0)

"""Which samples a batch holds, in which order, and that a stream goes on from its saved state."""

import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emlc.engine.streams import STREAMS, BalancedStream, Batch, FixedOrderStream, Stream
from emlc.records.errors import SuiteError
from tests.settings import numbered


def stream(kind, count, size, seed=0, view="plain", classes=3):
    """Image i is filled with i, its label is i modulo `classes`."""
    samples = numbered(torch.arange(count) % classes)
    return kind(samples, size, (view,), torch.Generator().manual_seed(seed))


def one_pass(source):
    return [source.next() for _ in range(source.batches_per_pass)]


def indices_of(batches):
    return torch.cat([batch.indices for batch in batches])


@settings(deadline=None)
@given(st.sampled_from([Stream, FixedOrderStream]), st.integers(1, 40), st.integers(1, 50), st.integers(0, 99))
def test_a_pass_holds_each_sample_at_most_once_in_full_batches(kind, count, size, seed):
    source = stream(kind, count, size, seed)
    for _ in range(3):
        batches = one_pass(source)
        indices = indices_of(batches)
        assert {len(batch.indices) for batch in batches} == {min(size, count)}
        assert len(indices.unique()) == len(indices) == count - count % min(size, count)


def test_a_batch_belongs_together():
    source = stream(Stream, 20, 6)
    for batch in one_pass(source):
        assert torch.equal(batch.labels, batch.indices % 3)
        assert torch.equal(batch.inputs[:, 0, 0, 0], batch.indices.float())
        assert (batch.inputs.shape, batch.inputs.dtype) == ((6, 1, 2, 2), torch.float32)


def test_passes_are_shuffled_anew_and_leave_different_samples_out():
    source = stream(Stream, 20, 6)
    passes = [indices_of(one_pass(source)) for _ in range(200)]
    left_out = [frozenset(range(20)) - frozenset(indices.tolist()) for indices in passes]
    assert all(len(left) == 2 for left in left_out)
    assert len(set(left_out)) > 100
    assert frozenset().union(*left_out) == set(range(20))
    assert not torch.equal(passes[0].sort().values, passes[0])


def test_no_sample_is_favoured():
    source = stream(Stream, 10, 3)
    counts = torch.zeros(10)
    for _ in range(2000):
        counts[indices_of(one_pass(source))] += 1
    # Each is in 9 of 10 of the passes: standard deviation sqrt(2000 * 0.9 * 0.1) = 13.4.
    assert (counts - 1800).abs().max() < 4 * 13.4


def test_the_fixed_order_repeats_itself():
    source = stream(FixedOrderStream, 20, 6, view="weak")
    first, second = one_pass(source), one_pass(source)
    assert torch.equal(indices_of(first), indices_of(second))
    assert not torch.equal(first[0].inputs, second[0].inputs)  # augmentation is drawn anew


def test_the_first_pass_is_the_same_in_both_orders():
    assert torch.equal(*(indices_of(one_pass(stream(kind, 20, 6))) for kind in (Stream, FixedOrderStream)))


def test_a_batch_of_k_sizes_is_k_batches():
    """So EMLC with look-ahead k sees the images in the order in which every other method sees them."""
    assert torch.equal(indices_of(one_pass(stream(Stream, 31, 15))), indices_of(one_pass(stream(Stream, 31, 3))))


@pytest.mark.parametrize(("size", "per_class"), [(7, 2), (12, 4), (2, 1), (3, 1), (100, 6)])
def test_balanced_batches_hold_every_class_equally_often_in_ascending_order(size, per_class):
    source = stream(BalancedStream, 18, size)
    drawn = [source.next() for _ in range(30)]
    for batch in drawn:
        assert batch.labels.tolist() == [label for label in range(3) for _ in range(per_class)]
        assert torch.equal(batch.labels, batch.indices % 3)
        assert len(batch.indices.unique()) == len(batch.indices)
    assert len(indices_of(drawn).unique()) == 18
    if per_class < 6:
        assert len({tuple(batch.indices.tolist()) for batch in drawn}) > 1


@pytest.mark.parametrize("kind", [*STREAMS.values(), BalancedStream])
@pytest.mark.parametrize("taken", [0, 2, 3, 7])
def test_a_stream_goes_on_from_its_saved_state(kind, taken):
    source = stream(kind, 20, 6, seed=1, view="weak")
    for _ in range(taken):
        source.next()
    buffer = io.BytesIO()
    torch.save(source.state_dict(), buffer)
    expected = [source.next() for _ in range(8)]
    buffer.seek(0)
    resumed = stream(kind, 20, 6, seed=2, view="weak")
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    for one in expected:
        other = resumed.next()
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.indices, other.indices)


def test_a_state_does_not_move_on_with_its_stream():
    source = stream(Stream, 20, 6)
    state = source.state_dict()
    expected = [source.next().indices for _ in range(7)]
    source.load_state_dict(state)
    assert all(torch.equal(indices, source.next().indices) for indices in expected)


def test_the_seed_alone_decides_and_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    one, same, other = (indices_of(one_pass(stream(Stream, 20, 5, seed))) for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(before, torch.get_rng_state())


@settings(deadline=None)
@given(st.sampled_from([Stream, FixedOrderStream, BalancedStream]), st.sets(st.integers(0, 29), min_size=1), st.data())
def test_a_stream_keeps_to_the_samples_it_is_put_over(kind, chosen, data):
    source = stream(kind, 30, data.draw(st.integers(1, 40)))
    source.next()
    source.over(torch.tensor(sorted(chosen)))
    for _ in range(3):
        batches = one_pass(source)
        assert set(indices_of(batches).tolist()) <= chosen
        if kind is not BalancedStream:
            assert len(indices_of(batches).unique()) == sum(map(len, batches)) > len(chosen) - source.size


def test_a_stream_goes_on_over_its_samples_from_its_saved_state():
    for kind in (*STREAMS.values(), BalancedStream):
        source = stream(kind, 30, 4, view="weak")
        source.over(torch.arange(3, 20))
        source.next()
        state = source.state_dict()
        expected = [source.next() for _ in range(9)]
        resumed = stream(kind, 30, 4, view="weak")
        resumed.load_state_dict(state)
        assert all(torch.equal(batch.inputs, resumed.next().inputs) for batch in expected)


def test_a_stream_over_nothing_is_refused():
    with pytest.raises(SuiteError, match="no sample is left to draw batches from"):
        stream(Stream, 9, 3).over(torch.arange(0))


def test_views_are_drawn_in_turn_from_the_stream_s_generator():
    samples = numbered(torch.zeros(20, dtype=torch.int64))
    batch = Stream(samples, 6, ("weak", "plain", "weak"), torch.Generator().manual_seed(3)).next()
    generator = torch.Generator().manual_seed(3)
    order = torch.randperm(20, generator=generator)[:6]
    shifts = [torch.rand(6, generator=generator).view(-1, 1, 1, 1) for _ in range(2)]
    images = order.float().view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    assert torch.equal(batch.indices, order)
    assert all(map(torch.equal, batch.views, (images + shifts[0], images, images + shifts[1])))
    assert torch.equal(batch.inputs, batch.views[0])


def test_a_part_of_a_batch_is_a_batch():
    batch = stream(Stream, 20, 6, view="weak").next()
    first, rest = batch[:2], batch[2:]
    assert (len(batch), len(first), len(rest)) == (6, 2, 4)
    assert isinstance(first, Batch)
    assert torch.equal(torch.cat([first.inputs, rest.inputs]), batch.inputs)
    assert torch.equal(torch.cat([first.indices, rest.indices]), batch.indices)

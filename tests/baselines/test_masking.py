"""Masks, lowered labels and the decoder, by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.masking import Decoder, attention, boxes, extremes, lowered
from emlc.models import build_model


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_label_gives_what_is_masked_to_the_other_classes():
    """Dossier values: the sharpened targets of DivideMix's small case with a masked share of 0.05."""
    targets = torch.tensor([[0.998841, 0.000683, 0.000476], [0.331645, 0.589633, 0.078722]], dtype=torch.float64)
    expected = torch.tensor([[0.948841, 0.025683, 0.025476], [0.356645, 0.539633, 0.103722]], dtype=torch.float64)
    less = lowered(targets, torch.full((2,), 0.05))
    torch.testing.assert_close(less, expected, rtol=0, atol=1e-8)
    torch.testing.assert_close(less.sum(1), targets.sum(1))


def test_attention_is_the_sum_of_squares_stretched_to_the_image():
    maps = torch.randn(2, 3, 4, 4, generator=generator())
    seen = attention(maps, (8, 8))
    assert seen.shape == (2, 8, 8)
    strength = (maps**2).sum(1)
    torch.testing.assert_close(seen[:, 0, 0], strength[:, 0, 0])
    inner = strength[:, 1:3, 1:3] * torch.tensor([[0.75, 0.25]]) * torch.tensor([[0.75], [0.25]])
    torch.testing.assert_close(seen[:, 3, 3], inner.sum((1, 2)))


def test_extremes_are_rows_and_columns():
    values = torch.zeros(2, 3, 5)
    values[0, 2, 1], values[0, 1, 4], values[1, 0, 3], values[1, 2, 0] = 1, -1, 2, -3
    peak, valley = extremes(values)
    assert peak.tolist() == [[2, 1], [0, 3]]
    assert valley.tolist() == [[1, 4], [2, 0]]


@pytest.mark.parametrize(
    ("place", "centred", "rows", "columns"),
    [
        ((4, 4), True, (2, 6), (3, 6)),
        ((4, 4), False, (4, 8), (4, 7)),
        ((0, 9), True, (0, 4), (7, 10)),
        ((9, 0), False, (6, 10), (0, 3)),
    ],
)
def test_boxes_lie_around_or_behind_their_place_and_inside(place, centred, rows, columns):
    """12 pixels of aspect 4/3 are 4 rows and 3 columns."""
    covered = boxes(torch.tensor([place]), torch.tensor([12.0]), torch.tensor([4 / 3]), (10, 10), centred=centred)
    expected = torch.zeros(10, 10, dtype=torch.bool)
    expected[rows[0] : rows[1], columns[0] : columns[1]] = True
    assert torch.equal(covered[0, 0], expected)


@given(st.integers(0, 7), st.integers(0, 7), st.floats(0, 100), st.floats(0.8, 1.25), st.booleans())
def test_boxes_cover_about_their_area_and_their_place(row, column, area, aspect, centred):
    covered = boxes(
        torch.tensor([[row, column]]), torch.tensor([area]), torch.tensor([aspect]), (8, 8), centred=centred
    )
    assert covered[0, 0, row, column]
    assert 1 <= covered.sum() <= 64
    if area <= 36:
        assert abs(covered.sum().item() - area) <= max(1, area**0.5 * 1.2)


@pytest.mark.parametrize(
    ("maps", "image", "kernels"),
    [
        ((512, 4, 4), (3, 32, 32), [(4, 4), (6, 6), (4, 4)]),
        ((8, 7, 7), (3, 224, 224), [(6, 6), (2, 2), (2, 2)]),
        ((8, 4, 4), (1, 8, 8), [(4, 4), (3, 3), (3, 3)]),
        ((8, 14, 14), (1, 28, 28), [(4, 4), (3, 3), (3, 3)]),
        ((8, 4, 4), (1, 28, 28), [(4, 4), (4, 4), (4, 4)]),
        ((8, 2, 2), (3, 32, 32), [(6, 6), (4, 4), (4, 4)]),
    ],
)
def test_decoders_have_the_size_of_the_images(maps, image, kernels):
    decoder = Decoder(maps, image, 6, generator())
    assert [layer.kernel_size for layer in decoder.layers] == kernels
    assert [layer.out_channels for layer in decoder.layers] == [6, 3, image[0]]
    assert decoder(torch.randn(2, *maps)).shape == (2, *image)
    again = Decoder(maps, image, 6, generator())
    assert torch.equal(decoder.layers[2].weight, again.layers[2].weight)
    bound = decoder.layers[0].weight[0].numel() ** -0.5
    assert 0.5 * bound < decoder.layers[0].weight.abs().max() <= bound


@pytest.mark.parametrize("name", ["cnn-small", "resnet18", "preact-resnet18", "wrn-28-10"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 30, 30)])
def test_every_backbone_can_be_decoded(name, shape):
    if name == "cnn-small" and shape[1] % 2:
        return
    options = {"depth": 10} if name == "wrn-28-10" else {}
    model = build_model(name, 5, shape[0], generator(), width=1 if name == "wrn-28-10" else 4, **options).eval()
    images = torch.randn(2, *shape)
    maps = model.maps(images)
    assert Decoder(maps.shape[1:], shape, 4, generator())(maps).shape == images.shape

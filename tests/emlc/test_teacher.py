"""The teacher of Fig. 3 and the two corruptions of section 3.6."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emlc.models import build_model
from emlc.teacher import CORRUPTIONS, EMBEDDING, GATES, HIDDEN, Gate, Teacher, corrupt_adversarially, corrupt_at_random

CLASSES = 4


def make_teacher(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Teacher(build_model("cnn-small", CLASSES, 1, generator, width=2), CLASSES, generator)


def batch(size=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, 1, 8, 8, generator=generator), torch.randint(CLASSES, (size,), generator=generator)


@settings(deadline=None)
@given(st.floats(-50, 50), st.lists(st.floats(-30, 30), min_size=CLASSES, max_size=CLASSES), st.integers(0, 3))
def test_soft_targets_are_a_mixture_of_the_given_label_and_the_prediction(retain, logits, label):
    teacher = make_teacher()
    with torch.no_grad():
        teacher.gate.output.weight.zero_()
        teacher.gate.output.bias.fill_(retain)
    prediction = torch.tensor([logits])
    features = torch.zeros(1, teacher.backbone.feature_dim)
    correction = teacher.correct(features, prediction, torch.tensor([label]))
    weight = torch.sigmoid(torch.tensor(retain))
    expected = (1 - weight) * prediction.softmax(dim=1)
    expected[0, label] += weight
    torch.testing.assert_close(correction.soft_targets, expected)
    torch.testing.assert_close(correction.soft_targets.sum(), torch.tensor(1.0))
    assert (correction.soft_targets >= 0).all()
    assert correction.retain.shape == (1,)


def test_a_gate_that_is_wide_open_keeps_the_label_and_a_closed_one_the_prediction():
    teacher = make_teacher().eval()
    inputs, labels = batch()
    for bias, expected in [(1e4, torch.eye(CLASSES)[labels]), (-1e4, teacher.backbone(inputs).softmax(dim=1))]:
        teacher.gate.output.bias.data.fill_(bias)
        torch.testing.assert_close(teacher(inputs, labels).soft_targets, expected)


def test_a_teacher_without_a_gate_corrects_every_label_to_its_prediction():
    generator = torch.Generator().manual_seed(0)
    teacher = Teacher(build_model("cnn-small", CLASSES, 1, generator, width=2), CLASSES, generator, "none").eval()
    inputs, labels = batch()
    torch.testing.assert_close(teacher(inputs, labels).soft_targets, teacher.backbone(inputs).softmax(dim=1))
    assert [name for name, _ in teacher.parts()] == ["body"]


def test_a_gate_on_features_alone_takes_no_notice_of_the_label():
    gate = GATES["features"](5, CLASSES, torch.Generator().manual_seed(0))
    features = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    hidden = (features @ gate.hidden.weight.T + gate.hidden.bias).clamp(min=0)
    expected = (hidden @ gate.output.weight.T + gate.output.bias)[:, 0]
    for labels in ([0, 1, 2], [3, 3, 3]):
        torch.testing.assert_close(gate(features, torch.tensor(labels)), expected)


def test_parts_are_all_parameters_each_once():
    teacher = make_teacher()
    parts = dict(teacher.parts())
    assert list(parts) == ["body", "gate"]
    assert [id(value) for part in parts.values() for value in part] == [id(value) for value in teacher.parameters()]


def test_the_gate_by_its_matrices():
    gate = Gate(5, CLASSES, torch.Generator().manual_seed(0))
    assert (EMBEDDING, HIDDEN) == (128, 128)
    assert [tuple(value.shape) for value in gate.parameters()] == [(4, 128), (128, 133), (128,), (1, 128), (1,)]
    features, labels = torch.randn(3, 5, generator=torch.Generator().manual_seed(1)), torch.tensor([2, 0, 2])
    joint = torch.cat([features, gate.embedding.weight[labels]], dim=1)
    hidden = (joint @ gate.hidden.weight.T + gate.hidden.bias).clamp(min=0)
    expected = (hidden @ gate.output.weight.T + gate.output.bias)[:, 0]
    torch.testing.assert_close(gate(features, labels), expected)


def test_initial_weights_come_from_the_generator_in_pytorch_s_default_ranges():
    one, same, other = (Gate(72, CLASSES, torch.Generator().manual_seed(seed)).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(value, same[name]) for name, value in one.items())
    assert not any(torch.equal(value, other[name]) for name, value in one.items())
    assert abs(one["embedding.weight"].std() - 1) < 0.1
    for name, fan_in in [("hidden", 200), ("output", 128)]:
        largest = one[f"{name}.weight"].abs().max() * fan_in**0.5
        assert 0.9 < largest <= 1
        assert one[f"{name}.bias"].abs().max() * fan_in**0.5 <= 1


def test_building_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    Gate(5, CLASSES, torch.Generator().manual_seed(0))
    assert torch.equal(before, torch.get_rng_state())


def test_the_label_reaches_only_the_gate():
    teacher = make_teacher()
    inputs, labels = batch()
    one, other = teacher(inputs, labels), teacher(inputs, (labels + 1) % CLASSES)
    torch.testing.assert_close(one.prediction, other.prediction, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(one.retain, other.retain)
    torch.testing.assert_close(teacher.backbone(inputs), one.prediction)


def test_the_gate_s_loss_reaches_the_feature_extractor():
    teacher = make_teacher()
    teacher(*batch()).retain.sum().backward()
    assert teacher.backbone.conv1.weight.grad.abs().sum() > 0
    assert teacher.backbone.classifier.weight.grad is None


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 9))
def test_adversarial_corruption_is_the_strongest_incorrect_class(seed, count):
    generator = torch.Generator().manual_seed(seed)
    prediction = torch.randn(count, CLASSES, generator=generator)
    labels = torch.randint(CLASSES, (count,), generator=generator)
    corrupted = corrupt_adversarially(labels, prediction, generator).tolist()
    for row, label, chosen in zip(prediction.tolist(), labels.tolist(), corrupted, strict=True):
        assert chosen == max((other for other in range(CLASSES) if other != label), key=row.__getitem__)


def test_adversarial_corruption_where_the_truth_wins_and_where_it_does_not():
    prediction = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [0.0, 0.0, 0.0]], requires_grad=True)
    corrupted = corrupt_adversarially(torch.tensor([0, 2, 0]), prediction, torch.Generator())
    assert corrupted.tolist() == [1, 0, 1]
    assert not corrupted.requires_grad


def test_random_corruption_is_uniform_and_includes_the_truth():
    labels = torch.full((40_000,), 2)
    prediction = torch.zeros(40_000, CLASSES)
    drawn = corrupt_at_random(labels, prediction, torch.Generator().manual_seed(0))
    counts = torch.bincount(drawn, minlength=CLASSES)
    assert (counts - 10_000).abs().max() < 4 * (40_000 * 0.25 * 0.75) ** 0.5
    assert torch.equal(drawn, corrupt_at_random(labels, prediction, torch.Generator().manual_seed(0)))
    assert not torch.equal(drawn, corrupt_at_random(labels, prediction, torch.Generator().manual_seed(1)))


def test_no_corruption_returns_the_labels():
    labels = torch.tensor([3, 1])
    assert torch.equal(CORRUPTIONS["none"](labels, torch.zeros(2, CLASSES), torch.Generator()), labels)
    assert set(CORRUPTIONS) == {"none", "random", "adversarial"}

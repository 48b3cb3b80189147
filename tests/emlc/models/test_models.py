"""Backbones: shapes, sizes, wiring against independent references, and where the weights come from."""

import math

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F
from torchvision.models.resnet import ResNet as TorchvisionResNet

from emlc.models import MODELS, build_model, initialise
from emlc.models.preact import PreActBlock, RawShortcutBlock
from emlc.models.resnet import BasicBlock, Bottleneck, OptionABlock, ResNet
from emlc.models.wide_resnet import WideBlock
from emlc.records.errors import SuiteError

NARROW = {
    "cnn-small": {"width": 4},
    "preact-resnet18": {"width": 4},
    "preact-resnet32": {"width": 4},
    "resnet18": {"width": 4},
    "resnet32": {"width": 4},
    "resnet34": {"width": 4},
    "resnet50": {"width": 4},
    "resnet18-imagenet": {"width": 4},
    "resnet34-imagenet": {"width": 4},
    "resnet50-imagenet": {"width": 4},
    "wrn-28-10": {"width": 1, "depth": 10},
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def narrow(name, seed=0, classes=5, channels=3):
    return build_model(name, classes, channels, generator(seed), **NARROW[name])


def on_meta(name, classes=10, channels=3, **options):
    with torch.device("meta"):
        return MODELS[name](classes, channels, **options)


def parameter_count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def conv(inputs, outputs, kernel):
    return inputs * outputs * kernel**2


def basic_stages(width, depths, shortcut):
    """Parameters of stages of two-convolution blocks with batch norm after each, and of their shortcuts."""
    total, inputs = 0, width
    for index, depth in enumerate(depths):
        planes = width * 2**index
        for _ in range(depth):
            total += conv(inputs, planes, 3) + conv(planes, planes, 3) + 4 * planes
            total += shortcut(inputs, planes) if inputs != planes else 0
            inputs = planes
    return total


def preact_stages(inputs, planes_of_stages, depth):
    """Parameters of pre-activation stages: the first batch norm has the input's width, shortcuts have no norm."""
    total = 0
    for planes in planes_of_stages:
        for block in range(depth):
            total += 2 * inputs + conv(inputs, planes, 3) + 2 * planes + conv(planes, planes, 3)
            total += conv(inputs, planes, 1) if block == 0 and inputs != planes else 0
            inputs = planes
    return total


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("resnet18", 11_173_962),
        ("resnet34", 21_282_122),
        ("resnet50", 23_520_842),
        ("resnet32", 464_154),
        ("wrn-28-10", 36_479_194),
    ],
)
def test_parameter_counts_are_the_known_ones_for_cifar10(name, published):
    assert parameter_count(on_meta(name)) == published


@pytest.mark.parametrize(("width", "classes", "channels"), [(64, 10, 3), (8, 7, 1)])
def test_parameter_counts_follow_the_definitions(width, classes, channels):
    stem = conv(channels, width, 3)

    def head(features):
        return (features + 1) * classes

    def project(inputs, planes):
        return conv(inputs, planes, 1) + 2 * planes

    def count(name):
        return parameter_count(on_meta(name, classes, channels, width=width))

    for name, depths in (("resnet18", (2, 2, 2, 2)), ("resnet34", (3, 4, 6, 3))):
        assert count(name) == stem + 2 * width + basic_stages(width, depths, project) + head(8 * width)
    free = basic_stages(width, (5, 5, 5), lambda inputs, planes: 0)
    assert count("resnet32") == stem + 2 * width + free + head(4 * width)
    stages = preact_stages(width, [width, 2 * width, 4 * width, 8 * width], 2)
    assert count("preact-resnet18") == stem + 2 * width + stages + head(8 * width)
    stages = preact_stages(width, [width, 2 * width, 4 * width], 5)
    assert count("preact-resnet32") == stem + stages + 2 * 4 * width + head(4 * width)
    convolutions = stem + conv(width, 2 * width, 3) + conv(2 * width, 2 * width, 3)
    assert count("cnn-small") == convolutions + 2 * 5 * width + head(2 * width)


def test_wide_resnet_parameter_count_follows_depth_and_width():
    expected = conv(3, 16, 3) + preact_stages(16, [48, 96, 192], 3) + 2 * 192 + 193 * 10
    assert parameter_count(on_meta("wrn-28-10", depth=22, width=3)) == expected


@pytest.mark.parametrize(("name", "entries"), [("resnet18", 120), ("resnet34", 216), ("resnet50", 318)])
def test_encoders_have_the_entries_of_supcontrast(name, entries):
    names = [key for key in on_meta(name).state_dict() if not key.startswith("classifier.")]
    assert len(names) == entries
    assert {key.split(".")[0] for key in names} == {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"}
    assert {"layer2.0.shortcut.0.weight", "layer2.0.shortcut.1.running_var", "layer4.1.bn2.bias"} <= set(names)
    assert ("layer1.0.shortcut.0.weight" in names) == (name == "resnet50")


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("preact-resnet18", [(4, 32), (8, 16), (16, 8), (32, 4)]),
        ("preact-resnet32", [(4, 32), (8, 16), (16, 8)]),
        ("resnet18", [(4, 32), (8, 16), (16, 8), (32, 4)]),
        ("resnet32", [(4, 32), (8, 16), (16, 8)]),
        ("resnet34", [(4, 32), (8, 16), (16, 8), (32, 4)]),
        ("resnet50", [(16, 32), (32, 16), (64, 8), (128, 4)]),
        ("wrn-28-10", [(16, 32), (32, 16), (64, 8)]),
    ],
)
def test_stage_shapes_at_32_pixels(name, shapes):
    model, seen = narrow(name), []
    for index in range(len(shapes)):
        model.get_submodule(f"layer{index + 1}").register_forward_hook(lambda *call: seen.append(call[2].shape))
    model(torch.zeros(2, 3, 32, 32))
    assert seen == [(2, channels, side, side) for channels, side in shapes]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("channels", "side"), [(1, 8), (3, 32)])
def test_logits_are_the_classifier_of_the_features(name, channels, side):
    model = narrow(name, channels=channels).eval()
    images = torch.randn(3, channels, side, side, generator=generator(1))
    features = model.features(images)
    assert features.shape == (3, model.feature_dim)
    assert model.classifier.weight.shape == (5, model.feature_dim)
    assert torch.equal(model(images), F.linear(features, model.classifier.weight, model.classifier.bias))
    assert len(set(features.flatten().tolist())) > 1


@pytest.mark.parametrize("name", MODELS)
def test_forward_mode_and_reverse_mode_derivatives_agree(name):
    model = narrow(name).double().eval()
    images = torch.randn(2, 3, 8, 8, generator=generator(1), dtype=torch.float64)
    parameters = {key: value.detach() for key, value in model.named_parameters()}
    tangents = {key: torch.randn(value.shape, generator=generator(2)).double() for key, value in parameters.items()}

    def logits(values):
        return torch.func.functional_call(model, values, (images,))

    outputs, forward = torch.func.jvp(logits, (parameters,), (tangents,))
    cotangent = torch.randn(outputs.shape, generator=generator(3)).double()
    (reverse,) = torch.func.vjp(logits, parameters)[1](cotangent)
    inner = sum((reverse[key] * tangents[key]).sum() for key in parameters)
    assert (forward * cotangent).sum().item() == pytest.approx(inner.item(), rel=1e-9)
    assert all(gradient.abs().max() > 0 for key, gradient in reverse.items() if key != "classifier.bias")


def _torchvision_twin(block, depths, model):
    """Torchvision's ResNet with a CIFAR stem and the same weights."""
    twin = TorchvisionResNet(block, list(depths), num_classes=5)
    twin.conv1, twin.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    state = model.state_dict()
    twin.load_state_dict(
        {key.replace("shortcut", "downsample").replace("classifier", "fc"): value for key, value in state.items()}
    )
    return twin


@pytest.mark.parametrize(
    ("block", "twin_block"),
    [
        (BasicBlock, torchvision.models.resnet.BasicBlock),
        (Bottleneck, torchvision.models.resnet.Bottleneck),
    ],
)
def test_resnets_compute_what_torchvision_computes(block, twin_block):
    model = ResNet(block, (2, 1, 1, 1), 5)
    initialise(model, generator())
    twin = _torchvision_twin(twin_block, (2, 1, 1, 1), model)
    images = torch.randn(2, 3, 16, 16, generator=generator(1))
    torch.testing.assert_close(model(images), twin(images))
    torch.testing.assert_close(model.eval()(images), twin.eval()(images))


def _block(kind, *shape):
    block = kind(*shape)
    initialise(block, generator())
    return block.eval()


def _silenced(kind, *shape):
    """A block whose residual branch is zero, so that its shortcut shows."""
    block = _block(kind, *shape)
    nn.init.zeros_(block.conv2.weight)
    return block


def test_option_a_shortcut_samples_and_pads_on_both_sides():
    inputs = torch.rand(2, 4, 6, 6)
    outputs = _silenced(OptionABlock, 4, 8, 2)(inputs)
    assert torch.equal(outputs[:, 2:6], inputs[:, :, ::2, ::2])
    assert not outputs[:, :2].any()
    assert not outputs[:, 6:].any()
    inputs = torch.randn(2, 4, 6, 6)
    assert torch.equal(_silenced(OptionABlock, 4, 4, 1)(inputs), F.relu(inputs))


def test_preact_shortcuts_are_activated_in_one_flavour_and_raw_in_the_other():
    inputs = torch.randn(2, 4, 6, 6)
    for shape in ((4, 4, 1), (4, 8, 2)):
        activated, raw = _silenced(PreActBlock, *shape), _silenced(RawShortcutBlock, *shape)
        torch.testing.assert_close(activated(inputs), activated.shortcut(F.relu(activated.bn1(inputs))))
        torch.testing.assert_close(raw(inputs), raw.shortcut(inputs))
        assert (raw(inputs) < 0).any()


def test_wide_shortcut_is_raw_as_identity_and_activated_as_projection():
    inputs = torch.randn(2, 4, 6, 6)
    assert torch.equal(_silenced(WideBlock, 4, 4, 1)(inputs), inputs)
    block = _silenced(WideBlock, 4, 8, 2)
    torch.testing.assert_close(block(inputs), block.shortcut(F.relu(block.bn1(inputs))))


@pytest.mark.parametrize("kind", [PreActBlock, RawShortcutBlock, WideBlock])
def test_preact_residual_is_norm_relu_convolution_twice(kind):
    block = _block(kind, 4, 4, 1)
    block.bn1.bias.data += 0.5
    inputs = torch.randn(2, 4, 6, 6)
    hidden = block.conv1(F.relu(block.bn1(inputs)))
    residual = block.conv2(F.relu(block.bn2(hidden)))
    shortcut = F.relu(block.bn1(inputs)) if kind is PreActBlock else inputs
    torch.testing.assert_close(block(inputs), residual + shortcut)


@pytest.mark.parametrize(
    ("name", "last", "finish"),
    [
        ("cnn-small", "bn3", lambda model, hidden: F.relu(hidden)),
        ("resnet32", "layer3", lambda model, hidden: hidden),
        ("preact-resnet18", "layer4", lambda model, hidden: hidden),
        ("preact-resnet32", "layer3", lambda model, hidden: F.relu(model.bn(hidden))),
        ("wrn-28-10", "layer3", lambda model, hidden: F.relu(model.bn(hidden))),
    ],
)
def test_features_pool_the_last_stage(name, last, finish):
    model, seen = narrow(name).eval(), []
    model.get_submodule(last).register_forward_hook(lambda *call: seen.append(call[2]))
    features = model.features(torch.randn(2, 3, 32, 32))
    torch.testing.assert_close(features, finish(model, seen[0]).mean((2, 3)))


@pytest.mark.parametrize("name", MODELS)
def test_features_are_pooled_of_the_maps(name):
    model, images = narrow(name).eval(), torch.randn(2, 3, 64, 64)
    maps = model.maps(images)
    assert min(maps.shape[2:]) > 1
    torch.testing.assert_close(maps.mean((2, 3)), model.features(images))


def test_the_small_network_may_keep_four_cells_of_every_channel():
    """The same weights as without, and each feature the mean of a quadrant."""
    one, four = (build_model("cnn-small", 5, 1, generator(), width=4, pool=pool).eval() for pool in (1, 2))
    images = torch.randn(3, 1, 8, 8)
    assert (one.feature_dim, four.feature_dim) == (8, 32)
    for name, tensor in one.state_dict().items():
        if not name.startswith("classifier."):
            assert torch.equal(tensor, four.state_dict()[name])
    hidden = []
    four.bn3.register_forward_hook(lambda *call: hidden.append(F.relu(call[2])))
    cells = four.features(images).view(3, 8, 2, 2)
    torch.testing.assert_close(cells[:, :, 0, 1], hidden[0][:, :, :2, 2:].mean((2, 3)))
    torch.testing.assert_close(cells.mean((2, 3)), one.features(images))


def test_stems_are_activated_in_divide_mix_and_bare_in_mlnt():
    images = torch.randn(2, 3, 8, 8)
    for name, stem in (
        ("preact-resnet18", lambda model: F.relu(model.bn1(model.conv1(images)))),
        ("preact-resnet32", lambda model: model.conv1(images)),
        ("wrn-28-10", lambda model: model.conv1(images)),
        ("resnet32", lambda model: F.relu(model.bn1(model.conv1(images)))),
    ):
        model, seen = narrow(name).eval(), []
        model.layer1.register_forward_pre_hook(lambda *call, seen=seen: seen.append(call[1][0]))
        model(images)
        torch.testing.assert_close(seen[0], stem(model))


@pytest.mark.parametrize("name", MODELS)
def test_weights_depend_on_the_generator_alone(name):
    state = torch.get_rng_state()
    first = narrow(name).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(torch.initial_seed() + 1)
    second, other = narrow(name).state_dict(), narrow(name, seed=1).state_dict()
    torch.set_rng_state(state)
    assert all(torch.equal(first[key], second[key]) for key in first)
    drawn = [key for key in first if "conv" in key or key.startswith("classifier")]
    assert not any(torch.equal(first[key], other[key]) for key in drawn)


def test_initialisation_has_the_stated_distributions():
    model = build_model("resnet18", 100, 3, generator())
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 20_000:
            fan_out = module.out_channels * module.kernel_size[0] ** 2
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.03)
            assert abs(module.weight.mean().item()) < 0.05 * math.sqrt(2 / fan_out)
            assert module.weight.abs().max() > 3 * math.sqrt(2 / fan_out)
        if isinstance(module, nn.BatchNorm2d):
            assert torch.equal(module.weight, torch.ones_like(module.weight))
            assert not module.bias.any()
            assert not module.running_mean.any()
            assert torch.equal(module.running_var, torch.ones_like(module.running_var))
            assert module.num_batches_tracked == 0
    for parameter in model.classifier.parameters():
        assert parameter.abs().max().item() == pytest.approx(1 / math.sqrt(512), rel=0.05)
        assert parameter.abs().max().item() <= 1 / math.sqrt(512)
        assert parameter.min() < 0 < parameter.max()


def test_initialise_redraws_everything_and_resets_statistics():
    model, fresh = narrow("resnet18"), narrow("resnet18").state_dict()
    model(torch.randn(4, 3, 8, 8))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(3)
    initialise(model, generator())
    assert all(torch.equal(value, fresh[key]) for key, value in model.state_dict().items())


def test_initialise_draws_embeddings_and_refuses_layers_without_a_rule():
    embedding = nn.Embedding(200, 50)
    initialise(embedding, generator())
    assert embedding.weight.std().item() == pytest.approx(1, rel=0.03)
    for layer in (nn.LayerNorm(3), nn.Conv2d(3, 3, 1, bias=True), nn.Sequential(nn.PReLU())):
        with pytest.raises(TypeError, match="no rule"):
            initialise(layer, generator())


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("resnet19", {}, ["'resnet19'", "resnet18", "cnn-small", "wrn-28-10"]),
        ("resnet18", {"depth": 3}, ["resnet18", "'depth'", "width"]),
        ("wrn-28-10", {"dropout": 3}, ["'dropout'", "depth, width"]),
        ("resnet18", {"block": 3}, ["'block'", "known are width"]),
        ("resnet18", {"width": 0}, ["width", "positive integer", "0"]),
        ("resnet18", {"width": "wide"}, ["width", "positive integer", "'wide'"]),
        ("cnn-small", {"width": True}, ["width", "positive integer", "True"]),
        ("wrn-28-10", {"depth": 27}, ["27", "28"]),
        ("wrn-28-10", {"depth": 4}, ["depth 4"]),
        ("resnet32", {"width": 5}, ["even", "5"]),
    ],
)
def test_bad_names_and_options_are_one_clear_line(name, options, words):
    with pytest.raises(SuiteError) as caught:
        build_model(name, 10, 3, generator(), **options)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words)

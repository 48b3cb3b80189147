"""SimCLR checkpoints: interchangeable with SupContrast's, complete or refused, and never code."""

import argparse
import os
import pickle
from itertools import permutations

import pytest
import torch
from torch import nn

from emlc.models import build_model
from emlc.models.checkpoint import load_encoder, save_encoder
from emlc.records.errors import SuiteError

WRAPPERS = ["module.", "_orig_mod.", "encoder.", "backbone."]
PREFIXES = ["encoder.module.", "encoder.", "module.", ""]


def model_of(name="resnet18", seed=0, width=4):
    return build_model(name, 5, 3, torch.Generator().manual_seed(seed), width=width)


def projection_head(dim):
    return nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, 8))


def encoder_state(model):
    return {key: value.clone() for key, value in model.state_dict().items() if not key.startswith("classifier.")}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def write_public(path, encoder, prefix="encoder.module.", **replaced):
    """A file as the public pretraining code writes it."""
    tensors = {f"{prefix}{key}": value for key, value in encoder_state(encoder).items()}
    tensors |= {f"head.{key}": value for key, value in projection_head(encoder.feature_dim).state_dict().items()}
    options = argparse.Namespace(model="resnet34", lr_decay_epochs=[700, 800], cosine=True, warmup_to=0.49)
    content = {"opt": options, "model": tensors, "optimizer": {"state": {}, "param_groups": []}, "epoch": 1000}
    torch.save(content | replaced, path)
    return path


def refusal(path, model):
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(SuiteError) as caught:
        load_encoder(path, model)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert same(before, model.state_dict())
    return str(caught.value)


@pytest.mark.parametrize(("name", "entries"), [("resnet18", 120), ("resnet34", 216), ("resnet50", 318)])
def test_round_trip_restores_the_encoder_and_leaves_the_classifier(tmp_path, name, entries):
    saved, loaded = model_of(name, seed=0), model_of(name, seed=1)
    saved(torch.randn(4, 3, 8, 8))  # running statistics travel too
    classifier = loaded.classifier.weight.clone()
    save_encoder(tmp_path / "deep" / "ckpt.pth", saved, projection_head(saved.feature_dim), 3, {"lr": 0.5})
    assert load_encoder(tmp_path / "deep" / "ckpt.pth", loaded) == entries
    assert same(encoder_state(loaded), encoder_state(saved))
    assert torch.equal(loaded.classifier.weight, classifier)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(("name", "entries"), [("resnet34", 216), ("resnet50", 318)])
def test_public_checkpoints_load_whatever_their_prefix(tmp_path, prefix, name, entries):
    saved, loaded = model_of(name, seed=0), model_of(name, seed=1)
    assert load_encoder(write_public(tmp_path / "ckpt.pth", saved, prefix), loaded) == entries
    assert same(encoder_state(loaded), encoder_state(saved))


@pytest.mark.parametrize("order", [*permutations(WRAPPERS), ["module.", "encoder.", "module."]], ids="".join)
def test_wrappers_are_stripped_in_any_order(tmp_path, order):
    saved, loaded = model_of(seed=0), model_of(seed=1)
    path = write_public(tmp_path / "ckpt.pth", saved, "".join(order))
    assert load_encoder(path, loaded) == 120
    assert same(encoder_state(loaded), encoder_state(saved))


def test_wrappers_inside_a_name_are_stripped(tmp_path):
    """As left by compiling or distributing a part of the encoder."""
    saved, loaded = model_of(seed=0), model_of(seed=1)
    inner = {key.replace("layer1.", "layer1._orig_mod.module."): value for key, value in encoder_state(saved).items()}
    path = write_public(tmp_path / "ckpt.pth", saved, model=inner)
    assert load_encoder(path, loaded) == 120
    assert same(encoder_state(loaded), encoder_state(saved))


def test_a_wrapped_head_is_a_head(tmp_path):
    saved, loaded = model_of(seed=0), model_of(seed=1)
    tensors = encoder_state(saved) | {"module.head.0.weight": torch.ones(3), "_orig_mod.fc.bias": torch.ones(1)}
    assert load_encoder(write_public(tmp_path / "ckpt.pth", saved, model=tensors), loaded) == 120


def test_counters_of_batches_may_be_missing(tmp_path):
    saved, loaded = model_of(seed=0), model_of(seed=1)
    saved(torch.randn(4, 3, 8, 8))
    counted = {key: value for key, value in encoder_state(saved).items() if not key.endswith("num_batches_tracked")}
    assert load_encoder(write_public(tmp_path / "ckpt.pth", saved, model=counted), loaded) == len(counted) == 100
    assert same({key: encoder_state(loaded)[key] for key in counted}, counted)
    assert {int(loaded.state_dict()[key]) for key in encoder_state(saved).keys() - counted} == {0}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_load(tmp_path, dtype):
    saved, loaded = model_of(seed=0), model_of(seed=1)
    tensors = {key: value.to(dtype) for key, value in encoder_state(saved).items()}
    assert load_encoder(write_public(tmp_path / "ckpt.pth", saved, model=tensors), loaded) == 120
    expected = {key: value.to(dtype).to(value.dtype) for key, value in encoder_state(saved).items()}
    assert same(encoder_state(loaded), expected)


def poisoned(value):
    """Makes a tensor's copy whose last entry is `value`."""

    def poison(tensor):
        tensor = tensor.clone()
        tensor.view(-1)[-1] = value
        return tensor

    return poison


def quantised(tensor):
    return torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8)


WEIGHT, VARIANCE, COUNTER = "layer1.0.conv1.weight", "layer2.1.bn1.running_var", "bn1.num_batches_tracked"
FAULTS = {
    "int8": (WEIGHT, lambda tensor: tensor.to(torch.int8), "is int8, not real floating point"),
    "int64": (WEIGHT, lambda tensor: tensor.to(torch.int64), "is int64, not real floating point"),
    "bool": (WEIGHT, lambda tensor: tensor > 0, "is bool, not real floating point"),
    "complex": (WEIGHT, lambda tensor: tensor.to(torch.complex64), "is complex64, not real floating point"),
    "float8": (WEIGHT, lambda tensor: tensor.to(torch.float8_e4m3fn), "is float8_e4m3fn, not real floating point"),
    "complex-counter": (COUNTER, lambda tensor: tensor.to(torch.complex64), "is complex64, not real floating point"),
    "sparse": (WEIGHT, lambda tensor: tensor.to_sparse(), "is sparse"),
    "sparse-rows": (WEIGHT, lambda tensor: tensor.flatten(1).to_sparse_csr(), "is sparse"),
    "quantised": (WEIGHT, quantised, "is sparse, quantised"),
    "empty": (WEIGHT, lambda tensor: tensor.to("meta"), "is sparse, quantised or without values"),
    "nan": (WEIGHT, poisoned(float("nan")), "holds NaN or infinite values"),
    "inf": ("bn1.running_mean", poisoned(float("-inf")), "holds NaN or infinite values"),
    "beyond-float32": (WEIGHT, lambda tensor: poisoned(1e300)(tensor.double()), "infinite values (as float32)"),
    "variance": (VARIANCE, poisoned(-1e-6), "is a variance and negative"),
}


@pytest.mark.parametrize("case", FAULTS)
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_are_no_weights_are_refused_by_name(tmp_path, case):
    name, spoil, reason = FAULTS[case]
    tensors = encoder_state(model_of())
    path = write_public(tmp_path / "ckpt.pth", model_of(), model=tensors | {name: spoil(tensors[name])})
    message = refusal(path, model_of(seed=1))
    assert f"tensor {name} " in message
    assert reason in message


def test_files_of_old_pytorch_load(tmp_path):
    saved, loaded = model_of(seed=0), model_of(seed=1)
    content = torch.load(write_public(tmp_path / "new.pth", saved), weights_only=False)
    torch.save(content, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert load_encoder(tmp_path / "old.pth", loaded) == 120
    assert same(encoder_state(loaded), encoder_state(saved))


def test_saved_files_suit_the_public_loaders(tmp_path):
    model = model_of("resnet34")
    head = projection_head(model.feature_dim)
    save_encoder(tmp_path / "ckpt.pth", model, head, 7, {"epochs": 7, "betas": [0.5, 0.9]})
    content = torch.load(tmp_path / "ckpt.pth", weights_only=True)
    assert content["opt"] == {"epochs": 7, "betas": [0.5, 0.9]}
    assert content["epoch"] == 7
    tensors = content["model"]
    bare = encoder_state(model)
    stripped = {key.removeprefix("encoder.module."): value for key, value in tensors.items()}
    assert same({key: stripped[key] for key in bare}, bare)
    without_module = {key.replace("module.", "") for key in tensors}
    assert without_module == {f"encoder.{key}" for key in bare} | {
        "head.0.weight",
        "head.0.bias",
        "head.2.weight",
        "head.2.bias",
    }
    assert torch.equal(tensors["head.2.bias"], head[2].bias)


def test_equal_encoders_give_equal_bytes(tmp_path):
    model, head = model_of(), projection_head(32)
    for name in ("one.pth", "another-name.pth"):
        save_encoder(tmp_path / name, model, head, 1, {"b": 1, "a": 2})
    assert (tmp_path / "one.pth").read_bytes() == (tmp_path / "another-name.pth").read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["another-name.pth", "one.pth"]


def test_channels_last_weights_are_saved_as_any_others(tmp_path):
    model, head = model_of(), projection_head(32)
    save_encoder(tmp_path / "plain.pth", model, head, 1, {})
    save_encoder(tmp_path / "last.pth", model.to(memory_format=torch.channels_last), head, 1, {})
    assert (tmp_path / "plain.pth").read_bytes() == (tmp_path / "last.pth").read_bytes()


@pytest.mark.parametrize(
    ("saved", "loaded", "words"),
    [
        (("resnet18", 4), ("resnet34", 4), ["matches 120 of", "216", "layer1.2.bn1.bias is missing"]),
        (("resnet34", 4), ("resnet18", 4), ["matches 120 of", "120", "unknown to the model"]),
        (("resnet18", 8), ("resnet18", 4), ["matches 20 of", "120", "shape [8] instead of [4]"]),
        (("preact-resnet18", 4), ("resnet18", 4), ["of the model's 120 encoder tensors"]),
    ],
)
def test_another_backbone_is_refused_and_told_apart(tmp_path, saved, loaded, words):
    path = write_public(tmp_path / "ckpt.pth", model_of(saved[0], width=saved[1]))
    message = refusal(path, model_of(loaded[0], seed=1, width=loaded[1]))
    assert all(word in message for word in words)


def test_no_match_at_all_is_refused(tmp_path):
    path = write_public(tmp_path / "ckpt.pth", model_of(), prefix="encoder_q.")
    assert "matches 0 of the model's 120" in refusal(path, model_of(seed=1))
    path = write_public(tmp_path / "empty.pth", model_of(), model={})
    assert "matches 0 of the model's 120" in refusal(path, model_of(seed=1))


def test_two_encoders_in_one_file_are_refused(tmp_path):
    tensors = encoder_state(model_of())
    both = tensors | {f"module.{key}": value for key, value in tensors.items()}
    path = write_public(tmp_path / "ckpt.pth", model_of(), model=both)
    assert "two names" in refusal(path, model_of(seed=1))


@pytest.mark.parametrize("content", [{"epoch": 1}, {"model": [1, 2]}, {"model": {"a": 1}}, {"model": {1: 2}}, [1], 3])
def test_files_without_named_tensors_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "ckpt.pth")
    assert "no 'model' entry" in refusal(tmp_path / "ckpt.pth", model_of())


class Hostile:
    """Runs a command when unpickled by a trusting reader."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("place", ["opt", "model", "epoch"])
@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_refused_and_does_not_run(tmp_path, place, zipped):
    path, mark = tmp_path / "ckpt.pth", tmp_path / "ran"
    content = {"opt": argparse.Namespace(), "model": encoder_state(model_of()), "epoch": 1}
    content[place] = Hostile(mark)
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert "system" in refusal(path, model_of())
    assert not mark.exists()
    torch.load(path, weights_only=False)
    assert mark.exists(), "the file of this test must be hostile indeed"


def test_a_hostile_namespace_attribute_and_a_bare_pickle_are_refused(tmp_path):
    path, mark = tmp_path / "ckpt.pth", tmp_path / "ran"
    write_public(path, model_of(), opt=argparse.Namespace(lr=Hostile(mark)))
    refusal(path, model_of())
    path.write_bytes(pickle.dumps({"model": Hostile(mark)}))
    refusal(path, model_of())
    assert not mark.exists()


class Options(argparse.Namespace):
    """Not argparse's own."""


@pytest.mark.parametrize("options", [Options(lr=1), nn.Linear(1, 1)])
def test_only_argparse_namespaces_are_allowed_beyond_plain_values(tmp_path, options):
    path = write_public(tmp_path / "ckpt.pth", model_of(), opt=options)
    assert type(options).__name__ in refusal(path, model_of())


def test_allowing_the_namespace_does_not_outlive_the_load(tmp_path):
    load_encoder(write_public(tmp_path / "ckpt.pth", model_of()), model_of(seed=1))
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


def test_damaged_files_are_refused(tmp_path):
    path = write_public(tmp_path / "ckpt.pth", model_of())
    whole = path.read_bytes()
    for part in (b"", b"not a checkpoint", whole[:10], whole[: len(whole) // 2], whole[:-30], whole[40:]):
        path.write_bytes(part)
        assert "damaged" in refusal(path, model_of())


def test_missing_files_and_folders_are_refused(tmp_path):
    refusal(tmp_path / "absent.pth", model_of())
    refusal(tmp_path, model_of())


def test_saving_where_nothing_can_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SuiteError, match="cannot write"):
        save_encoder(tmp_path / "file" / "ckpt.pth", model_of(), projection_head(32), 1, {})


def test_options_that_would_not_load_again_are_refused_at_once(tmp_path):
    with pytest.raises(TypeError):
        save_encoder(tmp_path / "ckpt.pth", model_of(), projection_head(32), 1, {"path": tmp_path})
    assert not list(tmp_path.iterdir())

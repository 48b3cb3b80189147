"""Loading definitions out of scripts that cannot be imported."""

import numpy as np
import pytest
import torch

from pipelines.official.clones import NotComparable
from pipelines.official.source import load, needed

SCRIPT = """
import argparse
import numpy as np
import torch
import a_library_that_is_nowhere
import torch.nn.functional as F, another_that_is_nowhere
from elsewhere import helper
from . import sibling
from torch.no_longer import there

args = argparse.ArgumentParser().parse_args(["--crash"])
raise SystemExit("the script ran")

def step(values):
    moved = values.cuda(non_blocking=True).cuda()
    return helper(moved.t().view(-1)), args

def loss(values):
    return values.mean().data[0], values.data[0]

def single(values):
    return values.float(), torch.ones(2, dtype=torch.float32), np.zeros(2, np.float32), torch.FloatTensor([1])

class Base:
    pass

class Network(Base):
    def twice(self, x):
        return 2 * F.relu(x)
"""


@pytest.fixture
def clone(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    return tmp_path


def test_definitions_are_there_and_the_script_does_not_run(clone):
    made = load(clone, "script.py")
    assert made["Network"]().twice(torch.tensor([-1.0, 2.0])).tolist() == [0.0, 4.0]
    assert {"helper", "sibling", "args", "a_library_that_is_nowhere"}.isdisjoint(made)


def test_definitions_that_only_a_script_makes_are_there_and_it_does_not_run(tmp_path):
    (tmp_path / "script.py").write_text(
        'if __name__ == "__main__":\n    def step():\n        return rate\n    raise SystemExit("the script ran")\n'
    )
    assert load(tmp_path, "script.py", {"rate": 2})["step"]() == 2


def test_definitions_that_depend_on_anything_else_are_not_there(tmp_path):
    (tmp_path / "script.py").write_text("if flag:\n    def step():\n        return 1\n")
    assert "step" not in load(tmp_path, "script.py")


def test_what_a_script_would_have_made_is_given(clone):
    made = load(clone, "script.py", {"helper": lambda x: x + 1, "args": "given"})
    values, args = made["step"](torch.arange(6).reshape(2, 3))
    assert values.tolist() == [1, 4, 2, 5, 3, 6]
    assert args == "given"


def test_what_is_given_replaces_a_definition(clone):
    assert load(clone, "script.py", {"step": None})["step"] is None


def test_an_argument_of_a_name_that_is_a_keyword_now_does_not_stop_a_file(tmp_path):
    (tmp_path / "old.py").write_text("def moved(x):\n    return x.cuda(async=True).to('cpu', async = True)\n")
    assert load(tmp_path, "old.py")["moved"](torch.ones(1)).tolist() == [1.0]


def test_what_is_given_can_be_a_base_class_or_a_default_value(tmp_path):
    (tmp_path / "made.py").write_text(
        "class Network(Base):\n    def size(self, count=classes):\n        return count\n"
    )
    network = load(tmp_path, "made.py", {"Base": torch.nn.Module, "classes": 3})["Network"]()
    assert isinstance(network, torch.nn.Module)
    assert network.size() == 3


def test_scalars_are_read_as_old_pytorch_did(clone):
    scalar, first = load(clone, "script.py")["loss"](torch.tensor([1.0, 3.0]))
    assert (scalar.item(), first.item()) == (2.0, 1.0)


@pytest.mark.parametrize(("widen", "digits"), [(True, 64), (False, 32)])
def test_single_precision_becomes_double_if_asked_to(clone, widen, digits):
    values = load(clone, "script.py", widen=widen)["single"](torch.zeros(1, dtype=torch.float64))
    assert [str(value.dtype).removeprefix("torch.") for value in values] == [f"float{digits}"] * 4
    assert isinstance(values[2], np.ndarray)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(NotComparable, match=r"gone\.py .* no longer loads: FileNotFoundError"):
        load(tmp_path, "gone.py")


@pytest.mark.parametrize("text", ["def broken(:", "class Network(Vanished):\n    pass", "print 'python 2'"])
def test_a_file_that_no_longer_loads_is_one_line(tmp_path, text):
    (tmp_path / "old.py").write_text(text)
    with pytest.raises(NotComparable, match=r"old\.py .* no longer loads") as caught:
        load(tmp_path, "old.py")
    assert "\n" not in str(caught.value)


def test_a_missing_definition_is_one_line(clone):
    with pytest.raises(NotComparable, match=r"^script\.py defines no train$"):
        needed(load(clone, "script.py"), "train")

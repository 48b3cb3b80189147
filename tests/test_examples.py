"""What examples/ shows is true."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from emlc.metagrad import fpmg_loss
from examples import bilevel
from examples.bilevel import learn_labels

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_meta_gradient_finds_wrong_labels(seed):
    given, learned = learn_labels(seed)
    assert given == pytest.approx(0.66)
    assert learned >= 0.88


def test_feedback_of_the_wrong_sign_does_not(monkeypatch):
    """Guards the test above: it is the meta-gradient that finds them."""
    monkeypatch.setattr(bilevel, "fpmg_loss", lambda *arguments: -fpmg_loss(*arguments))
    given, learned = learn_labels(0)
    assert learned < given


def test_the_example_is_a_program():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "examples/bilevel.py"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    (learned,) = re.fullmatch(r"right labels: 66% given, (\d+)% learned\n", done.stdout).groups()
    assert int(learned) >= 88

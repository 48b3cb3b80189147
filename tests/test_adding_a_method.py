"""docs/adding-a-method.md, followed: its method runs in its profile."""

import re
import sys

import pytest
import yaml

import baselines
from emlc.records.record import read_record
from pipelines import inject, train
from pipelines.profile.settings import ROOT
from tests.process import restored
from tests.tiny import write_data

PROFILE = ROOT / "config" / "new-method.yaml"


@pytest.fixture
def blocks():
    """The page's blocks of code by language, without their indentation."""
    text = (ROOT / "docs" / "adding-a-method.md").read_text()
    found = re.findall(r"^   ```(\w+)\n(.*?)^   ```$", text, re.MULTILINE | re.DOTALL)
    return {language: re.sub(r"^   ", "", code, flags=re.MULTILINE) for language, code in found}


@pytest.fixture
def written(blocks, tmp_path, monkeypatch):
    """A folder of `baselines` with the page's method in it."""
    (tmp_path / "my_method.py").write_text(blocks["python"])
    monkeypatch.setattr(baselines, "__path__", [*baselines.__path__, str(tmp_path)])
    yield tmp_path
    sys.modules.pop("baselines.my_method", None)


def test_the_entry_is_the_profile_s(blocks):
    methods = yaml.safe_load(PROFILE.read_text())["methods"]
    assert yaml.safe_load(blocks["yaml"]) == {"my-method": methods["my-method"]}


@pytest.mark.usefixtures("written")
def test_the_page_s_method_trains_in_the_profile(tmp_path):
    axes = ["--dataset", "digits", "--noise", "sym", "--rate", "0.5", "--seed", "0"]
    given = ["--config", str(PROFILE), "--data", str(write_data(tmp_path / "data.npz")), *axes]
    with restored():
        assert inject.main([*given, "--out", str(tmp_path / "task.npz")]) == 0
        run = ["--task", str(tmp_path / "task.npz"), "--method", "my-method", "--out", str(tmp_path / "run")]
        assert train.main([*given, *run]) == 0
    record = read_record(tmp_path / "run" / "record.json")
    assert record["run"]["label"] == "My method"
    assert record["config"]["options"] == {"smoothing": 0.2}
    assert len(record["epochs"]) == 2

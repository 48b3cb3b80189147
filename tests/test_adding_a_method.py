"""docs/adding-a-method.md, followed: its method runs in its profile."""

import re
import sys

import pytest
import yaml

import baselines
from emlc.records.record import read_record
from pipelines import check, inject, pretrain, train
from pipelines.machine.work import fulfil
from pipelines.profile.load import load_profile
from pipelines.profile.model import said
from pipelines.profile.places import ROOT
from pipelines.workflow import sources
from pipelines.workflow.jobs import Jobs
from tests.process import restored
from tests.stores import put_data, run_at, write_order
from tests.tiny import tiny_arrays

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
    method = load_profile([PROFILE]).methods["my-method"]
    assert yaml.safe_load(blocks["yaml"]) == {"my-method": said(method)}


@pytest.mark.usefixtures("written")
def test_the_page_s_method_passes_the_checks():
    assert check.main(["baselines.my_method", "--epochs", "1"]) == 0


@pytest.mark.usefixtures("written")
def test_the_page_s_method_trains_in_the_profile(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_candidates", candidates(tmp_path))
    jobs = Jobs(load_profile([PROFILE]), tmp_path / "results")
    put_data(jobs, tiny_arrays())
    order = run_at(jobs, "my-method")
    task = next(job.order for job in jobs.by_kind["tasks"].values() if job.order.id == order.identity["task"])
    fulfil(task, inject.make)
    fulfil_encoder(jobs, order)
    with restored():
        train.train_run(order, 10, lambda: False)
    record = read_record(order.folder / "record.json")
    assert record["run"]["label"] == "My method"
    assert record["config"]["options"] == {"smoothing": 0.2}
    assert len(record["epochs"]) == 2


def fulfil_encoder(jobs, order):
    """Pretrain, if the profile starts from an encoder."""
    if order.identity["encoder"] is not None:
        with restored():
            pretrain.main([str(write_order(jobs.steps.encoder("digits")))])


def candidates(folder):
    """Look for the sources of modules in another folder, too."""
    inside = sources._candidates
    return lambda module: (*inside(module), folder / f"{module.rpartition('.')[2]}.py")

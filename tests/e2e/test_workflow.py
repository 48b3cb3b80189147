"""The whole pipeline through Snakemake, from pinned bytes to the compared table."""

import csv
import json
import re

import pytest
from PIL import Image

from emlc.records.record import read_record
from tests.e2e.conftest import tiny_profile

pytestmark = pytest.mark.slow


def cells(place):
    with (place.folder / "results" / "table1.csv").open() as handle:
        return list(csv.DictReader(handle))


def records(place):
    return [read_record(path) for path in sorted((place.folder / "results" / "runs").glob("*/record.json"))]


def files_below(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def trainings(jobs):
    return sum("store/cells/" in job for job in jobs)


SYM_AND_ASYM = (0.5, 0.4)


def test_table_from_nothing_and_back_to_nothing_to_do(workplace):
    workplace.write_profile(tiny_profile(SYM_AND_ASYM))
    workplace.snakemake("results/table1.md")
    for cell in cells(workplace):
        accuracies = [
            record["test_accuracy"]["best-clean"]
            for record in records(workplace)
            if record["run"]["label"] == cell["method"]
            and (record["run"]["noise"], str(record["run"]["rate"])) == (cell["noise_type"], cell["noise_rate"])
        ]
        assert len(accuracies) == int(cell["n_seeds"]) == 2
        assert float(cell["mean"]) == pytest.approx(sum(accuracies) / 2, abs=1e-3)
    assert len(cells(workplace)) == 6
    page = (workplace.folder / "results" / "table1.md").read_text()
    assert "EMLC (k=5)" in page
    assert "not run" in page  # the paper's own data sets
    compared = json.loads((workplace.folder / "results" / "compare_table1.json").read_text())
    assert compared["counts"]["deviates"] == 0
    assert compared["counts"]["not comparable"] > 0
    assert workplace.is_done("results/table1.md")
    in_sight = workplace.folder / "results" / "embedded" / "runs" / "digits" / "sym-0.5" / "clean-only" / "seed1"
    workplace.snakemake((in_sight / "record.json").relative_to(workplace.folder).as_posix())
    assert read_record(in_sight / "record.json") in records(workplace)

    method = workplace.folder / "baselines" / "clean_only.py"
    method.write_text(method.read_text() + "\n# a comment\n")
    assert workplace.scheduled("results/table1.md") == []
    method.write_text(method.read_text() + "\nEDITED = True\n")
    jobs = workplace.scheduled("results/table1.md")
    assert trainings(jobs) == 2  # one for each column, of both seeds
    assert any("results/table1.md" in job for job in jobs)


def test_methods_of_few_cells_a_job_begin_first(workplace):
    profile = {**tiny_profile(SYM_AND_ASYM), "cells_per_job": 2}
    profile["methods"]["clean-only"]["cells_per_job"] = 1
    workplace.write_profile(profile)
    told = workplace.snakemake("-n", "results/table1.md")
    assert sorted(re.findall(r"priority: (.*)", told.stdout + told.stderr)) == ["0.5", "0.5", "1.0", "1.0"]


@pytest.mark.chaos
def test_same_records_whatever_the_number_of_cores(workplace):
    workplace.snakemake("results/table1.csv")
    first, table = records(workplace), (workplace.folder / "results" / "table1.csv").read_bytes()
    assert len(first) == 6
    for path in (workplace.folder / "results").iterdir():
        workplace.run("rm", "-rf", str(path))
    workplace.run("snakemake", "--cores", "1", "results/table1.csv")
    assert [record["fingerprint"] for record in records(workplace)] == [record["fingerprint"] for record in first]
    assert (workplace.folder / "results" / "table1.csv").read_bytes() == table


def two_tables():
    """Table 1 of Cross-Entropy and Clean only at 50 %, Table 2 of Clean only and EMLC with asymmetric noise, too."""
    profile = tiny_profile(SYM_AND_ASYM)
    sym, asym = profile["tables"]["table1"]["columns"]
    profile["seeds"] = [0]
    profile["tables"] = {
        "table1": {"title": "Table 1", "methods": ["cross-entropy", "clean-only"], "columns": [sym]},
        "table2": {"title": "Table 2", "methods": ["clean-only", "emlc-k5"], "columns": [sym, asym]},
    }
    return profile


def test_two_tables_of_one_profile_and_nothing_of_the_other_for_one(workplace):
    workplace.write_profile(two_tables())
    results = workplace.folder / "results"
    workplace.snakemake("results/table1.md")
    first = records(workplace)
    assert {(record["run"]["method"], record["run"]["noise"]) for record in first} == {
        ("cross-entropy", "sym"),
        ("clean-only", "sym"),
    }
    assert not [path for path in results.rglob("*table2*") if "recorded" not in path.parts]
    shown = {name: content for name, content in files_below(results).items() if "table1" in name}
    assert trainings(workplace.scheduled("results/table2.md")) == 3  # one of its four runs is in the store
    workplace.snakemake("results/table1.md", "results/table2.md")
    after = {record["id"]: record for record in records(workplace)}
    assert len(after) == 5
    assert all(after[record["id"]] == record for record in first)
    assert {name: files_below(results)[name] for name in shown} == shown
    table2 = json.loads((results / "table2.json").read_text())
    assert [cell["method"] for cell in table2["cells"]] == ["Clean only", "EMLC (k=5)"] * 2
    assert workplace.is_done("results/table1.md", "results/table2.md")
    assert workplace.is_done()


@pytest.mark.chaos
def test_two_tables_in_one_run_from_nothing(workplace):
    workplace.write_profile(two_tables())
    workplace.snakemake()
    results = workplace.folder / "results"
    assert len(records(workplace)) == 5
    for name in ("table1", "table2"):
        assert (results / f"{name}.md").read_bytes() == (results / "embedded" / f"{name}.md").read_bytes()
        assert (results / "embedded" / "figures" / f"convergence_{name}.png").exists()
    assert workplace.is_done()


def test_two_profiles_in_turn_leave_each_other_s_files_alone(workplace):
    profile = tiny_profile() | {"seeds": [0]}
    del profile["methods"]["emlc-k5"]
    workplace.write_profile(profile)
    other = workplace.folder / "config" / "other.yaml"
    other.write_text("base: config.yaml\nprofile: other\ntraining: {lr: 0.01}\n")
    asked = {"embedded": (), "other": ("--configfile", "config/other.yaml", "--")}
    targets = {name: ["results/table1.md", f"results/{name}/claims.md", f"results/{name}/splits.md"] for name in asked}
    results, kept, tables = workplace.folder / "results", {}, {}
    for name in ("embedded", "other"):
        workplace.snakemake(*asked[name], *targets[name])
        kept[name] = files_below(results / name)
        tables[name] = (results / "table1.md").read_bytes()
        assert {"table1.md", "claims.md", "splits.md", "figures/convergence_table1.png"} <= kept[name].keys()
    assert tables["embedded"] != tables["other"]
    assert files_below(results / "embedded") == kept["embedded"]
    runs = files_below(results / "runs")
    for name in ("embedded", "other"):
        assert trainings(workplace.scheduled(*asked[name], *targets[name])) == 0
        workplace.snakemake(*asked[name], *targets[name])
        assert (results / "table1.md").read_bytes() == tables[name]
        assert {both: files_below(results / both) for both in asked} == kept
        assert workplace.is_done(*asked[name], *targets[name])
    assert files_below(results / "runs") == runs


def test_a_diverging_run_fails_by_name_and_the_others_finish(workplace):
    profile = tiny_profile()
    profile["methods"]["clean-only"]["training"] = {"lr": 1e30}
    workplace.write_profile(profile)
    done = workplace.snakemake("results/table1.md", check=False)
    assert done.returncode != 0
    failed = [record["id"] for record in records(workplace) if record["status"] == "failed"]
    assert len(failed) == 2
    for name in failed:
        assert f"to try again, delete results/runs/{name}" in done.stdout + done.stderr
    by_method = {(cell["method"], cell["noise_type"]): cell for cell in cells(workplace)}
    assert by_method["Clean only", "sym"]["mean"] == ""
    assert by_method["Clean only", "sym"]["n_seeds"] == "0"
    assert by_method["Cross-Entropy", "sym"]["n_seeds"] == "2"
    page = (workplace.folder / "results" / "table1.md").read_text()
    assert "failed" in page
    assert "lower the learning rate" in page
    workplace.run("rm", "-r", f"results/runs/{failed[0]}")
    assert trainings(workplace.scheduled("results/table1.md")) == 1


def column_of(profile):
    return profile["tables"]["table1"]["columns"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda profile: column_of(profile).update(noise="purple"), "tables.table1.columns.0.noise"),
        (lambda profile: column_of(profile).update(rate=1.5), "tables.table1.columns.0.rate"),
        (lambda profile: column_of(profile).update(dataset="mnist"), "unknown dataset 'mnist'"),
        (lambda profile: profile["methods"]["clean-only"].update(implementation="os.path"), "implementation"),
        (lambda profile: profile.update(colour="red"), "colour"),
        (lambda profile: profile["methods"]["clean-only"].update(implementation="baselines.nowhere"), "no module"),
    ],
)
def test_a_bad_profile_is_one_line_before_anything_runs(workplace, change, message):
    profile = tiny_profile()
    change(profile)
    workplace.write_profile(profile)
    done = workplace.snakemake("results/table1.md", check=False)
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not list((workplace.folder / "results").rglob("*.npz"))


def test_a_clean_set_larger_than_a_class_stops_at_the_task(workplace):
    profile = tiny_profile()
    profile["datasets"]["digits"]["clean_per_class"] = 500
    workplace.write_profile(profile)
    done = workplace.snakemake("results/table1.md", check=False)
    assert done.returncode != 0
    assert "class" in done.stdout + done.stderr
    assert not list((workplace.folder / "results" / "store" / "tasks").glob("*/task.npz"))


def orders(place, kind):
    """The orders of a kind that the profile has, as paths."""
    place.run("python", "-m", "pipelines.plan", "--orders")
    return sorted((place.folder / "results" / "orders" / kind).glob("*.json"))


def seal_of(order):
    return f"results/store/{order.parent.name}/{order.stem}/seal.json"


def test_a_truncated_data_file_is_refused(workplace):
    kept = workplace.folder / "results" / "checkpoints" / f"{'0' * 20}.pt"
    kept.parent.mkdir(parents=True)
    kept.touch()
    (data,), task = orders(workplace, "data"), orders(workplace, "tasks")[0]
    workplace.snakemake(seal_of(data))
    assert kept.exists()  # of a run that was killed; this target is a part of what it needs
    prepared = (workplace.folder / seal_of(data)).with_name("arrays.npz")
    prepared.write_bytes(prepared.read_bytes()[:-100])
    done = workplace.run("python", "-m", "pipelines.inject", str(task), check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "arrays.npz was changed" in done.stderr
    assert not (workplace.folder / seal_of(task)).exists()


def test_an_image_that_is_replaced_is_prepared_anew(workplace):
    for split, name in [(split, name) for split in ("train", "test") for name in ("crow", "owl")]:
        file = workplace.folder / "birds" / split / name / "a.png"
        file.parent.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(file)
    profile = tiny_profile()
    profile["datasets"]["digits"] |= {"kind": "image-folder", "options": {"source": "birds"}}
    workplace.write_profile(profile)
    (first,) = orders(workplace, "data")
    workplace.snakemake(seal_of(first))
    assert workplace.scheduled(seal_of(first)) == []
    Image.new("RGB", (8, 8), "red").save(file)
    (second,) = [order for order in orders(workplace, "data") if order != first]
    assert len(workplace.scheduled(seal_of(second))) == 1


def test_the_page_needs_the_table_the_claims_the_splits_and_the_curves(workplace):
    text = workplace.snakemake("-n", "results/embedded/report.html").stdout
    listed = {
        words[0]: int(words[1]) for line in text.splitlines() if len(words := line.split()) == 2 and words[1].isdigit()
    }
    assert listed.keys() >= {"report", "claims", "splits", "table", "curves", "inject", "train", "view"}
    assert (listed["train"], listed["view"]) == (3, 1)

"""The whole pipeline through Snakemake, from pinned bytes to the compared table."""

import csv
import json

import pytest
from PIL import Image

from emlc.records.record import read_record
from tests.e2e.conftest import tiny_profile

pytestmark = pytest.mark.slow


def cells(place):
    with (place.folder / "results" / "table1.csv").open() as handle:
        return list(csv.DictReader(handle))


def fingerprints(place):
    records = sorted((place.folder / "results" / "runs").rglob("record.json"))
    return {str(path.relative_to(place.folder)): read_record(path)["fingerprint"] for path in records}


def test_table_from_nothing_and_back_to_nothing_to_do(workplace):
    workplace.snakemake("results/table1.md")
    for cell in cells(workplace):
        label_runs = [
            record
            for path in (workplace.folder / "results" / "runs").rglob("record.json")
            if (record := read_record(path))["run"]["label"] == cell["method"]
            and (record["run"]["noise"], str(record["run"]["rate"])) == (cell["noise_type"], cell["noise_rate"])
        ]
        accuracies = [record["test_accuracy"]["best-clean"] for record in label_runs]
        assert len(accuracies) == int(cell["n_seeds"]) == 2
        assert float(cell["mean"]) == pytest.approx(sum(accuracies) / 2, abs=1e-3)
    assert len(cells(workplace)) == 6
    page = (workplace.folder / "results" / "table1.md").read_text()
    assert "EMLC (k=5)" in page
    assert "not run" in page  # the paper's own data sets
    compared = json.loads((workplace.folder / "results" / "compare_table1.json").read_text())
    assert compared["counts"]["deviates"] == 0
    assert compared["counts"]["not comparable"] > 0
    assert workplace.scheduled("results/table1.md") == []

    method = workplace.folder / "baselines" / "clean_only.py"
    method.write_text(method.read_text() + "\n# edited\n")
    jobs = workplace.scheduled("results/table1.md")
    assert sum("runs/" in job for job in jobs) == 2  # one for each column, of both seeds
    assert all("clean-only" in job for job in jobs if "runs/" in job)
    assert any("results/table1.md" in job for job in jobs)


def test_more_seeds_leave_the_finished_ones_alone(workplace):
    profile = tiny_profile()
    profile["seeds_per_job"] = 2
    workplace.write_profile(profile)
    workplace.snakemake("results/table1.csv")
    profile["seeds"] = [0, 1, 2, 3]
    workplace.write_profile(profile)
    jobs = [job for job in workplace.scheduled("results/table1.csv") if "runs/" in job]
    assert len(jobs) == 6
    assert all("seed2" in job and "seed3" in job and "seed0" not in job for job in jobs)


def test_same_records_whatever_the_number_of_cores(workplace, tmp_path):
    workplace.snakemake("results/table1.csv")
    first, table = fingerprints(workplace), (workplace.folder / "results" / "table1.csv").read_bytes()
    assert len(first) == 12
    for path in (workplace.folder / "results").iterdir():
        workplace.run("rm", "-rf", str(path))
    workplace.run("snakemake", "--cores", "1", "results/table1.csv")
    assert fingerprints(workplace) == first
    assert (workplace.folder / "results" / "table1.csv").read_bytes() == table


def test_a_diverging_run_fails_by_name_and_the_others_finish(workplace):
    profile = tiny_profile()
    profile["methods"]["clean-only"]["training"] = {"lr": 1e30}
    workplace.write_profile(profile)
    done = workplace.snakemake("results/table1.md", check=False)
    assert done.returncode != 0
    assert "digits/sym-0.5/clean-only/seed0" in done.stdout + done.stderr
    by_method = {(cell["method"], cell["noise_type"]): cell for cell in cells(workplace)}
    assert by_method["Clean only", "sym"]["mean"] == ""
    assert by_method["Clean only", "sym"]["n_seeds"] == "0"
    assert by_method["Cross-Entropy", "sym"]["n_seeds"] == "2"
    page = (workplace.folder / "results" / "table1.md").read_text()
    assert "failed" in page
    assert "lower the learning rate" in page


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda profile: profile["columns"][0].update(noise="purple"), "columns.0.noise"),
        (lambda profile: profile["columns"][0].update(rate=1.5), "columns.0.rate"),
        (lambda profile: profile["columns"][0].update(dataset="mnist"), "unknown dataset 'mnist'"),
        (lambda profile: profile["methods"]["clean-only"].update(implementation="os.path"), "implementation"),
        (lambda profile: profile.update(colour="red"), "colour"),
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


def test_an_unknown_method_is_named(workplace):
    profile = tiny_profile()
    profile["methods"]["clean-only"]["implementation"] = "baselines.nowhere"
    workplace.write_profile(profile)
    done = workplace.snakemake("results/table1.md", check=False)
    assert done.returncode != 0
    assert "there is no module baselines.nowhere" in done.stdout + done.stderr


def test_a_clean_set_larger_than_a_class_stops_at_the_task(workplace):
    profile = tiny_profile()
    profile["datasets"]["digits"]["clean_per_class"] = 500
    workplace.write_profile(profile)
    done = workplace.snakemake("results/table1.md", check=False)
    assert done.returncode != 0
    assert "class" in done.stdout + done.stderr
    assert not list((workplace.folder / "results" / "tasks").rglob("*.npz"))


def test_a_truncated_data_file_is_refused(workplace):
    kept = workplace.folder / "results" / "checkpoints" / "embedded" / "digits" / "sym-0.5" / "mlc" / "seed0.pt"
    kept.parent.mkdir(parents=True)
    kept.touch()
    workplace.snakemake("results/data/digits.npz")
    assert kept.exists()  # of a table that was killed; this target is a part of it
    prepared = workplace.folder / "results" / "data" / "digits.npz"
    prepared.write_bytes(prepared.read_bytes()[:-100])
    done = workplace.run(
        *("python", "-m", "pipelines.inject", "--dataset", "digits", "--noise", "sym", "--rate", "0.5"),
        *("--seed", "0", "--data", str(prepared), "--out", "task.npz"),
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "digits.npz" in done.stderr
    assert not (workplace.folder / "task.npz").exists()


def test_an_image_that_is_replaced_is_prepared_anew(workplace):
    for split, name in [(split, name) for split in ("train", "test") for name in ("crow", "owl")]:
        file = workplace.folder / "birds" / split / name / "a.png"
        file.parent.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(file)
    profile = tiny_profile()
    profile["datasets"]["digits"] |= {"kind": "image-folder", "options": {"source": "birds"}}
    workplace.write_profile(profile)
    workplace.snakemake("results/data/digits.npz")
    assert workplace.scheduled("results/data/digits.npz") == []
    Image.new("RGB", (8, 8), "red").save(file)
    assert len(workplace.scheduled("results/data/digits.npz")) == 1


def test_the_page_needs_the_table_the_claims_the_splits_and_the_figures(workplace):
    text = workplace.snakemake("-n", "results/report.html").stdout
    listed = {
        words[0]: int(words[1]) for line in text.splitlines() if len(words := line.split()) == 2 and words[1].isdigit()
    }
    assert listed.keys() >= {"report", "claims", "splits", "compare", "curves", "aggregate", "inject"}
    assert any(rule.startswith("train_seeds_") for rule in listed)
    page = next(block for block in text.split("rule ") if block.startswith("report:"))
    for file in (
        "results/claims.json",
        "results/splits.md",
        "results/figures/convergence.svg",
        "pipelines/page/report.js",
    ):
        assert file in page


def test_the_page_of_a_table_of_its_own_reads_no_other_table(workplace):
    workplace.write_profile(tiny_profile() | {"table": {"name": "table_own", "title": "Own labels"}})
    text = workplace.snakemake("-n", "-p", "results/report.html", "--configfile", "config/config.yaml").stdout
    assert "--table results/table_own.json --measured results/splits.csv results/figures/convergence.csv --md" in text
    assert "results/splits.md results/figures/convergence.svg --configfile config/config.yaml --out" in text
    assert "table1.json" not in text

"""The page: one file, every number that of its data file, nothing asked of a network."""

import base64
import csv
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from emlc.judging.cells import read_published
from emlc.records.artefacts import write_json
from emlc.records.errors import SuiteError
from pipelines.aggregate import aggregate, collect
from pipelines.profile.load import load_settings, validated
from pipelines.report import context, main, render
from pipelines.table import as_markdown, read_table
from tests.pipelines.report_results import COLUMNS, METHODS, SCORES, shown_files, write_page, write_results
from tests.tiny import tiny_profile, write_yaml

ROOT = Path(__file__).parents[2]
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Elements in the order of the page, each with its attributes, its ancestors and its text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.all = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "text": "", "within": list(self.open), **dict(attributes)}
        self.all.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, text):
        for element in self.open:
            element["text"] += text

    def find(self, tag, within=None, **attributes):
        return [
            element
            for element in self.all
            if element["tag"] == tag
            and all(element.get(key) == value for key, value in attributes.items())
            and (within is None or any(parent is within for parent in element["within"]))
        ]

    def rows(self, table):
        """Texts of the cells of a table's body, details left out, by row."""
        rows = [row for row in self.find("tr", table) if "detail" not in (row.get("class") or "")]
        return [
            [part["text"].strip() for part in self.all if part["tag"] in ("td", "th") and part["within"][-1] is row]
            for row in rows
        ]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    results = write_results(folder)
    path = write_page(folder, results)
    return folder, results, path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(made):
    return Page(made[2])


def lines(path):
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def cell_of(page, dataset, method, column):
    (table,) = [t for t in page.find("table") if t.get("data-dataset") == dataset]
    names = [header["text"].strip() for header in page.find("th", table, scope="col") if header["within"][-3] is table]
    for row in page.find("tr", table):
        parts = [part for part in page.all if part["tag"] in ("td", "th") and part["within"][-1] is row]
        if parts[0]["text"].strip() == method and len(parts) == len(names):
            return parts[names.index(column)]
    raise AssertionError(f"no row {method}")


def test_every_measured_number_is_that_of_the_csv(made, page):
    columns = {"sym": "50%", "asym": "Asym. 40%"}
    table = lines(made[1] / "table1.csv")
    assert len(table) == 8
    for line in table:
        cell = cell_of(page, line["dataset"], line["method"], columns[line["noise_type"]])
        assert (cell["data-value"] or "") == line["mean"]
        (button,) = page.find("button", cell)
        shown = button["text"].replace(", details", "").strip()
        if line["mean"]:
            assert shown == f"{float(line['mean']):.2f}" + (f" ± {float(line['std']):.2f}" if line["std"] else "")
        else:
            assert shown == ("failed" if line["method"] == "EMLC (k=1)" and line["noise_type"] == "sym" else "not run")


def test_every_published_number_stands_in_its_cell(page):
    names = {("sym", rate): f"{100 * rate:g}%" for rate in (0.2, 0.5, 0.8, 0.9)} | {("asym", 0.4): "Asym. 40%"}
    cells = read_published(ROOT / "published" / "table1.csv")
    for cell in cells:
        (shown,) = page.find(
            "span", cell_of(page, cell.dataset, cell.method, names[cell.noise]), **{"class": "published"}
        )
        assert float(shown["data-value"]) == cell.mean
        assert shown["text"] == f"{cell.mean:.2f}" + (f" ± {cell.std:.2f}" if cell.std is not None else "")
    (compared,) = page.find("table", **{"class": "compared"})
    assert len(page.rows(compared)) == len(cells) + 1
    for row, cell in zip(page.rows(compared)[1:], cells, strict=True):
        assert row[:2] == [cell.method, cell.dataset]
        assert row[3].split(" ")[0] == f"{cell.mean:.2f}"


def test_rows_and_columns_are_those_of_the_table(made, page):
    published = read_published(ROOT / "published" / "table1.csv")
    text = as_markdown(read_table(made[1] / "table1.json"), published).split("## ")[1]
    rows = [[part.strip() for part in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    (grid,) = [table for table in page.find("table") if table.get("data-dataset") == "UCI digits"]
    head, body = (
        [th["text"].strip() for th in page.find("th", grid, scope=scope) if th["within"][-3] is grid]
        for scope in ("col", "row")
    )
    assert head == rows[0]
    assert body == [row[0] for row in rows[1:] if not row[0].startswith("↳")]


def test_a_cell_opens_to_its_seeds_and_records(made, page):
    cell = cell_of(page, "UCI digits", "Clean only", "50%")
    (button,) = page.find("button", cell)
    assert button["aria-expanded"] == "false"
    (details,) = page.find("tr", id=button["aria-controls"])
    assert "hidden" in details
    rows = [[part.strip() for part in row] for row in page.rows(page.find("table", details)[0])[1:]]
    assert [row[:3] for row in rows] == [[str(s), f"{x:.2f}", "2 of 2"] for s, x in enumerate(SCORES["clean"])]
    for seed, row in enumerate(rows):
        path = made[1] / "runs" / "digits" / "sym-0.5" / "clean" / f"seed{seed}" / "record.json"
        assert str(path) in row[-1]
        assert f"sha256 {json.loads(path.read_text())['sha256'][:12]}" in row[-1]


def test_failed_runs_show_their_error_as_text(page):
    (button,) = page.find("button", cell_of(page, "UCI digits", "MLC", "50%"))
    (details,) = page.find("tr", id=button["aria-controls"])
    assert "DivergenceError: <x> & nan" in details["text"]
    assert page.find("x") == []


def test_every_claim_shows_the_verdicts_of_the_ledger(made, page):
    claims = json.loads((made[1] / "claims.json").read_text())["claims"]
    for claim in claims:
        (body,) = page.find("tbody", id=f"claim-{claim['id']}")
        cells = page.find("td", body)
        assert claim["published"]["verdict"] in cells[1]["text"]
        assert claim["measured"]["verdict"] in cells[2]["text"]
        for step in claim["published"]["steps"]:
            assert step["text"] in body["text"]
        assert all(quote["text"] in body["text"] for quote in claim["quotes"])
    assert "it holds for EMLC (k=1) only" in page.find("tbody", id="claim-above-90-on-cifar-10")[0]["text"]


def test_files_of_other_steps_are_shown_number_by_number_and_can_be_saved(made, page):
    for name in ("timing.csv", "fig5.csv"):
        path = next(made[1].rglob(name))
        (table,) = [table for table in page.find("table") if table.get("data-file") == name]
        with path.open(newline="") as handle:
            assert page.rows(table) == list(csv.reader(handle))
        (link,) = page.find("a", download=name)
        assert base64.b64decode(link["href"].partition("base64,")[2]) == path.read_bytes()
    timing = page.find("section", **{"aria-labelledby": "timing"})[0]["text"]
    assert "Warm-up, <b>medians</b>." in timing
    assert page.find("b") == []
    (image,) = page.find("img")
    assert base64.b64decode(image["src"].partition("base64,")[2]) == (made[1] / "figures" / "fig5.svg").read_bytes()
    assert "The meta-objective & its n = 3 seeds." in page.find("figcaption")[0]["text"]


def test_how_to_make_each_piece_again_is_told_of_what_there_is(page):
    (section,) = page.find("section", **{"aria-labelledby": "rerun"})
    for command in (
        "snakemake --cores 2 results/claims.md",
        "python -m pipelines.timing --help",
        "pipelines.objective",
    ):
        assert command in section["text"]
    assert "pipelines.recovery" not in section["text"]


def test_the_commands_name_the_profile(made):
    folder, results, _ = made
    text = write_page(folder, results, "--configfile", "config/a b.yaml", "config/c.yaml").read_text(encoding="utf-8")
    (section,) = Page(text).find("section", **{"aria-labelledby": "rerun"})
    call = "snakemake --cores 2 --configfile 'config/a b.yaml' config/c.yaml -- "
    assert section["text"].count(call) == section["text"].count("snakemake --cores 2 ") > 5


def test_files_that_another_profile_left_are_not_shown(made):
    folder, results, _ = made
    shown = {name: path for name, path in shown_files(results).items() if "timing" not in name}
    content = context(load_settings([folder / "profile.yaml"]), results / "runs", results, shown)
    assert [page["name"] for page in content["pages"] if page["html"] or page["data"]] == []
    assert [figure["name"] for figure in content["figures"] if figure["image"] and figure["data"]] == ["fig5"]
    assert list(content["rerun"]) == [
        *("report.html", "table1.md", "compare_table1.md", "claims.md"),
        "figures/fig5.svg",
    ]


def test_a_table_that_the_paper_does_not_have_gets_its_page(tmp_path):
    results = write_results(tmp_path)
    (results / "table1.json").rename(results / "table_own.json")
    profile = tiny_profile(methods=METHODS, columns=COLUMNS, seeds=[0, 1, 2])
    write_yaml(tmp_path / "profile.yaml", profile | {"table": {"name": "table_own", "title": "Own labels"}})
    (results / "compare_table1.json").write_text("left by another profile")
    page = Page(write_page(tmp_path, results).read_text(encoding="utf-8"))
    assert page.find("h2", id="table")[0]["text"] == "Own labels"
    assert [table["data-dataset"] for table in page.find("table", **{"class": "grid"})] == ["UCI digits"]
    assert "The paper prints no number" in page.find("section", **{"aria-labelledby": "verdicts"})[0]["text"]
    assert page.find("span", **{"class": "published"}) == []
    rerun = page.find("section", **{"aria-labelledby": "rerun"})[0]["text"]
    assert "results/table_own.md" in rerun
    assert "table1.md" not in rerun


def test_a_renamed_method_keeps_its_records(tmp_path):
    results = write_results(tmp_path)
    renamed = {**METHODS, "mlc": {**METHODS["mlc"], "label": "MLC (ours)"}}
    settings = validated(tiny_profile(methods=renamed, columns=COLUMNS, seeds=[0, 1, 2]))
    write_json(results / "table1.json", aggregate(settings, collect(settings, results / "runs")))
    section = context(settings, results / "runs", results, {})["sections"][0]
    seeds = {row["method"]: row["cells"][0]["seeds"] for row in section["rows"]}
    assert [len(seeds[method]) for method in ("Cross-Entropy", "MLC (ours)", "MLC")] == [3, 3, 0]


def test_what_was_not_made_is_said(page):
    assert "not made by this profile" in page.find("p", id="fig1")[0]["text"]
    assert "Not made by this profile." in page.find("section", **{"aria-labelledby": "metagrad"})[0]["text"]


def test_the_summary_counts_what_the_files_say(made, page):
    (summary,) = page.find("section", **{"aria-labelledby": "summary"})
    counts = [
        dict(zip(*[[e["text"] for e in page.find(tag, card)] for tag in ("dt", "dd")], strict=True))
        for card in page.find("dl", summary)
    ]
    assert counts[0] == {
        k: str(v) for k, v in json.loads((made[1] / "compare_table1.json").read_text())["counts"].items()
    }
    claims = json.loads((made[1] / "claims.json").read_text())["claims"]
    for number, side in ((1, "published"), (2, "measured")):
        assert {name: int(value) for name, value in counts[number].items()} == {
            verdict: sum(claim[side]["verdict"] == verdict for claim in claims)
            for verdict in {claim[side]["verdict"] for claim in claims}
        }
    assert "2.16% on CIFAR-10" in summary["text"]
    assert "no accuracy of the paper is reproduced or refuted" in summary["text"]


def test_nothing_is_asked_of_a_network(made, page):
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", made[2]).replace("http-equiv", "")
    addresses = [element[key] for element in page.all for key in ("href", "src") if key in element]
    assert all(address.startswith(("#", "data:")) for address in addresses)
    (policy,) = page.find("meta", **{"http-equiv": "Content-Security-Policy"})
    assert "default-src 'none'" in policy["content"]
    assert not page.find("iframe") + page.find("object") + [s for s in page.find("script") if "src" in s]


def test_the_page_can_be_used_without_seeing_it(page):
    ids = [element["id"] for element in page.all if "id" in element]
    assert len(ids) == len(set(ids))
    for link in page.find("a"):
        assert link["href"].startswith("data:") or link["href"][1:] in ids
    for element in page.all:
        for key in ("aria-controls", "aria-labelledby"):
            assert element.get(key, ids[0]) in ids
        if element["tag"] == "th":
            assert element.get("scope") in ("row", "col")
    assert all(image["alt"] for image in page.find("img"))
    assert all(button["text"].strip() and button["type"] == "button" for button in page.find("button"))
    assert page.find("html")[0]["lang"] == "en"
    levels = [int(element["tag"][1]) for element in page.all if re.fullmatch("h[1-6]", element["tag"])]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 or after == 4 for before, after in pairwise(levels))
    for table in page.find("table"):
        scrolls = [parent for parent in table["within"] if "scroll" in (parent.get("class") or "")]
        assert scrolls[-1]["tabindex"] == "0"
        assert scrolls[-1].keys() & {"aria-label", "aria-labelledby"}


def test_the_bytes_depend_on_the_files_only(made):
    folder, results, text = made
    assert write_page(folder, results).read_text(encoding="utf-8") == text


def test_the_papers_own_data_gets_verdicts_and_differences(made):
    folder, results, _ = made
    content = context(load_settings([folder / "profile.yaml"]), results / "runs", results, {})
    section = next(section for section in content["sections"] if section["title"] == "CIFAR-10")
    cell = section["rows"][0]["cells"][0]
    assert (section["own"], cell["measured"], cell["verdict"]["verdict"]) == (True, None, "not run")
    cell["measured"] = {"mean": 85.8, "std": None, "n_seeds": 1, "failed": [], "missing": 0}
    cell["difference"] = -1.0
    assert "Difference -1.00 points" in render({**content, "snakemake": "snakemake"})


def test_missing_or_damaged_files_get_one_clear_line(tmp_path):
    results = write_results(tmp_path)
    arguments = ["--config", str(tmp_path / "profile.yaml"), "--runs", str(results / "runs"), "--results", str(results)]
    out = tmp_path / "report.html"
    (results / "claims.json").write_text("{")
    with pytest.raises(SuiteError, match=r"claims\.json is not valid JSON"):
        main([*arguments, "--out", str(out)])
    (results / "claims.json").unlink()
    with pytest.raises(SuiteError, match=r"cannot read .*claims\.json"):
        main([*arguments, "--out", str(out)])
    assert not out.exists()

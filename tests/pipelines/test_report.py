"""The page: one file, every number that of its data file, nothing asked of a network."""

import base64
import csv
import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from emlc.judging.cells import read_published
from emlc.records.errors import SuiteError
from pipelines.page.accuracies import as_markdown, read_table
from pipelines.profile.places import ROOT
from pipelines.report import context, make, render
from pipelines.workflow.runs import table_runs
from tests.pipelines.records import made as made_by
from tests.pipelines.report_results import METHODS, SCORES, SYM, TABLES, page_jobs, write_page, write_results

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
    jobs = page_jobs(tmp_path_factory.mktemp("report"))
    write_results(jobs)
    return jobs, jobs.pages, write_page(jobs).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(made):
    return Page(made[2])


def lines(path):
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def table_file(pages, name, suffix):
    return pages.table(name).folder / f"{name}.{suffix}"


def cell_of(page, dataset, method, column, name="table1"):
    (table,) = page.find("table", **{"data-dataset": dataset, "data-table": name})
    names = [header["text"].strip() for header in page.find("th", table, scope="col") if header["within"][-3] is table]
    for row in page.find("tr", table):
        parts = [part for part in page.all if part["tag"] in ("td", "th") and part["within"][-1] is row]
        if parts[0]["text"].strip() == method and len(parts) == len(names):
            return parts[names.index(column)]
    raise AssertionError(f"no row {method}")


@pytest.mark.parametrize(("name", "column", "rows"), [("table1", "50%", 4), ("table2", "Asym. 40%", 2)])
def test_every_measured_number_is_that_of_the_csv(made, page, name, column, rows):
    table = lines(table_file(made[1], name, "csv"))
    assert len(table) == rows
    for line in table:
        cell = cell_of(page, line["dataset"], line["method"], column, name)
        assert (cell["data-value"] or "") == line["mean"]
        (button,) = page.find("button", cell)
        shown = re.sub(r"(, marked)?, details", "", button["text"]).strip()
        if line["mean"]:
            assert shown == f"{float(line['mean']):.2f}" + (f" ± {float(line['std']):.2f}" if line["std"] else "")
        else:
            assert (shown, line["method"]) == ("failed", "EMLC (k=1)")


def test_the_best_and_all_that_cannot_be_told_from_it_are_marked_as_in_the_table(made, page):
    for name in ("table1", "table2"):
        (grid,) = page.find("table", **{"data-table": name, "data-dataset": "UCI digits"})
        marked = [
            button["within"][-1]["data-value"] for button in page.find("button", grid, **{"class": "open marked"})
        ]
        bold = re.findall(r"\*\*([0-9.]+)", table_file(made[1], name, "md").read_text().partition("## ")[2])
        assert [f"{float(value):.2f}" for value in marked] == bold
        table = read_table(table_file(made[1], name, "json"))
        tops = [len(column["top"]) for column in table["paired"]]
        assert [len(marked)] == tops
        assert max(cell["mean"] for cell in table["cells"] if cell["mean"]) in map(float, marked)
        section = page.find("section", **{"aria-labelledby": name})[0]["text"]
        assert "Which differences are real" in section
        assert f"Difference to the best of the column, {table['datasets'][0]['title']}" in section


def test_every_published_number_stands_in_its_cell(page):
    names = {("sym", rate): f"{100 * rate:g}%" for rate in (0.2, 0.5, 0.8, 0.9)} | {("asym", 0.4): "Asym. 40%"}
    for name in ("table1", "table2"):
        cells = read_published(ROOT / "published" / f"{name}.csv")
        for cell in cells:
            column = names.get(cell.noise, "Accuracy")
            place = cell_of(page, cell.dataset, cell.method, column, name)
            (shown,) = page.find("span", place, **{"class": "published"})
            assert float(shown["data-value"]) == cell.mean
            assert shown["text"] == f"{cell.mean:.2f}" + (f" ± {cell.std:.2f}" if cell.std is not None else "")
        (compared,) = page.find("table", **{"class": "compared", "data-table": name})
        assert len(page.rows(compared)) == len(cells) + 1
        for row, cell in zip(page.rows(compared)[1:], cells, strict=True):
            assert row[:2] == [cell.method, cell.dataset]
            assert row[3].split(" ")[0] == f"{cell.mean:.2f}"


def test_data_sets_without_a_run_are_one_folded_line(page):
    folded = page.find("details", **{"class": "not-run-here"})
    lines = [page.find("summary", element)[0]["text"] for element in folded]
    assert lines == [
        "CIFAR-10 and CIFAR-100: not run by this profile; the paper's numbers",
        "Clothing1M: not run by this profile; the paper's numbers",
    ]
    for element in folded:
        assert "open" not in element
        assert "not run" not in element["text"].partition("numbers")[2]
        assert [button for button in page.find("button", element) if "sort" not in button["class"]] == []


def test_the_order_of_methods_stands_first_where_no_number_can_be_judged(page):
    (section,) = page.find("section", **{"aria-labelledby": "table1"})
    (ranks,) = page.find("table", section, **{"class": "ranks"})
    (compared,) = page.find("table", section, **{"class": "compared"})
    assert page.all.index(ranks) < page.all.index(compared)
    within = [parent for parent in compared["within"] if parent["tag"] == "details"]
    assert page.find("summary", within[0])[0]["text"] == (
        "The 66 published numbers, one by one: 4 not comparable, 62 not run"
    )
    assert "None of the 66 published numbers can be judged" in section["text"]


def test_rows_and_columns_are_those_of_the_table(made, page):
    published = read_published(ROOT / "published" / "table1.csv")
    text = as_markdown(read_table(table_file(made[1], "table1", "json")), published).split("## ")[1]
    rows = [[part.strip() for part in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    (grid,) = page.find("table", **{"data-table": "table1", "data-dataset": "UCI digits"})
    head, body = (
        [th["text"].strip() for th in page.find("th", grid, scope=scope) if th["within"][-3] is grid]
        for scope in ("col", "row")
    )
    assert head == rows[0]
    measured = [row for row in rows[1:] if not row[0].startswith("↳")]
    assert body == [row[0] for row in measured]
    assert text.split("\n\n")[1] in [part["text"] for part in page.find("p")]


def test_a_cell_opens_to_its_seeds_and_records(made, page):
    cell = cell_of(page, "UCI digits", "Clean only", "50%")
    (button,) = page.find("button", cell)
    assert button["aria-expanded"] == "false"
    (details,) = page.find("tr", id=button["aria-controls"])
    assert "hidden" in details
    rows = [[part.strip() for part in row] for row in page.rows(page.find("table", details)[0])[1:]]
    assert [row[:3] for row in rows] == [[str(s), f"{x:.2f}", "2 of 2"] for s, x in enumerate(SCORES["clean"])]
    steps = made[0].steps
    for seed, row in enumerate(rows):
        (run,) = [run for run in table_runs(steps.profile, "table1") if run.method == "clean" and run.seed == seed]
        path = steps.run(run).folder / "record.json"
        assert f"results/runs/{path.parent.name}/record.json" in row[-1]
        assert f"sha256 {json.loads(path.read_text())['sha256'][:12]}" in row[-1]


def test_failed_runs_show_their_error_as_text(page):
    (button,) = page.find("button", cell_of(page, "UCI digits", "MLC", "50%"))
    (details,) = page.find("tr", id=button["aria-controls"])
    assert "DivergenceError: <x> & nan" in details["text"]
    assert page.find("x") == []


def test_every_claim_shows_the_verdicts_of_the_ledger(made, page):
    claims = json.loads((made[1].claims().folder / "claims.json").read_text())["claims"]
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
        (path,) = made[0].results.rglob(name)
        (table,) = [table for table in page.find("table") if table.get("data-file") == name]
        with path.open(newline="") as handle:
            assert page.rows(table) == list(csv.reader(handle))
        (link,) = page.find("a", download=name)
        assert base64.b64decode(link["href"].partition("base64,")[2]) == path.read_bytes()
    timing = page.find("section", **{"aria-labelledby": "timing"})[0]["text"]
    assert "Warm-up, <b>medians</b>." in timing
    assert page.find("b") == []
    assert [image["within"][-1]["id"] for image in page.find("img")] == [
        *("fig5", "convergence_table1", "convergence_table2")
    ]
    image, (path,) = page.find("img")[0], made[0].results.rglob("fig5.svg")
    assert base64.b64decode(image["src"].partition("base64,")[2]) == path.read_bytes()
    assert "The meta-objective & its n = 3 seeds." in page.find("figcaption")[0]["text"]


def test_how_to_make_each_piece_again_is_told_of_what_there_is(made, page):
    (section,) = page.find("section", **{"aria-labelledby": "rerun"})
    jobs = made[0]
    pages = jobs.pages
    for command in (
        "snakemake --cores 2 results/tiny/claims.md",
        f"python -m pipelines.timing results/orders/timing/{pages.timing().id}.json",
        f"python -m pipelines.objective results/orders/figures/{pages.figure('fig5').id}.json",
        f"python -m pipelines.curves results/orders/curves/{pages.curves('table2').id}.json",
        f"python -m pipelines.table results/orders/tables/{pages.table('table1').id}.json",
    ):
        assert command in section["text"]
    assert "pipelines.recovery" not in section["text"]
    asked = {
        re.search(r"tiny/(\S+)$", code["text"])[1] for code in page.find("code", section) if "/tiny/" in code["text"]
    }
    in_sight = {name.removeprefix("tiny/") for name in jobs.views}
    assert asked - {"runs/…/record.json"} <= in_sight


def test_the_commands_name_the_profile(tmp_path):
    jobs = page_jobs(tmp_path, configfiles=("config/a b.yaml", "config/c.yaml"))
    write_results(jobs)
    (section,) = Page(write_page(jobs).read_text(encoding="utf-8")).find("section", **{"aria-labelledby": "rerun"})
    call = "snakemake --cores 2 --configfile 'config/a b.yaml' config/c.yaml -- "
    assert section["text"].count(call) == section["text"].count("snakemake --cores 2 ") > 5


def test_a_table_that_the_paper_does_not_have_gets_its_page(tmp_path):
    tables = {"table_own": {"title": "Own labels", "columns": [SYM]}}
    jobs = page_jobs(tmp_path, tables=tables, timing=None, figures={})
    write_results(jobs)
    page = Page(write_page(jobs).read_text(encoding="utf-8"))
    assert page.find("h2", id="table_own")[0]["text"] == "Own labels"
    assert [table["data-dataset"] for table in page.find("table", **{"class": "grid"})] == ["UCI digits"]
    assert "The paper prints no number" in page.find("section", **{"aria-labelledby": "table_own"})[0]["text"]
    assert page.find("span", **{"class": "published"}) == []
    rerun = page.find("section", **{"aria-labelledby": "rerun"})[0]["text"]
    assert "tiny/table_own.md" in rerun
    assert "table1.md" not in rerun


def test_a_renamed_method_keeps_its_records(tmp_path):
    first = page_jobs(tmp_path)
    write_results(first)
    second = page_jobs(tmp_path, methods={**METHODS, "mlc": {**METHODS["mlc"], "label": "MLC (ours)"}})
    write_results(second)
    section = context(second.pages.report())["tables"][0]["sections"][0]
    seeds = {row["method"]: row["cells"][0]["seeds"] for row in section["rows"]}
    assert [len(seeds[method]) for method in ("Cross-Entropy", "MLC (ours)", "MLC")] == [3, 3, 0]
    places = [seed["record"] for seed in seeds["MLC (ours)"]]
    renamed = [run for run in table_runs(first.steps.profile, "table1") if run.method == "mlc"]
    assert places == [f"results/runs/{first.steps.run(run).id}/record.json" for run in renamed]


def test_what_was_not_made_is_said(page):
    assert "not made by this profile" in page.find("p", id="fig1")[0]["text"]
    assert "Not made by this profile." in page.find("section", **{"aria-labelledby": "metagrad"})[0]["text"]


def test_the_summary_counts_what_the_files_say(made, page):
    (summary,) = page.find("section", **{"aria-labelledby": "summary"})
    counts = [
        dict(zip(*[[e["text"] for e in page.find(tag, card)] for tag in ("dt", "dd")], strict=True))
        for card in page.find("dl", summary)
    ]
    for number, name in enumerate(TABLES):
        compared = json.loads((made[1].table(name).folder / f"compare_{name}.json").read_text())
        assert counts[number] == {key: str(value) for key, value in compared["counts"].items()}
    claims = json.loads((made[1].claims().folder / "claims.json").read_text())["claims"]
    for number, side in ((2, "published"), (3, "measured")):
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
    assert write_page(made[0]).read_text(encoding="utf-8") == made[2]


def test_the_papers_own_data_gets_verdicts_and_differences(made):
    content = context(made[1].report())
    section = content["tables"][0]["not_run"][0]
    cell = section["rows"][0]["cells"][0]
    assert (section["own"], cell["measured"], cell["verdict"]["verdict"]) == (True, None, "not run")
    cell["measured"] = {"mean": 85.8, "std": None, "n_seeds": 1, "failed": []}
    cell["difference"] = -1.0
    content["tables"][0]["sections"] = [section]
    assert "Difference -1.00 points" in render(content)


def test_numbers_that_can_be_judged_stand_before_the_order_of_methods(made):
    content = context(made[1].report())
    content["tables"][0]["judged"] = 1
    page = Page(render(content))
    (section,) = page.find("section", **{"aria-labelledby": "table1"})
    (compared,) = page.find("table", section, **{"class": "compared"})
    assert page.all.index(compared) < page.all.index(page.find("table", section, **{"class": "ranks"})[0])
    assert [parent for parent in compared["within"] if parent["tag"] == "details"] == []


def test_missing_or_damaged_files_get_one_clear_line(tmp_path):
    jobs = page_jobs(tmp_path)
    write_results(jobs)
    claims = jobs.pages.claims().folder / "claims.json"
    claims.write_text("{")
    with pytest.raises(SuiteError, match=r"claims\.json was changed; delete .* and start the workflow again"):
        made_by(jobs.pages.report(), make)
    claims.unlink()
    with pytest.raises(SuiteError, match=r"cannot read .*claims\.json"):
        made_by(jobs.pages.report(), make)
    assert not jobs.pages.report().folder.exists()

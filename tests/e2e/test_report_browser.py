"""The page in headless Chromium: no error, no request, sorting and drill-down by mouse and by keyboard.

Needs Chromium (Debian: ``apt-get install chromium``) and the Python package playwright; skipped without them.
"""

import csv
import shutil
from pathlib import Path

import pytest

from pipelines.workflow.runs import all_runs
from tests.pipelines.records import write_run
from tests.pipelines.report_results import TABLES, page_jobs, show, write_page, write_results

playwright = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, e.g. apt-get install chromium")


GRID = "table[data-table='table1'][data-dataset='UCI digits']"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    jobs = page_jobs(tmp_path_factory.mktemp("page"))
    write_results(jobs)
    return write_page(jobs)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Opened:
    """A tab with the page, and what went wrong in it."""

    def __init__(self, tab, address):
        self.tab, self.complaints, self.requests = tab, [], []
        tab.on("console", lambda message: self.complaints.append(message.text))
        tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        tab.on("request", lambda request: self.requests.append(request.url))
        tab.goto(address)


@pytest.fixture
def opened(browser, made):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield Opened(context.new_page(), made.as_uri())
    context.close()


def first_texts(tab, table):
    return tab.eval_on_selector_all(
        f"{table} > tbody > tr:first-child > :first-child", "all => all.map(e => e.innerText)"
    )


def test_it_loads_without_a_complaint_or_a_request(opened, made):
    opened.tab.wait_for_load_state("networkidle")
    assert opened.complaints == []
    assert [address for address in opened.requests if not address.startswith("data:")] == [made.as_uri()]
    assert opened.tab.eval_on_selector_all("img", "all => all.every(e => e.complete && e.naturalWidth > 0)")


def test_sorting_a_column_sorts_its_numbers_and_says_so(opened, made):
    tab, grid = opened.tab, GRID
    with next(made.parents[3].rglob("table1.csv")).open(newline="") as handle:
        scores = {line["method"]: line["mean"] for line in csv.DictReader(handle) if line["noise_type"] == "sym"}
    known = sorted((float(mean), method) for method, mean in scores.items() if mean)
    header = tab.locator(f"{grid} thead th", has_text="50%")
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    found = first_texts(tab, grid)
    assert found[: len(known)] == [method for _, method in known]
    assert "EMLC (k=1)" in found[len(known) :]  # no number: last
    assert tab.inner_text("#said") == "Sorted by 50%, ascending."
    header.locator("button").press("Enter")
    assert header.get_attribute("aria-sort") == "descending"
    assert first_texts(tab, grid)[: len(known)] == [method for _, method in reversed(known)]
    assert "EMLC (k=1)" in first_texts(tab, grid)[len(known) :]
    tab.locator(f"{grid} thead th button").first.click()
    assert header.get_attribute("aria-sort") == "none"
    assert first_texts(tab, grid) == sorted(first_texts(tab, grid), key=str.casefold)
    assert opened.complaints == []


def test_numbers_of_a_file_are_sorted_as_numbers(opened):
    opened.tab.evaluate("document.querySelectorAll('details').forEach(each => (each.open = true))")
    opened.tab.locator("table[data-file='timing.csv'] thead button", has_text="seconds").click()
    assert first_texts(opened.tab, "table[data-file='timing.csv']") == ["EMLC (k=5)", "EMLC (k=1)", "MLC"]


def test_a_cell_opens_and_closes_by_keyboard_and_stays_with_its_row(opened):
    tab, grid = opened.tab, GRID
    button = tab.locator(f"{grid} tbody tr", has_text="Clean only").first.locator("button").first
    details = tab.locator(f"#{button.get_attribute('aria-controls')}")
    assert not details.is_visible()
    button.focus()
    tab.keyboard.press("Enter")
    assert (button.get_attribute("aria-expanded"), details.is_visible()) == ("true", True)
    assert details.locator("table tbody tr").count() == 3
    assert "90.12" in details.inner_text()
    tab.locator(f"{grid} thead button").nth(1).click()
    row = details.evaluate("row => row.closest('tbody').rows[0].cells[0].innerText")
    assert (row, details.is_visible()) == ("Clean only", True)
    button.focus()
    tab.keyboard.press("Escape")
    assert (button.get_attribute("aria-expanded"), details.is_visible()) == ("false", False)


def test_a_link_of_the_summary_opens_its_claim(opened):
    tab = opened.tab
    tab.locator("section", has_text="Sentences").locator("a", has_text="2.16%").first.click()
    details = tab.locator("#claim-gain-at-50-on-cifar-10-details")
    assert details.is_visible()
    assert "= 2.56 == 2.16: no" in details.inner_text()


def test_the_first_tab_stop_skips_the_header(opened):
    opened.tab.keyboard.press("Tab")
    focused = opened.tab.locator(":focus")
    assert focused.inner_text() == "Skip to the summary"
    assert focused.bounding_box()["x"] >= 0
    assert focused.evaluate("link => getComputedStyle(link).outlineStyle") == "solid"
    opened.tab.keyboard.press("Enter")
    assert opened.tab.evaluate("document.activeElement.id") == "summary"


WIDE = [{"dataset": "digits", "noise": "sym", "rate": rate} for rate in (0.2, 0.5, 0.8, 0.9)]


@pytest.mark.parametrize("width", [1280, 1440])
def test_no_cell_of_a_table_is_cut(browser, tmp_path, width):
    """Five columns, as Table 1 has, each with its published number."""
    columns = [*WIDE, {"dataset": "digits", "noise": "asym", "rate": 0.4}]
    jobs = page_jobs(tmp_path, tables={"table1": {**TABLES["table1"], "columns": columns}}, figures={}, timing=None)
    for run in all_runs(jobs.profile):
        write_run(jobs.steps, run, [10.0, 81.23 + run.seed])
    show(jobs)
    context = browser.new_context(viewport={"width": width, "height": 900})
    tab = context.new_page()
    tab.goto(write_page(jobs).as_uri())
    tab.evaluate("document.querySelectorAll('details').forEach(each => (each.open = true))")
    hidden = tab.eval_on_selector_all(
        "table.grid", "all => all.map(e => e.scrollWidth - e.closest('.scroll').clientWidth)"
    )
    assert len(hidden) == 3
    assert max(hidden) <= 0
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_text_stands_out(browser, made, scheme):
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme)
    tab = context.new_page()
    tab.goto(made.as_uri())
    tab.evaluate("document.querySelectorAll('[hidden]').forEach(each => (each.hidden = false))")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    names = ["--ink", "--quiet", "--link", "--good", "--bad", "--open", "--focus"]
    for ground in ("--ground", "--panel"):
        for name in names:
            assert contrast(colour(tab, name), colour(tab, ground)) >= 4.5, (scheme, name, ground)
    shown = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert shown == f"rgb({', '.join(str(part) for part in colour(tab, '--ground'))})"
    context.close()


def colour(tab, name):
    text = tab.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('{name}')").strip()
    return tuple(int(text[place : place + 2], 16) for place in (1, 3, 5))


def contrast(first, second):
    """Contrast ratio of the Web Content Accessibility Guidelines."""

    def luminance(channels):
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in channels)
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)

"""Judge every claim of the paper: on the numbers that the paper prints, and on those that were measured.

``python -m pipelines.claims --table results/table1.json --measured results/timing.csv results/figures/fig5.csv
--md results/claims.md --json results/claims.json``
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from emlc.judging.cells import Cell, read_published
from emlc.judging.ledger.claims import UNKNOWN, Claim, Finding, Ledger, judge, judge_remark
from emlc.judging.ledger.evidence import (
    Functions,
    defects_function,
    elsewhere_function,
    file_functions,
    no_numbers,
    on_dataset,
    table_functions,
)
from emlc.judging.ledger.reading import read_ledger
from emlc.judging.provenance import read_provenance
from emlc.records.artefacts import write_json, write_text
from emlc.records.errors import SuiteError
from pipelines.machine.cli import Parser, run
from pipelines.page.claims import as_markdown, summary
from pipelines.profile.settings import ROOT
from pipelines.table import read_table

NOT_PRINTED = "no number printed"
"""The verdict of the paper's own numbers where it prints none."""

PUBLISHED = ROOT / "published"

NOT_TO_MEASURE = no_numbers(["defects"], "a claim about the paper's own numbers, which no record decides")


class Numbers:
    """Everything that claims are judged on: the paper's numbers, a measured table and files of other numbers.

    Parameters
    ----------
    published : Path
        Folder with ``table1.csv``, ``table2.csv``, ``elsewhere.csv``, ``timing.csv`` and ``provenance.yaml``.
    table : dict
        From :func:`pipelines.table.read_table`.
    measured : mapping of str to Path
        The files of other measured numbers by their names, e.g. ``timing.csv``, ``figures/fig1.csv``.

    Raises
    ------
    SuiteError
        If a published file cannot be read.
    """

    def __init__(self, published: Path, table: Mapping[str, Any], measured: Mapping[str, Path]) -> None:
        self.printed = read_published(published / "table1.csv") + read_published(published / "table2.csv")
        self.table = table
        printed = by_name(published.glob("*.csv"), published)
        self.paper_files = file_functions(printed, "the paper prints no number of this kind")
        self.own_files = file_functions(measured, "{file} was not made")
        self.elsewhere = elsewhere_function(read_published(published / "elsewhere.csv"))
        self.defects = defects_function(read_provenance(published / "provenance.yaml"), self.printed)
        with_mean = {cell["dataset"] for cell in table["cells"] if cell["mean"] is not None}
        self.datasets = [dataset["title"] for dataset in table["datasets"] if dataset["title"] in with_mean]

    @property
    def other_datasets(self) -> list[str]:
        """Measured datasets for which the paper prints nothing."""
        known = {cell.dataset_key for cell in self.printed}
        return [title for title in self.datasets if Cell("", title).dataset_key not in known]

    def of_the_paper(self) -> Functions:
        """What expressions read on the published side."""
        return {**table_functions(self.printed, self.printed), **self.paper_files, **self.elsewhere, **self.defects}

    def measured(self, claim: Claim, seed: int | None = None) -> Functions:
        """What they read on the measured side, the mean over seeds or one of them."""
        there = not claim.dataset or claim.dataset in self.datasets
        files = self.own_files if there else no_numbers(self.own_files, f"nothing was run on {claim.dataset}")
        return {**table_functions(self._cells(seed), self.printed), **files, **self.elsewhere, **NOT_TO_MEASURE}

    def transferred(self, dataset: str, seed: int | None = None) -> Functions:
        """What they read where another measured dataset stands in for the paper's."""
        cells = on_dataset(self._cells(seed), dataset, self.printed)
        tables = table_functions(cells, self.printed, dataset)
        return {**tables, **self.own_files, **self.elsewhere, **NOT_TO_MEASURE}

    def _cells(self, seed: int | None) -> list[Cell]:
        return [
            Cell(cell["method"], cell["dataset"], cell["noise_type"], cell["noise_rate"], *self._scores(cell, seed))
            for cell in self.table["cells"]
        ]

    def _scores(self, cell: Mapping[str, Any], seed: int | None) -> tuple[float | None, float | None]:
        if seed is None:
            return cell["mean"], cell["std"]
        complete = len(cell["accuracies"]) == len(self.table["seeds"])
        return (cell["accuracies"][self.table["seeds"].index(seed)] if complete else None), None


def by_name(files: Iterable[Path], folder: Path) -> dict[str, Path]:
    """Return files by their names below a folder, e.g. ``figures/fig1.csv``.

    Raises
    ------
    SuiteError
        If one lies elsewhere.
    """
    try:
        return {path.absolute().relative_to(folder.absolute()).as_posix(): path for path in files}
    except ValueError as error:
        raise SuiteError(f"{error}: a file of results is known by its name below the folder of results") from None


def judge_all(ledger: Ledger, numbers: Numbers) -> list[dict[str, Any]]:
    """Return every claim with its verdicts, as plain data.

    Raises
    ------
    SuiteError
        If an expression names what the paper does not have; names the claim.
    """
    return [_entry(claim, ledger, numbers) for claim in ledger.claims]


def _entry(claim: Claim, ledger: Ledger, numbers: Numbers) -> dict[str, Any]:
    return {
        "id": claim.id,
        "quotes": [asdict(quote) for quote in claim.quotes],
        "asserts": claim.main.asserts,
        "expression": claim.main.expression,
        "evidence": claim.evidence,
        "published": _printed(judge(claim, ledger.groups, numbers.of_the_paper())),
        "measured": _on_seeds(claim, ledger, numbers, partial(numbers.measured, claim)),
        "transferred": [
            {"dataset": dataset, **_on_seeds(claim, ledger, numbers, partial(numbers.transferred, dataset))}
            for dataset in (numbers.other_datasets if claim.transfers else [])
        ],
        "remarks": [
            {"asserts": remark.asserts, **_printed(judge_remark(claim, remark, ledger, numbers.of_the_paper()))}
            for remark in claim.remarks
        ],
    }


def _printed(finding: Finding) -> dict[str, Any]:
    found = asdict(finding)
    return found | {"verdict": NOT_PRINTED if finding.verdict == UNKNOWN else finding.verdict}


def _on_seeds(claim: Claim, ledger: Ledger, numbers: Numbers, functions: Any) -> dict[str, Any]:
    """Judge the means over seeds and, for claims about tables, every seed on its own."""
    finding = judge(claim, ledger.groups, functions())
    seeds = numbers.table["seeds"] if claim.evidence == "table" and finding.verdict != UNKNOWN else []
    alone = [judge(claim, ledger.groups, functions(seed)).verdict for seed in seeds]
    return asdict(finding) | {"seeds": len(alone), "seeds_agreeing": alone.count(finding.verdict)}


def main(argv: Sequence[str]) -> int:
    """Run the step."""
    parser = Parser("pipelines.claims", description="Judge every claim of the paper on printed and measured numbers.")
    parser.add_argument("--ledger", type=Path, default=PUBLISHED / "claims.yaml", help="the claims")
    parser.add_argument("--published", type=Path, default=PUBLISHED, help="folder of the paper's numbers")
    parser.add_argument("--table", type=Path, required=True, help="measured table in JSON (pipelines.aggregate)")
    parser.add_argument(
        "--results", type=Path, help="folder that the other measured files lie in (default: the table's)"
    )
    parser.add_argument("--measured", type=Path, nargs="*", default=[], help="these files; no other one is looked at")
    parser.add_argument("--md", type=Path, required=True, help="Markdown page to write")
    parser.add_argument("--json", type=Path, required=True, help="the same as data")
    args = parser.parse_args(argv)
    measured = by_name(args.measured, args.results or args.table.parent)
    numbers = Numbers(args.published, read_table(args.table), measured)
    claims = judge_all(read_ledger(args.ledger), numbers)
    write_json(args.json, {"datasets": numbers.datasets, "claims": claims})
    write_text(args.md, as_markdown(claims, numbers.datasets))
    print(summary(claims))
    return 0


if __name__ == "__main__":
    run(main)

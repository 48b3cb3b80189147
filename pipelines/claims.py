"""Judge every claim of the paper: on the numbers that the paper prints, and on those that were measured."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from emlc.judging.ledger.claims import UNKNOWN, Claim, Finding, Ledger, judge, judge_remark
from emlc.judging.ledger.evidence import Functions
from emlc.judging.ledger.reading import read_ledger
from emlc.records.artefacts import write_json, write_text
from emlc.records.store import Order
from pipelines.evidence.measured import measured
from pipelines.evidence.numbers import Numbers, read_paper
from pipelines.machine.work import work
from pipelines.page.claims import as_markdown
from pipelines.profile.places import PUBLISHED

NOT_PRINTED = "no number printed"
"""The verdict of the paper's own numbers where it prints none."""


def judge_all(ledger: Ledger, numbers: Numbers) -> list[dict[str, Any]]:
    """Return every claim with its verdicts, as plain data.

    Raises
    ------
    SuiteError
        If an expression names what the paper does not have; names the claim.
    """
    return [_entry(claim, ledger, numbers) for claim in ledger.claims]


def _entry(claim: Claim, ledger: Ledger, numbers: Numbers) -> dict[str, Any]:
    printed = numbers.of_the_paper()
    return {
        "id": claim.id,
        "quotes": [asdict(quote) for quote in claim.quotes],
        "asserts": claim.main.asserts,
        "expression": claim.main.expression,
        "evidence": claim.evidence,
        "published": _printed(judge(claim, ledger.groups, printed)),
        "measured": _on_seeds(claim, ledger, numbers.seeds, partial(numbers.measured, claim)),
        "transferred": [
            {"dataset": other.title, **_on_seeds(claim, ledger, numbers.seeds, partial(numbers.transferred, other))}
            for other in numbers.stand_ins(claim, ledger.groups)
        ],
        "remarks": [
            {"asserts": remark.asserts, **_printed(judge_remark(claim, remark, ledger, printed))}
            for remark in claim.remarks
        ],
    }


def _printed(finding: Finding) -> dict[str, Any]:
    found = asdict(finding)
    return found | {"verdict": NOT_PRINTED if finding.verdict == UNKNOWN else finding.verdict}


def _on_seeds(
    claim: Claim, ledger: Ledger, seeds: list[int], functions: Callable[[int | None], Functions]
) -> dict[str, Any]:
    """Judge the means over seeds and, for claims about tables, every seed of the table on its own."""
    finding = judge(claim, ledger.groups, functions(None))
    each = seeds if claim.evidence == "table" and finding.verdict != UNKNOWN else []
    verdicts = [judge(claim, ledger.groups, functions(seed)).verdict for seed in each]
    alone = [verdict for verdict in verdicts if verdict != UNKNOWN]
    agreement = {"seeds": len(alone), "seeds_agreeing": alone.count(finding.verdict)}
    return asdict(finding) | agreement | {"paired": finding.paired, "real": finding.real}


def make(order: Order, folder: Path) -> None:
    """Make the verdicts on the claims."""
    numbers = Numbers(read_paper(PUBLISHED), measured(order))
    claims = judge_all(read_ledger(PUBLISHED / "claims.yaml"), numbers)
    write_json(folder / "claims.json", {"datasets": numbers.datasets, "claims": claims})
    write_text(folder / "claims.md", as_markdown(claims, numbers.datasets))


if __name__ == "__main__":
    work("pipelines.claims", __doc__, "claims", make)

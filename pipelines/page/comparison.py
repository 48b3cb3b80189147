"""The comparison with the paper as a Markdown page: verdicts, rank agreement, known defects, and the rule."""

from collections.abc import Mapping, Sequence

from tabulate import tabulate

from emlc.judging.cells import Cell, noise_name
from emlc.judging.comparison import Comparison, RankAgreement, Row
from emlc.judging.provenance import Absence, Defect
from emlc.judging.verdicts import NOT_RUN, RULE, VERDICTS

RANKS = """\
Kendall's tau-b between measured and published means over the methods that both have (1: same order, -1: reversed);
p is the probability of a tau at least as far from 0 if the two orders had nothing to do with each other. A column that
was not measured on its own dataset is compared with those of the same noise on other datasets. Published numbers that
are not comparable stay out."""


def summary(comparison: Comparison) -> str:
    """Return the counts per verdict in one line."""
    counts = ", ".join(f"{comparison.counts[verdict]} {verdict}" for verdict in VERDICTS)
    return f"{len(comparison.rows)} published cells: {counts} (tolerance {comparison.tolerance:g} accuracy points)"


def as_markdown(comparison: Comparison, title: str, absences: Sequence[Absence] = ()) -> str:
    """Return the comparison, and what the published table leaves out, as a Markdown page."""
    parts = [f"# {title}", f"**{summary(comparison)}.**", "## Cells", _cell_table(comparison.rows), "## Rank agreement"]
    parts += [RANKS, _rank_table(comparison.ranks) if comparison.ranks else "No method of the paper has been measured."]
    if comparison.unpublished:
        parts += ["## Not in the paper", _unpublished_table(comparison.unpublished)]
    if any(row.defect for row in comparison.rows):
        parts += ["## Known defects of the published numbers", _defect_table(comparison.rows)]
    if absences:
        parts += ["## Not in the published table", _absence_table(absences)]
    return "\n\n".join([*parts, "## How the verdict is made", RULE]) + "\n"


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    safe = [{name: text.replace("|", "\\|").replace("\n", " ") for name, text in row.items()} for row in rows]
    return tabulate(safe, headers="keys", tablefmt="pipe", disable_numparse=True)


def _cell_table(rows: Sequence[Row]) -> str:
    return _table(
        [
            {
                "Method": row.published.method,
                "Dataset": row.published.dataset,
                "Noise": _noise(row.published),
                "Published": _accuracy(row.published),
                "Measured": "; ".join(_beside(cell, row.published) for cell in row.measured if cell.mean is not None),
                "Difference": "" if row.judgement.difference is None else f"{row.judgement.difference:+.2f}",
                "Verdict": _verdict(row),
                "Why": row.judgement.why,
            }
            for row in rows
        ]
    )


def _rank_table(ranks: Sequence[RankAgreement]) -> str:
    return _table(
        [
            {
                "Noise": _noise(rank),
                "Published": rank.published_dataset,
                "Measured": rank.measured_dataset,
                "Kendall's tau": "undefined" if rank.tau is None else f"{rank.tau:.2f}",
                "p": "" if rank.p_value is None else f"{rank.p_value:.3f}",
                "n": str(len(rank.methods)),
                "Methods": ", ".join(rank.methods),
            }
            for rank in ranks
        ]
    )


def _unpublished_table(cells: Sequence[Cell]) -> str:
    return _table(
        [
            {
                "Method": cell.method,
                "Dataset": cell.dataset,
                "Noise": _noise(cell),
                "Measured": _accuracy(cell),
            }
            for cell in cells
        ]
    )


def _defect_table(rows: Sequence[Row]) -> str:
    covered: dict[Defect, list[Cell]] = {}
    for row in rows:
        if row.defect is not None:
            covered.setdefault(row.defect, []).append(row.published)
    return _table(
        [
            {
                "Method": defect.method,
                "Dataset": defect.dataset,
                "Noise": ", ".join(_noise(cell) for cell in cells),
                "Defect": ", ".join(defect.names),
                "Clean labels": "" if defect.clean_labels is None else f"{defect.clean_labels:,}",
                "Evidence": defect.evidence,
                "What is known": defect.explanation,
            }
            for defect, cells in covered.items()
        ]
    )


def _absence_table(absences: Sequence[Absence]) -> str:
    return _table(
        [
            {
                "Method": absence.method,
                "Dataset": ", ".join(absence.datasets),
                "Evidence": absence.evidence,
                "What is known": absence.explanation,
            }
            for absence in absences
        ]
    )


def _verdict(row: Row) -> str:
    judgement = row.judgement
    return judgement.verdict if judgement.verdict == NOT_RUN else f"{judgement.verdict} ({judgement.reason})"


def _beside(cell: Cell, published: Cell) -> str:
    other = "" if cell.dataset_key == published.dataset_key else f" on {cell.dataset}"
    return _accuracy(cell) + other


def _accuracy(cell: Cell) -> str:
    """Return mean ± std (n), as far as they are known."""
    spread = "" if cell.std is None else f" ± {cell.std:.2f}"
    return f"{cell.mean:.2f}{spread}" + ("" if cell.n_seeds is None else f" (n={cell.n_seeds})")


def _noise(place: Cell | RankAgreement) -> str:
    return noise_name(place.noise_type, place.noise_rate) or "as collected"

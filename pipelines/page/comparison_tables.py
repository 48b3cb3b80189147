"""The tables of the comparison page, as Markdown."""

from collections.abc import Mapping, Sequence

from tabulate import tabulate

from emlc.judging.cells import Cell, noise_name
from emlc.judging.comparison import RankAgreement, Row, Unmatched
from emlc.judging.provenance import Absence, Defect
from emlc.judging.verdicts import NOT_RUN


def unmatched_list(names: Sequence[Unmatched]) -> str:
    """Return the names that the published table lacks, each with the nearest that it has."""
    axes = {"method": "method", "dataset": "data set", "noise_type": "noise"}
    lines = []
    for found in names:
        nearest = "" if found.nearest is None else f" (nearest: `{found.nearest}`)"
        lines.append(f"- {axes[found.axis]} `{found.name}`{nearest}")
    return "\n".join(lines)


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    safe = [{name: text.replace("|", "\\|").replace("\n", " ") for name, text in row.items()} for row in rows]
    return tabulate(safe, headers="keys", tablefmt="pipe", disable_numparse=True)


def cell_table(rows: Sequence[Row]) -> str:
    """Return every published cell with its verdict."""
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


def rank_table(ranks: Sequence[RankAgreement]) -> str:
    """Return how far the orders of the methods agree, by column."""
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


def unpublished_table(cells: Sequence[Cell]) -> str:
    """Return the measured cells for which the paper has no number."""
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


def defect_table(rows: Sequence[Row]) -> str:
    """Return what is known to be wrong with published numbers, each defect once with its cells."""
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


def absence_table(absences: Sequence[Absence]) -> str:
    """Return what a published table leaves out."""
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
    if cell.dataset_key == published.dataset_key:
        return _accuracy(cell)
    noise = "" if cell.noise == published.noise else f", {_noise(cell)}"
    return f"{_accuracy(cell)} on {cell.dataset}{noise}"


def _accuracy(cell: Cell) -> str:
    """Return mean ± std (n), as far as they are known."""
    spread = "" if cell.std is None else f" ± {cell.std:.2f}"
    return f"{cell.mean:.2f}{spread}" + ("" if cell.n_seeds is None else f" (n={cell.n_seeds})")


def _noise(place: Cell | RankAgreement) -> str:
    return noise_name(place.noise_type, place.noise_rate) or "as collected"

"""The claim ledger as a Markdown page."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from emlc.judging.ledger.claims import EVIDENCE, HOLDS, UNKNOWN

MARK = {True: "yes", False: "no", None: "unknown"}
MOST_STEPS = 4
Entry = Mapping[str, Any]

READING = """\
Each sentence is an expression over cells, times, figures or records (`published/claims.yaml`). *Published*: the verdict
of the numbers that the paper prints, with no number of ours. *Measured*: the verdict of this suite's own records on the
data set that the sentence is about. Where the sentence compares methods, it is also judged on measured data sets that
the paper does not have: such a line says so and decides nothing about the paper's own data. The verdict compares means
over seeds. Behind it stands how many seeds, each taken alone, come to the same, and how many of its differences between
two methods are real: paired over seeds, p below 5 % after a correction for the comparisons of the claim (Benjamini and
Hochberg). A claim whose differences are not real rests on chance as much as on the methods."""


def summary(claims: Sequence[Entry]) -> str:
    """Return the counts per verdict in one line."""
    counts = [Counter(entry[side]["verdict"] for entry in claims) for side in ("published", "measured")]
    texts = [", ".join(f"{number} {verdict}" for verdict, number in sorted(count.items())) for count in counts]
    return f"{len(claims)} claims: published numbers: {texts[0]}; measured records: {texts[1]}"


def said_in(quote: Entry) -> str:
    """Return where the paper says something, in words: ``section 4.1``, ``abstract``, ``Table 1``."""
    return f"section {quote['section']}" if quote["section"][0].isdigit() else quote["section"]


def as_markdown(claims: Sequence[Entry], datasets: Sequence[str]) -> str:
    """Return the page: an overview, then every claim with the numbers that decided it."""
    about = f"Measured data sets: {', '.join(datasets) or 'none'}."
    parts = ["# The paper's claims", f"**{summary(claims)}.**", READING, about, "## Overview", _overview(claims)]
    return "\n\n".join([*parts, "## One by one", *(_section(entry) for entry in claims)]) + "\n"


def verdict_text(finding: Entry) -> str:
    """Return a verdict with the members it holds for, how many seeds agree and how many differences are real."""
    text = finding["verdict"] + (f"; it holds for {' and '.join(finding['only'])} only" if finding["only"] else "")
    notes = []
    if finding.get("seeds"):
        notes.append(f"{finding['seeds_agreeing']} of {finding['seeds']} seeds alone say the same")
    if finding.get("paired"):
        notes.append(f"{finding['real']} of {finding['paired']} differences are real")
    return f"{text} ({'; '.join(notes)})" if notes else text


def deciding_steps(finding: Entry) -> list[Entry]:
    """Return the comparisons to show: those against a claim that fails, else all, a handful at most."""
    against = [step for step in finding["steps"] if step["holds"] is not True]
    return list(finding["steps"] if finding["verdict"] == HOLDS else against or finding["steps"])


def _overview(claims: Sequence[Entry]) -> str:
    rows = [
        {
            "Claim": f"[{entry['id']}](#{entry['id']})",
            "Where": ", ".join(map(said_in, entry["quotes"])),
            "It says": entry["asserts"],
            "Published": verdict_text(entry["published"]),
            "Measured": verdict_text(entry["measured"]),
            "On other data": "; ".join(f"{item['dataset']}: {verdict_text(item)}" for item in entry["transferred"]),
        }
        for entry in claims
    ]
    safe = [{key: text.replace("|", "\\|") for key, text in row.items()} for row in rows]
    return tabulate(safe, headers="keys", tablefmt="pipe", disable_numparse=True)


def _section(entry: Entry) -> str:
    lines = [f"### {entry['id']}", *(f"> {quote['text']} ({said_in(quote)})" for quote in entry["quotes"])]
    lines += [f"{entry['asserts']} Decided by {EVIDENCE[entry['evidence']]}: `{entry['expression'].strip()}`."]
    lines += [_finding("Published", entry["published"]), _finding("Measured", entry["measured"])]
    lines += [_finding(f"On {item['dataset']}, not the paper's data", item) for item in entry["transferred"]]
    lines += [_finding(f"Remark: {remark['asserts']}", remark) for remark in entry["remarks"]]
    return "\n\n".join(lines)


def _finding(title: str, finding: Entry) -> str:
    steps = deciding_steps(finding)
    shown = [f"- {step['text']}: {MARK[step['holds']]}" for step in steps[:MOST_STEPS]]
    if finding["verdict"] == UNKNOWN:
        shown = shown[:1]
    elif len(steps) > MOST_STEPS:
        shown.append(f"- and {len(steps) - MOST_STEPS} more")
    return "\n".join([f"**{title}: {verdict_text(finding)}.**", "", *shown])

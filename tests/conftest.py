"""What holds for every test."""

import os
from collections import Counter

# Networks of tests are tiny, and several tests run beside each other: more threads than cores wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_terminal_summary(terminalreporter):
    """Print what the scenarios of tests/chaos have seen, in whichever processes they ran."""
    ended = [report for reports in terminalreporter.stats.values() for report in reports if hasattr(report, "when")]
    properties = [dict(report.user_properties) for report in ended if report.when == "teardown"]
    told = [dict(each["chaos"]) for each in properties if "chaos" in each]
    if told:
        scenarios = {seen.pop("scenario") for seen in told}
        total = sum(map(Counter, told), start=Counter())
        terminalreporter.write_line(
            f"chaos: {len(scenarios)} scenarios, {total['kills']} kills at random moments, "
            f"{total['lost']} lost records, {total['tables']} tables compared, {total['differing']} differing, "
            f"{total['mutants']} mutated files"
        )

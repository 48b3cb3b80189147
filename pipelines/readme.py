"""Show the embedded profile's Table 1, figure and time, as last made, in the README; works in the root folder."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emlc.records.artefacts import atomic_path, read_json
from emlc.records.errors import SuiteError
from pipelines.machine.cli import Parser, run
from pipelines.planning.hours import SPEED, TABLE_TIME, table_time

BEGIN, END = "<!-- table 1, by python -m pipelines.readme -->", "<!-- end of table 1 -->"
TIME_BEGIN, TIME_END = "<!-- time, by python -m pipelines.readme -->", "<!-- end of time -->"
PAGE, FIGURE = (Path("results/embedded") / name for name in ("table1.md", "figures/convergence_table1.png"))


def with_table(readme: str, page: str) -> str:
    """Return `readme` with the first table of `page` between its two markers."""
    table = page.partition("\n|")[2].partition("\n\n")[0].rstrip()
    return _between(readme, BEGIN, END, f"|{table}\n\n")


def with_time(readme: str, time: Mapping[str, Any] | None) -> str:
    """Return `readme` with what :func:`pipelines.planning.hours.table_time` found between its two markers."""
    return _between(readme, TIME_BEGIN, TIME_END, f"{sentence(time)}\n\n" if time else "")


def _between(readme: str, begin: str, end: str, text: str) -> str:
    if not 0 <= readme.find(begin) < readme.find(end):
        raise SuiteError(f"README.md lacks its markers; put {begin} above what they enclose and {end} below")
    return f"{readme.partition(begin)[0]}{begin}\n\n{text}{end}{readme.partition(end)[2]}"


def sentence(time: Mapping[str, Any]) -> str:
    """Return how long the table took, and on how fast a machine, in words."""
    minutes, per_run = time["seconds"] / 60, time["seconds"] / time["runs"]
    return (
        f"`make table1` trained its {time['runs']} runs in {minutes:.1f} minutes on {time['cores']} cores, pages\n"
        f"and all else included: {per_run:.2f} s a run, where the reference loop that it times first takes\n"
        f"{time['reference_seconds']:.2f} s on one core. Elsewhere it takes in proportion; `python -m pipelines.plan` "
        "says how long."
    )


def main(argv: Sequence[str]) -> int:
    """Run the step."""
    parser = Parser("pipelines.readme", description=__doc__)
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; status 1 if results of a machine that rounds like this one are other",
    )
    args = parser.parse_args(argv)
    readme, image = Path("README.md"), Path("docs/images/convergence.png")
    # A check is no measurement: another machine's time is as good.
    time = _known() if args.check else table_time(SPEED) or _known()
    try:
        text = with_table(readme.read_text(encoding="utf-8"), PAGE.read_text(encoding="utf-8"))
        made = {readme: with_time(text, time).encode(), image: FIGURE.read_bytes()}
    except OSError as error:
        raise SuiteError(f"cannot read {error.filename}: {error.strerror}; make table1 makes the results") from error
    if time:
        made[TABLE_TIME] = (json.dumps(time, indent=1, sort_keys=True) + "\n").encode()
    stale = [path for path, content in made.items() if not path.exists() or path.read_bytes() != content]
    if args.check and stale and _rounds_otherwise(time):
        print("README.md's table is not known to come from a machine that rounds like this one; they are not compared")
        return 0
    if args.check and stale:
        print(f"not as in results/: {', '.join(map(str, stale))}; run make readme")
        return 1
    for path in stale:
        with atomic_path(path) as temporary:
            temporary.write_bytes(made[path])
    return 0


def _rounds_otherwise(shown: Mapping[str, Any] | None) -> bool:
    here = read_json(SPEED) if SPEED.exists() else {}
    return bool(here) and here["rounding"] != (shown or {}).get("rounding")


def _known() -> dict[str, Any] | None:
    return read_json(TABLE_TIME) if TABLE_TIME.exists() else None


if __name__ == "__main__":
    run(main)

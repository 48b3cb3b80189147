"""Show the embedded profile's Table 1 and convergence figure, as last made, in the README; works in the root folder."""

from collections.abc import Sequence
from pathlib import Path

from emlc.records.artefacts import atomic_path
from emlc.records.errors import SuiteError
from pipelines.machine.cli import Parser, run

BEGIN, END = "<!-- table 1, by python -m pipelines.readme -->", "<!-- end of table 1 -->"
PAGE, FIGURE = (Path("results/embedded") / name for name in ("table1.md", "figures/convergence_table1.png"))


def with_table(readme: str, page: str) -> str:
    """Return `readme` with the first table of `page` between its two markers."""
    if not 0 <= readme.find(BEGIN) < readme.find(END):
        raise SuiteError(f"README.md lacks its markers; put {BEGIN} above the table and {END} below")
    table = page.partition("\n|")[2].partition("\n\n")[0].rstrip()
    return f"{readme.partition(BEGIN)[0]}{BEGIN}\n\n|{table}\n\n{END}{readme.partition(END)[2]}"


def main(argv: Sequence[str]) -> int:
    """Run the step."""
    parser = Parser("pipelines.readme", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if other results are shown")
    args = parser.parse_args(argv)
    readme, image = Path("README.md"), Path("docs/images/convergence.png")
    try:
        text = with_table(readme.read_text(encoding="utf-8"), PAGE.read_text(encoding="utf-8"))
        made = {readme: text.encode(), image: FIGURE.read_bytes()}
        stale = [path for path, content in made.items() if path.read_bytes() != content]
    except OSError as error:
        raise SuiteError(f"cannot read {error.filename}: {error.strerror}; make table1 makes the results") from error
    if args.check and stale:
        print(f"not as in results/: {', '.join(map(str, stale))}; run make readme")
        return 1
    for path in stale:
        with atomic_path(path) as temporary:
            temporary.write_bytes(made[path])
    return 0


if __name__ == "__main__":
    run(main)

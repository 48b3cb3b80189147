"""The environment that the workflow's commands run in."""

import os
import sys
from pathlib import Path


def use_this_interpreter() -> None:
    """Let `python` in a rule be the interpreter that runs Snakemake, whether or not its environment is activated."""
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

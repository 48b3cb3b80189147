"""What every step's command line shares: one line per mistake, exit status 2, no traceback for users."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from emlc.records.errors import SuiteError
from pipelines.machine.torchrun import rank

BAD_INPUT = 2


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, like every other error of the suite."""

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with status 2."""
        self.exit(BAD_INPUT, f"error: {message} (see python -m {self.prog} --help)\n")


def at_least(least: int) -> Callable[[str], int]:
    """Return an argument type: whole numbers from `least` on."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        return value

    number.__name__ = "whole number"  # what argparse calls it
    return number


def run(main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Run a step's `main` on the command line arguments and exit with its status.

    A :class:`~emlc.records.errors.SuiteError` becomes ``error: ...`` on standard error and exit status 2.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        status = main(sys.argv[1:])
    except SuiteError as error:
        teller = f"process {rank()}: " if rank() else ""
        print(f"{teller}error: {error}", file=sys.stderr)
        status = BAD_INPUT
    sys.exit(status)

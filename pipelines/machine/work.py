"""The command line of a step: an order in, the artefact that it asks for into the store."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from emlc.records.errors import SuiteError
from emlc.records.store import Order, filling, read_order, sound, touch
from pipelines.machine.cli import Parser, run

Maker = Callable[[Order, Path], None]
"""Makes what an order asks for in an empty folder."""


def work(module: str, doc: str | None, kind: str, make: Maker) -> NoReturn:
    """Run a step that makes a kind of artefact on the order that the command line names.

    What lies in the store already, whole and unchanged, is not made again.
    """

    def main(argv: Sequence[str]) -> int:
        fulfil(order_of(module, doc, kind, argv), make)
        return 0

    run(main)


def order_of(module: str, doc: str | None, kind: str, argv: Sequence[str]) -> Order:
    """Return the order that a step's command line names.

    Raises
    ------
    SuiteError
        If it cannot be read, was edited or is for another kind of artefact.
    """
    parser = Parser(module, description=doc)
    parser.add_argument("order", type=Path, help="<results>/orders/<kind>/<id>.json (pipelines.plan --orders)")
    path = parser.parse_args(argv).order
    order = read_order(path)
    if order.kind != kind:
        raise SuiteError(f"{path} is an order for {order.kind}, and this step makes {kind}")
    return order


def fulfil(order: Order, make: Maker) -> None:
    """Make what an order asks for unless it is there."""
    if sound(order):
        touch(order)
        return
    with filling(order) as folder:
        make(order, folder)

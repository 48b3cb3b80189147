"""What an expression comes to, and the comparisons with their numbers that decided it."""

import ast
import inspect
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from emlc.judging.ledger.logic import FUNCTIONS, THREE_VALUED, MissingNumberError, all_of, any_of
from emlc.judging.ledger.steps import Outcome, Reading, Step, compared
from emlc.judging.ledger.syntax import ARITHMETIC, COMPARISONS, short
from emlc.records.errors import SuiteError

_APPLY: dict[str, Callable[[Any, Any], Any]] = {
    **{"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv},
    **{">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "==": operator.eq, "!=": operator.ne},
}
Scope = Mapping[str, Any]


def evaluate(tree: ast.expr, names: Mapping[str, Any]) -> Outcome:
    """Evaluate a parsed expression.

    A comparison whose numbers are not all there is unknown; ``and``, ``or``, ``all`` and ``any`` follow Kleene's logic
    and look at all their parts, so that every number shows.

    Parameters
    ----------
    tree : ast.expr
        From :func:`emlc.judging.ledger.syntax.parse`.
    names : mapping of str to Any
        What names stand for: numbers, texts, sequences of them, and functions. A function may return a
        :class:`Reading` and may raise :class:`~emlc.judging.ledger.logic.MissingNumberError`.

    Raises
    ------
    SuiteError
        If a name is unknown, a call does not fit its function, an operand is of the wrong kind, or the whole is
        neither true nor false.
    """
    evaluator = _Evaluator({**FUNCTIONS, **names})
    try:
        result = evaluator.truth(tree, {})
    except MissingNumberError as error:
        raise SuiteError(f"{short(ast.unparse(tree))} uses a number outside of a comparison ({error})") from None
    return Outcome(result, tuple(evaluator.steps))


@dataclass(frozen=True)
class _Term:
    value: Any
    text: str
    by_seed: Mapping[str, float] = field(default_factory=dict)


class _Evaluator:
    """Walks the tree; one method per kind of node, called after it."""

    def __init__(self, names: Scope) -> None:
        self.names = names
        self.steps: list[Step] = []

    def truth(self, node: ast.expr, scope: Scope) -> bool | None:
        value = self._term(node, scope).value
        if value is not None and not isinstance(value, bool):
            raise SuiteError(f"{short(ast.unparse(node))} is neither true nor false; compare it with something")
        return value

    def _term(self, node: ast.expr, scope: Scope) -> _Term:
        return getattr(self, f"_{type(node).__name__.lower()}")(node, scope)

    def _constant(self, node: ast.Constant, scope: Scope) -> _Term:
        return _Term(node.value, str(node.value))

    def _name(self, node: ast.Name, scope: Scope) -> _Term:
        known = {**self.names, **scope}
        if node.id not in known:
            raise SuiteError(f"unknown name {node.id!r}; known: {', '.join(sorted(known))}")
        return _Term(known[node.id], node.id)

    def _tuple(self, node: ast.Tuple | ast.List, scope: Scope) -> _Term:
        return _Term([term.value for part in node.elts for term in self._spread(part, scope)], ast.unparse(node))

    _list = _tuple

    def _starred(self, node: ast.Starred, scope: Scope) -> _Term:
        raise SuiteError(f"{short(ast.unparse(node))} can only stand among the arguments of a call")

    def _unaryop(self, node: ast.UnaryOp, scope: Scope) -> _Term:
        if isinstance(node.op, ast.USub):
            term = self._term(node.operand, scope)
            return _Term(-_number(term), f"-{term.text}")
        value = self.truth(node.operand, scope)
        return _Term(None if value is None else not value, ast.unparse(node))

    def _binop(self, node: ast.BinOp, scope: Scope) -> _Term:
        left, right = self._term(node.left, scope), self._term(node.right, scope)
        symbol = ARITHMETIC[type(node.op)]
        text = f"{_grouped(node.left, left)} {symbol} {_grouped(node.right, right)}"
        if symbol == "/" and _number(right) == 0:
            raise MissingNumberError(f"division by zero in {text}")
        # To 9 decimals: 92.63 - 90.07 is 2.56, not a rounding error more.
        return _Term(round(_APPLY[symbol](float(_number(left)), float(_number(right))), 9), text)

    def _boolop(self, node: ast.BoolOp, scope: Scope) -> _Term:
        values = [self.truth(part, scope) for part in node.values]
        return _Term((all_of if isinstance(node.op, ast.And) else any_of)(values), ast.unparse(node))

    def _compare(self, node: ast.Compare, scope: Scope) -> _Term:
        symbol = COMPARISONS[type(node.ops[0])]
        try:
            left, right = self._term(node.left, scope), self._term(node.comparators[0], scope)
        except MissingNumberError as error:
            self.steps.append(Step(str(error), None))
            return _Term(None, str(error))
        holds = _APPLY[symbol](_number(left), _number(right))
        text = f"{_with_value(node.left, left)} {symbol} {_with_value(node.comparators[0], right)}"
        self.steps.append(compared(text, holds, left.by_seed, right.by_seed))
        return _Term(holds, text)

    def _generatorexp(self, node: ast.GeneratorExp, scope: Scope) -> _Term:
        scopes = [(scope, True)]
        for loop in node.generators:
            scopes = [(inner, was and is_) for outer, was in scopes for inner, is_ in self._loop(loop, outer)]
        values = [self._term(node.elt, inner).value if known else None for inner, known in scopes]
        return _Term(values, f"{len(scopes)} values")

    def _loop(self, loop: ast.comprehension, scope: Scope) -> Iterator[tuple[Scope, bool]]:
        """Yield a scope for every item that is not filtered out, and whether its filter is known."""
        for item in _items(self._term(loop.iter, scope), loop.iter):
            inner = {**scope, ast.unparse(loop.target): item}
            kept = all_of([self.truth(test, inner) for test in loop.ifs])
            if kept is not False:
                yield inner, kept is True

    def _call(self, node: ast.Call, scope: Scope) -> _Term:
        name = ast.unparse(node.func)
        function = self.names.get(name)
        if not callable(function):
            known = sorted(key for key, value in self.names.items() if callable(value))
            raise SuiteError(f"unknown function {name!r}; known: {', '.join(known)}")
        arguments = [term for part in node.args for term in self._spread(part, scope)]
        if function not in THREE_VALUED and any(_holds_unknown(argument.value) for argument in arguments):
            raise MissingNumberError(f"what {name} is of is not all known")
        keywords = {str(part.arg): self._term(part.value, scope).value for part in node.keywords}
        try:
            result = function(*(argument.value for argument in arguments), **keywords)
        except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
            text = short(ast.unparse(node))
            raise SuiteError(f"{text} does not fit {_signature(name, function)} ({error})") from None
        if isinstance(result, Reading):
            return _Term(result.value, f"{result.label} ({result.shown or f'{result.value:g}'})", result.by_seed)
        return _Term(result, f"{name}({', '.join(argument.text for argument in arguments)})")

    def _spread(self, node: ast.expr, scope: Scope) -> list[_Term]:
        if not isinstance(node, ast.Starred):
            return [self._term(node, scope)]
        return [_Term(item, str(item)) for item in _items(self._term(node.value, scope), node)]


def _holds_unknown(value: Any) -> bool:
    return isinstance(value, list) and None in value


def _number(term: _Term) -> float:
    if isinstance(term.value, bool) or not isinstance(term.value, int | float):
        raise SuiteError(f"{short(term.text)} is no number to calculate or compare with")
    return term.value


def _items(term: _Term, node: ast.expr) -> Sequence[Any]:
    if isinstance(term.value, str) or not isinstance(term.value, Sequence):
        raise SuiteError(f"{short(ast.unparse(node))} is no list")
    return term.value


def _grouped(node: ast.expr, term: _Term) -> str:
    return f"({term.text})" if isinstance(node, ast.BinOp) else term.text


def _with_value(node: ast.expr, term: _Term) -> str:
    """The text of one side of a comparison, followed by its value where that was calculated."""
    calculated = isinstance(node, ast.BinOp) or (isinstance(node, ast.Call) and ast.unparse(node.func) in FUNCTIONS)
    return f"{term.text} = {term.value:g}" if calculated else term.text


def _signature(name: str, function: Callable[..., Any]) -> str:
    try:
        return f"{name}{inspect.signature(function)}"
    except ValueError:  # min and max have none
        return name

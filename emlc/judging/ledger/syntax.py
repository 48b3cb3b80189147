"""The syntax of claims: Python's expressions, cut down to comparisons of numbers, parsed and never executed."""

import ast

from emlc.records.errors import SuiteError

LONGEST = 500
LARGEST = 1e15
"""What a number of a claim can be."""
ARITHMETIC = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
COMPARISONS = {ast.Gt: ">", ast.GtE: ">=", ast.Lt: "<", ast.LtE: "<=", ast.Eq: "==", ast.NotEq: "!="}
_ALLOWED = (
    *(ast.Expression, ast.Compare, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp, ast.Call),
    *(ast.keyword, ast.Starred, ast.Constant, ast.Name, ast.Load, ast.Store, ast.Tuple, ast.List, ast.GeneratorExp),
    *(ast.comprehension, *ARITHMETIC, *COMPARISONS),
)


def parse(text: str) -> ast.expr:
    """Return the syntax tree of an expression.

    Numbers, texts, lists, arithmetic, one comparison at a time, ``and``, ``or``, ``not``, calls of named functions and
    generator expressions; nothing else.

    Raises
    ------
    SuiteError
        If it is no Python expression, longer than `LONGEST`, or uses anything beyond this.
    """
    if len(text) > LONGEST:
        raise SuiteError(f"the expression has {len(text)} characters; {LONGEST} is the most, split it")
    try:
        tree = ast.parse(" ".join(text.split()), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SuiteError(f"{short(text)} is no expression ({getattr(error, 'msg', error)})") from None
    for node in ast.walk(tree):
        _check(node, text)
    return tree.body


def short(text: str) -> str:
    """Return an expression as one quoted line for an error message."""
    line = " ".join(text.split())
    return f"`{line}`" if len(line) <= 80 else f"`{line[:80]}...`"


def _check(node: ast.AST, text: str) -> None:
    if not isinstance(node, _ALLOWED):
        raise SuiteError(f"{short(text)} uses {type(node).__name__}, which expressions cannot")
    if isinstance(node, ast.Compare) and len(node.ops) > 1:
        raise SuiteError(f"{short(text)} chains comparisons; write them with `and`")
    if isinstance(node, ast.Call) and not isinstance(node.func, ast.Name):
        raise SuiteError(f"{short(text)} calls something that is not a function's name")
    if isinstance(node, ast.keyword) and node.arg is None:
        raise SuiteError(f"{short(text)} spreads a mapping; name the arguments")
    if isinstance(node, ast.Constant) and type(node.value) not in (int, float, str):
        raise SuiteError(f"{short(text)} holds {node.value!r}; only numbers and texts are constants")
    if isinstance(node, ast.Constant) and not isinstance(node.value, str) and not node.value <= LARGEST:
        raise SuiteError(f"{short(text)} holds a number beyond {LARGEST:g}")
    if isinstance(node, ast.comprehension) and not isinstance(node.target, ast.Name):
        raise SuiteError(f"{short(text)} takes a list apart in a loop; give its items one name")

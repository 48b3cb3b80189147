"""Official functions without the scripts around them: definitions loaded from a clone, a little modernised.

Official code is mostly scripts that parse arguments, download data and ask for a GPU when they are imported. So only
the definitions of a file are executed, with the standard library, PyTorch and NumPy; whatever else they use, an
adapter gives them. The edits are general and know no file.
"""

import ast
import importlib
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from pipelines.official.clones import NotComparable
from pipelines.official.comparison import silence

Definitions = dict[str, Any]
"""Name -> function, class or what an adapter gave; also the globals of the functions, so a change reaches them all."""

LIBRARIES = frozenset({*sys.stdlib_module_names, "numpy", "torch"})
"""What official code may import; everything else is left out."""


def load(clone: Path, file: str, given: Mapping[str, Any] | None = None, *, widen: bool = True) -> Definitions:
    """Return the functions and classes that a file of a clone defines.

    Parameters
    ----------
    clone : Path
    file : str
        Path inside the clone.
    given : mapping, optional
        Globals that the file's script, or a module it imports, would have made; base classes and default values may
        be among them. Replaces definitions too.
    widen : bool
        Whether single precision in the text becomes double.

    Raises
    ------
    NotComparable
        If the file is missing or cannot be executed any more.
    """
    edits = [_Modern(), _Double()] if widen else [_Modern()]
    definitions: Definitions = {"__name__": f"official.{file}", "first_of": first_of, **(given or {})}
    try:
        tree = ast.parse(without_async((clone / file).read_text(encoding="utf-8")))
        tree.body = [statement for statement in _statements(tree) if _is_definition(statement)]
        for edit in edits:
            tree = edit.visit(tree)
        with silence():
            exec(compile(ast.fix_missing_locations(tree), str(clone / file), "exec"), definitions)
    except Exception as error:  # whatever a file of another decade may do
        raise NotComparable(f"{file} of {clone} no longer loads: {type(error).__name__}: {error}") from error
    definitions.update(given or {})
    return definitions


def needed(definitions: Definitions, name: str) -> Any:
    """Return a definition.

    Raises
    ------
    NotComparable
        If the file does not define it.
    """
    if name not in definitions:
        raise NotComparable(f"{definitions['__name__'].removeprefix('official.')} defines no {name}")
    return definitions[name]


def without_async(text: str) -> str:
    """Return a file's text with the argument ``async=...``, a syntax error since Python 3.7, under its later name."""
    return re.sub(r"\basync\s*=(?!=)", "non_blocking=", text)


def first_of(values: torch.Tensor) -> torch.Tensor:
    """Return ``values[0]``; a scalar is its own first element, as before PyTorch 0.4."""
    return values[0] if values.dim() else values


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield a file's statements; where it asks whether it is run as a script, those that it runs then."""
    for statement in tree.body:
        asks = isinstance(statement, ast.If) and any(
            isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(statement.test)
        )
        yield from statement.body if asks else [statement]


def _is_definition(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Import):
        statement.names = [alias for alias in statement.names if _is_there(alias.name)]
        return bool(statement.names)
    if isinstance(statement, ast.ImportFrom):
        return statement.level == 0 and _is_there(statement.module or "")
    return isinstance(statement, ast.FunctionDef | ast.ClassDef)


def _is_there(module: str) -> bool:
    if module.split(".")[0] not in LIBRARIES:
        return False
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


class _Modern(ast.NodeTransformer):
    """What only moves tensors to a GPU goes; two habits of old PyTorch are put into new words.

    ``x.cuda(...)`` is x, ``x.view(...)`` also takes tensors that lie otherwise in memory, ``x.data[0]`` reads scalars.
    """

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute):
            if node.func.attr == "cuda":
                return node.func.value
            if node.func.attr == "view":
                node.func.attr = "reshape"
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        self.generic_visit(node)
        of_data = isinstance(node.value, ast.Attribute) and node.value.attr == "data"
        if of_data and isinstance(node.slice, ast.Constant) and node.slice.value == 0:
            return ast.Call(ast.Name("first_of", ast.Load()), [node.value], [])
        return node


class _Double(ast.NodeTransformer):
    """``torch.float`` and ``float32`` of PyTorch and NumPy become double, and ``x.float()`` becomes ``x.double()``."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.Attribute:
        self.generic_visit(node)
        of_library = isinstance(node.value, ast.Name) and node.value.id in ("torch", "np", "numpy")
        if of_library and node.attr in ("float", "float32"):
            node.attr = "float64"
        if of_library and node.attr == "FloatTensor":
            node.attr = "DoubleTensor"
        return node

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "float" and not node.args:
            node.func.attr = "double"
        return node

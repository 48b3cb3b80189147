"""Which source files a step depends on, so that the workflow re-runs what an edit affects and nothing else."""

import ast
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from itertools import accumulate
from pathlib import Path

from emlc.records.artefacts import sha256_bytes
from emlc.records.errors import SuiteError
from pipelines.profile.places import ROOT

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
PACKAGES = ("emlc", "baselines", "pipelines")


def sources(*modules: str) -> list[str]:
    """Return the files of the suite that `modules` import, directly or through others, sorted.

    The packages that a module lies in are among them: Python loads them first.

    Imports are read from the syntax tree, those inside functions included; nothing is executed.

    Parameters
    ----------
    *modules : str
        Dotted names, e.g. ``pipelines.train``.

    Returns
    -------
    list of str
        Paths relative to the repository root.

    Raises
    ------
    SuiteError
        If there is no such module, or a relative import leaves its package.
    """
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting.extend(_imported(module))
    return sorted(_file(module) for module in seen)


@cache
def _imported(module: str) -> tuple[str, ...]:
    """Return what a module loads; a package that is a command loads its ``__main__`` too."""
    imports, _ = _read(_file(module))
    names = {module, *(name for node in imports for name in _names(node, module))}
    packages = {package for name in names for package in _ancestors(name)}
    if _file(module).endswith("__init__.py") and _exists(f"{module}.__main__"):
        names.add(f"{module}.__main__")
    return tuple(sorted(name for name in names | packages if _exists(name)))


def _ancestors(module: str) -> Iterator[str]:
    return accumulate(module.split(".")[:-1], "{}.{}".format)


def _names(node: ast.Import | ast.ImportFrom, module: str) -> Iterator[str]:
    """Yield the absolute names that an import statement of `module` may load."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    else:
        origin = _origin(node, module)
        yield origin
        yield from (f"{origin}.{alias.name}" for alias in node.names)


def _origin(node: ast.ImportFrom, module: str) -> str:
    relative = "." * node.level + (node.module or "")
    package = module if _file(module).endswith("__init__.py") else module.rpartition(".")[0]
    try:
        return resolve_name(relative, package)
    except ImportError:
        raise SuiteError(f"{_file(module)}: the import from {relative} leaves the package; name it in full") from None


def _exists(module: str) -> bool:
    return module.split(".")[0] in PACKAGES and any((ROOT / path).is_file() for path in _candidates(module))


def _file(module: str) -> str:
    for path in _candidates(module):
        if (ROOT / path).is_file():
            return path.as_posix()
    raise SuiteError(f"there is no module {module} in this repository; see docs/adding-a-method.md")


def _candidates(module: str) -> tuple[Path, Path]:
    path = Path(*module.split("."))
    return path.with_suffix(".py"), path / "__init__.py"


@cache
def digest(*modules: str) -> str:
    """Return the SHA-256 over what the source files of :func:`sources` do; comments and docstrings do not count."""
    return sha256_bytes(*(f"{file}\n{_read(file)[1]}\n".encode() for file in sources(*modules)))


@cache
def _read(file: str) -> tuple[list[ast.Import | ast.ImportFrom], str]:
    """Return a file's imports, and its syntax tree as text, without docstrings."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, DOCUMENTED) and _has_docstring(node):
            node.body = node.body[1:]
    return [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)], _text(tree)


def _text(node: object) -> str:
    """Return a syntax tree as text, the same from every Python: fields that newer ones add are empty and left out."""
    if isinstance(node, list):
        return f"[{', '.join(map(_text, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [f"{name}={_text(value)}" for name, value in ast.iter_fields(node) if value is not None and value != []]
    return f"{type(node).__name__}({', '.join(fields)})"


def _has_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    first = node.body[0] if node.body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)

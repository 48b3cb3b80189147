"""Which source files a step depends on, so that the workflow re-runs what an edit affects and nothing else."""

import ast
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from itertools import accumulate
from pathlib import Path

from emlc.records.errors import SuiteError
from pipelines.profile.settings import ROOT

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
    tree = ast.parse((ROOT / _file(module)).read_text(encoding="utf-8"))
    names = {module, *(name for node in ast.walk(tree) for name in _names(node, module))}
    packages = {package for name in names for package in _ancestors(name)}
    return tuple(sorted(name for name in names | packages if _exists(name)))


def _ancestors(module: str) -> Iterator[str]:
    return accumulate(module.split(".")[:-1], "{}.{}".format)


def _names(node: ast.AST, module: str) -> Iterator[str]:
    """Yield the absolute names that an import statement of `module` may load."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
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
            return str(path)
    raise SuiteError(f"there is no module {module} in this repository; see docs/adding-a-method.md")


def _candidates(module: str) -> tuple[Path, Path]:
    path = Path(*module.split("."))
    return path.with_suffix(".py"), path / "__init__.py"

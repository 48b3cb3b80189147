"""Which source files a step depends on, so that the workflow re-runs what an edit affects and nothing else."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from emlc.errors import SuiteError
from pipelines.settings import ROOT

PACKAGES = ("emlc", "baselines", "pipelines")


def sources(*modules: str) -> list[str]:
    """Return the files of the suite that `modules` import, directly or through others, sorted.

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
        If there is no such module.
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
    names = {name for node in ast.walk(tree) for name in _names(node)}
    parents = {name.rpartition(".")[0] for name in names if "." in name}
    return tuple(sorted(name for name in names | parents if _exists(name)))


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


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

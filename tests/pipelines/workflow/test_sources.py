"""Declared sources against what Python really loads, and what an edit of one file affects."""

import ast
import subprocess
import sys

import pytest

from emlc.records.errors import SuiteError
from pipelines.profile.load import load_profile
from pipelines.profile.places import ROOT
from pipelines.workflow import sources as module
from pipelines.workflow.sources import digest, sources
from tests.tiny import implementations

LOADED = """
import sys, importlib
from pathlib import Path
for name in sys.argv[1:]:
    importlib.import_module(name)
files = [Path(m.__file__).resolve() for m in list(sys.modules.values()) if getattr(m, "__file__", None)]
root = Path.cwd().resolve()
print("\\n".join(sorted({str(f.relative_to(root)) for f in files if f.is_file() and f.is_relative_to(root)})))
"""


def loaded(*modules):
    command = [sys.executable, "-c", LOADED, *modules]
    return set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


def of_run(implementation):
    """What a run's identity covers."""
    return set(sources("pipelines.train", implementation))


PAIRS = [(one, other) for one in implementations() for other in implementations() if one < other]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_two_methods_differ_in_files_of_their_own_only(one, other):
    differing = of_run(one) ^ of_run(other)
    engine = {"emlc/engine/run.py", "emlc/engine/loop.py", "pipelines/train.py", "pipelines/training/runs.py"}
    assert engine <= of_run(one) & of_run(other)
    assert not any(path.startswith("pipelines/") for path in differing)
    assert differing & {f"{one.replace('.', '/')}.py", f"{other.replace('.', '/')}.py"}


def test_an_edit_of_a_method_re_runs_what_depends_on_it_and_nothing_else():
    affected = {
        path: {name for name in implementations() if path in of_run(name)}
        for path in ("baselines/mlc.py", "baselines/cross_entropy.py", "emlc/method.py", "emlc/teacher.py")
    }
    assert affected == {
        "baselines/mlc.py": {"baselines.mlc", "baselines.mlc_double_backward"},
        "baselines/cross_entropy.py": {"baselines.cross_entropy", "baselines.clean_only"},
        "emlc/method.py": {"emlc.method"},
        "emlc/teacher.py": {"emlc.method"},
    }


def test_the_engine_affects_every_run_but_no_table():
    assert all("emlc/engine/loop.py" in of_run(name) for name in implementations())
    for step in ("inject", "table", "compare", "curves", "prepare"):
        assert not any(path.startswith(("baselines/", "emlc/engine/")) for path in sources(f"pipelines.{step}")), step
    assert "emlc/noise/matrices.py" in sources("pipelines.inject")
    assert "emlc/noise/matrices.py" not in sources("pipelines.table")


def test_every_run_of_the_default_profile_declares_its_own_method():
    for method in load_profile().methods.values():
        implementation = method.implementation
        assert f"{implementation.replace('.', '/')}.py" in of_run(implementation)


def test_what_python_loads_is_declared():
    """One process per kind of step. A file that is loaded but not declared could be edited without a re-run."""
    for modules in (
        ["pipelines.train", "pipelines.training.runs", *implementations()],
        ["pipelines.table", "pipelines.compare", "pipelines.inject", "pipelines.prepare"],
    ):
        declared = {path for name in modules for path in sources("pipelines.train", name)}
        files = {path for path in loaded(*modules) if path.startswith(("emlc/", "baselines/", "pipelines/"))}
        assert files - declared == set()


def test_packages_on_the_way_to_a_module_are_declared():
    assert {"baselines/__init__.py", "emlc/__init__.py"} <= set(sources("baselines.cross_entropy"))
    assert "baselines/__init__.py" in of_run("baselines.mlc")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository of its own, from a mapping of path to text."""

    def write(files):
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        monkeypatch.setattr(module, "ROOT", tmp_path)
        forget()

    yield write
    forget()


def forget():
    """Files do not change while a process runs, but here they do."""
    for cached in (module._imported, module._read, module.digest):
        cached.cache_clear()


def test_comments_docstrings_and_blank_lines_change_no_digest_and_code_does(repository):
    found = []
    for text in (
        '"""Say."""\n\n\ndef f(x):\n    """Do."""\n    return x + 1\n',
        '# why\r\ndef f(x):\r\n    """Otherwise."""\r\n\r\n    return (x + 1)  # because\r\n',
        "def f(x):\n    return x + 2\n",
    ):
        repository({"emlc/step.py": text})
        found.append(digest("emlc.step"))
    assert found[0] == found[1] != found[2]


def test_a_package_that_is_a_command_counts_with_its_main(repository):
    main = {"pipelines/bench/__init__.py": "", "pipelines/bench/__main__.py": "import emlc.loop", "emlc/loop.py": ""}
    repository(main)
    assert sources("pipelines.bench") == ["emlc/loop.py", "pipelines/bench/__init__.py", "pipelines/bench/__main__.py"]


def test_imports_are_found_wherever_they_are(repository):
    repository(
        {
            "emlc/__init__.py": "",
            "emlc/deep/__init__.py": "from emlc.deep.inner import x",
            "emlc/deep/inner.py": "import emlc.loop",
            "emlc/loop.py": "import emlc.deep  # a cycle",
            "emlc/lazy.py": "def f():\n    if 1:\n        from emlc import late\n",
            "emlc/late.py": "class A:\n    def g(self):\n        import emlc.later as later, json\n",
            "emlc/later.py": "if False:\n    import emlc.never\n",
            "emlc/never.py": "",
            "emlc/unrelated.py": "",
            "pipelines/step.py": "import emlc.lazy\n'import emlc.unrelated'\nimport os, torch\n",
        }
    )
    assert sources("pipelines.step") == [
        "emlc/__init__.py", "emlc/late.py", "emlc/later.py", "emlc/lazy.py", "emlc/never.py", "pipelines/step.py"
    ]  # fmt: skip
    package = ["emlc/__init__.py", "emlc/deep/__init__.py", "emlc/deep/inner.py", "emlc/loop.py"]
    assert sources("emlc.loop") == package
    assert sources("emlc.deep", "emlc.loop", "emlc.deep") == package


def test_relative_imports_are_found(repository):
    repository(
        {
            "baselines/__init__.py": "",
            "baselines/mine.py": "from . import helper\nfrom .other import x\n",
            "baselines/helper.py": "",
            "baselines/other.py": "",
        }
    )
    files = ["baselines/__init__.py", "baselines/helper.py", "baselines/mine.py", "baselines/other.py"]
    assert sources("baselines.mine") == files


def test_relative_imports_of_a_package_start_from_itself(repository):
    repository(
        {
            "emlc/deep/__init__.py": "from .inner import x\nfrom .. import loop\n",
            "emlc/deep/inner.py": "",
            "emlc/inner.py": "",
            "emlc/loop.py": "",
        }
    )
    assert sources("emlc.deep") == ["emlc/deep/__init__.py", "emlc/deep/inner.py", "emlc/loop.py"]


def test_a_relative_import_that_leaves_its_package_is_refused_by_name(repository):
    repository({"baselines/mine.py": "from ..emlc import noise\n"})
    with pytest.raises(SuiteError, match=r"^baselines/mine\.py: the import from \.\.emlc leaves the package; name"):
        sources("baselines.mine")


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(SuiteError, match=r"^there is no module baselines\.nothing in this repository; see docs/"):
        sources("pipelines.train", "baselines.nothing")


def test_the_list_is_sorted_and_without_doubles():
    paths = sources("pipelines.train", "emlc.method", "pipelines.train")
    assert paths == sorted(set(paths))
    assert all((ROOT / path).is_file() for path in paths)


def test_the_meaning_of_a_file_holds_no_field_that_only_some_pythons_have():
    """Python 3.12 gave functions and classes `type_params`; a tree without them has to read as it did before."""
    tree = ast.parse("def f(x: int = None, *, y) -> str:\n    return f'{x!r} {y:>3}'\n")
    before = module._text(tree)
    for node in ast.walk(tree):
        node._fields = (*node._fields, "added_later")
        node.added_later = []
    assert module._text(tree) == before


@pytest.mark.parametrize("edit", ["x = None", "x = []", "x = ''", "x = 0", "x = 0.0", "x = False", "x = ()", "del x"])
def test_values_that_look_empty_differ(edit):
    texts = {module._text(ast.parse(code)) for code in ("x", "x = {}", edit)}
    assert len(texts) == 3

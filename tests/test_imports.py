"""The arrows between the packages point one way, and light steps load no heavy libraries."""

import ast
import importlib.abc
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("emlc", "baselines", "pipelines")


class Refuse(importlib.abc.MetaPathFinder):
    """Makes libraries look as if they were not installed."""

    def __init__(self, names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r} (refused by this test)", name=name)


def modules(*parts):
    """Dotted names of all modules below some packages or modules."""
    names = []
    for part in parts:
        path = ROOT / Path(*part.split("."))
        files = [path.with_suffix(".py")] if path.with_suffix(".py").is_file() else sorted(path.rglob("*.py"))
        assert files, part
        names += [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files]
    return names


def source(name):
    path = ROOT / Path(*name.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return path.read_text(encoding="utf-8")


def imported(name):
    """Every module that a module names in an import, at any depth."""
    for node in ast.walk(ast.parse(source(name))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative imports are not seen by pipelines.workflow.sources"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def offences(sources, targets):
    """Pairs (module, import) where a module of `sources` imports something at or below `targets`."""
    return [
        (source, target)
        for source in modules(*sources)
        for target in imported(source)
        if any(target == forbidden or target.startswith(f"{forbidden}.") for forbidden in targets)
    ]


def test_pipelines_use_baselines_use_emlc_and_never_back():
    assert offences(["emlc"], ["baselines", "pipelines", "tests"]) == []
    assert offences(["baselines"], ["pipelines", "tests"]) == []
    assert offences(["pipelines"], ["tests"]) == []


def test_the_arrows_are_there_at_all():
    """Guards the tests above against looking in the wrong place."""
    assert ("baselines.mlc", "emlc.metagrad") in offences(["baselines"], ["emlc"])
    assert ("pipelines.training.runs", "emlc.engine.run") in offences(["pipelines"], ["emlc"])
    assert len(modules("emlc")) > 30


def test_the_library_does_not_know_the_engine_or_the_method():
    library = ["data", "noise", "tasks", "models", "metagrad", "records"]
    above = ["emlc.engine", "emlc.method", "emlc.teacher"]
    assert offences([f"emlc.{name}" for name in library], above) == []


def test_the_engine_knows_no_method_and_no_method_another():
    assert offences(["emlc.engine"], ["emlc.method", "emlc.teacher", "emlc.metagrad"]) == []
    baselines = [name for name in modules("baselines") if name != "baselines"]
    of_another = {f"baselines.{name}" for name in ("clean_only", "mlc_double_backward", "c2d", "augdesc", "sanm")}
    methods = [name for name in baselines if "\nMETHOD = " in source(name)]  # what a family shares is none
    siblings = [pair for pair in offences(baselines, methods) if pair[0] not in of_another]
    assert siblings == []
    assert offences(baselines, ["emlc.method", "emlc.teacher"]) == []


def test_meta_gradients_and_models_know_no_data():
    assert offences(["emlc.metagrad", "emlc.models"], ["emlc.data", "emlc.tasks", "emlc.noise"]) == []
    data = [f"emlc.data.{name}" for name in ("base", "store", "cifar", "digits", "image_folder", "archives")]
    assert offences(["emlc.data.augment"], [*data, "emlc.tasks", "emlc.noise"]) == []


def test_judging_is_an_island_without_torch():
    """Nothing that learns looks at the paper's numbers."""
    others = [
        f"emlc.{name}" for name in ("data", "engine", "metagrad", "models", "noise", "tasks", "method", "teacher")
    ]
    assert offences([*others, "baselines"], ["emlc.judging"]) == []
    assert offences(["emlc.judging"], [*others, "torch"]) == []


def test_rooms():
    """The tree is what a visitor sees first."""
    entries = [path.stem for path in (ROOT / "emlc").iterdir() if not path.name.startswith("__")]
    assert len(entries) <= 10, entries


def test_nobody_imports_a_private_name_of_another_module():
    private = [
        (source, target)
        for source in modules(*PACKAGES)
        for target in imported(source)
        if target.split(".")[0] in PACKAGES and target.rpartition(".")[2].startswith("_") and "__" not in target
    ]
    assert private == []


def run_without(refused, statement):
    code = (
        f"import sys\nfrom tests.test_imports import Refuse\nsys.meta_path.insert(0, Refuse({refused!r}))\n{statement}"
    )
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


LIGHT = [
    "fetch",
    "prepare",
    "human",
    "inject",
    "train",
    "table",
    "compare",
    "curves",
    "claims",
    "splits",
    "report",
    "plan",
]
LIGHT += ["profile.load", "workflow.jobs", "machine.cli"]


@pytest.mark.parametrize(
    ("refused", "steps"),
    [
        ({"torch", "torchvision"}, LIGHT),
        # A machine that only trains: PyTorch, numpy and what reads a profile.
        (
            {"snakemake", "dvc", "pandas", "seaborn", "matplotlib", "sklearn", "scipy", "tabulate", "torchvision"},
            ["train", "training.runs"],
        ),
    ],
    ids=["without torch", "with torch alone"],
)
def test_steps_load_without_what_they_do_not_need(refused, steps):
    done = run_without(refused, "import " + ", ".join(f"pipelines.{step}" for step in steps))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_method_and_its_meta_gradients_need_torch_and_numpy_only():
    """Whatever else is installed here, but for what these two need themselves, looks as if it were not."""
    theirs = requirements_of("torch", "numpy")
    foreign = {
        name
        for name, found in packages_distributions().items()
        if not theirs & {canonicalize_name(item) for item in found} and name not in PACKAGES
    }
    assert {"tqdm", "yaml", "PIL", "pandas"} <= foreign
    assert not {"torch", "numpy", "sympy"} & foreign
    done = run_without(foreign - {"pytest", "_pytest"}, "import emlc.metagrad, emlc.method, baselines.mlc")
    assert (done.returncode, done.stderr) == (0, "")


def requirements_of(*names):
    """Some distributions and, by name, all that they need here."""
    seen, waiting = set(), list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in seen:
            seen.add(name)
            wanted = (Requirement(text) for text in requires(name) or [])
            waiting += [item.name for item in wanted if not item.marker or item.marker.evaluate({"extra": ""})]
    return seen


def test_refusing_works():
    assert "refused by this test" in run_without({"torch"}, "import pipelines.training.runs").stderr


def test_data_and_noise_code_needs_no_torch():
    names = [
        name
        for name in modules("emlc.data", "emlc.noise", "emlc.tasks", "emlc.judging", "emlc.records")
        if not name.startswith(("emlc.data.augment", "emlc.data.streaming"))
    ]
    done = run_without({"torch"}, "import " + ", ".join(names))
    assert (done.returncode, done.stderr) == (0, "")

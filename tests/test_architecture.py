"""The house keeps its shape: who imports whom, one place a name, nothing unpickled, everything documented."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import pkgutil
import re
import sys
import tomllib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from data.errors import InputError
from data.registry import Registry
from pipeline.libraries import OTHER_BUILDS

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("data", "features", "models", "submissions", "pipeline")

#: package: those of this project that it may import.
MAY_IMPORT = {
    "data": {"data"},
    "features": {"features", "data"},
    "models": {"models", "data"},
    "submissions": {"submissions", "data"},
    "pipeline": set(PACKAGES),
}
LEFT_BY_RUNS = ("data/files", "submissions/files", "submissions/packs")
FILES = [
    file.relative_to(ROOT)
    for package in PACKAGES
    for file in sorted((ROOT / package).rglob("*.py"))
    if not any(file.is_relative_to(ROOT / folder) for folder in LEFT_BY_RUNS)
]
#: Names Hydra's _target_ in order to refuse it.
REFUSES_TARGET = Path("pipeline/compose.py")
YAML = [file.relative_to(ROOT) for file in sorted((ROOT / "pipeline").rglob("*.yaml"))]


#: Modules that import what is there on some machines only, and what that is.
WITHOUT = {"models.kernels.gpu": "triton"}


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse((ROOT / file).read_text())


def imported(module: ast.Module) -> set[str]:
    """Top-level names of every import, inside functions too; relative ones are the package's own."""
    names = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


@cache
def modules() -> tuple[ModuleType, ...]:
    """Every module of the packages, imported."""
    found = []
    for package in PACKAGES:
        top = importlib.import_module(package)
        names = [module.name for module in pkgutil.walk_packages(top.__path__, f"{package}.")]
        names = [name for name in names if name not in WITHOUT or find_spec(WITHOUT[name])]
        found += [top, *(importlib.import_module(name) for name in names)]
    return tuple(found)


@cache
def registries() -> dict[str, Registry[Any]]:
    """Every registry that a module of the packages defines, by its kind."""
    found: dict[str, Registry[Any]] = {}
    for module in modules():
        for value in vars(module).values():
            if isinstance(value, Registry):
                assert found.setdefault(value.kind, value) is value, f"two registries of {value.kind}"
    return found


def entries() -> list[tuple[str, str, Any]]:
    return [(kind, name, entry) for kind, one in sorted(registries().items()) for name, entry in one.items()]


def test_there_is_something_to_look_at() -> None:
    assert {file.parts[0] for file in FILES} == set(PACKAGES)
    assert len(FILES) > 100
    assert {"member", "network", "splitter", "blender", "metric", "stage"} <= set(registries())
    assert len(entries()) > 50


def test_dependencies_run_one_way() -> None:
    faults = []
    for file in FILES:
        allowed = MAY_IMPORT[file.parts[0]]
        wrong = imported(tree(file)) & {*PACKAGES, "tests", "benchmarks"} - allowed
        faults += [f"{file} imports {name}" for name in sorted(wrong)]
    assert not faults


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_the_one_of_this_repository(package: str) -> None:
    """Plain names such as `models`: another distribution of the same name would win silently."""
    module = importlib.import_module(package)
    assert Path(str(module.__file__)).resolve() == ROOT / package / "__init__.py"
    owners = set(importlib.metadata.packages_distributions().get(package, []))
    assert owners <= {"forecast-workbench"}, f"{owners} bring a package {package} too"


def test_every_import_is_declared() -> None:
    """As a requirement of ours, or of an extra: what others require may go at any time."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lists = [project["dependencies"], *(extras[name] for name in extras if name != "dev")]
    declared = {bare(text) for given in lists for text in given}
    owners = importlib.metadata.packages_distributions()
    faults = []
    for file in [*FILES, *((ROOT / "benchmarks").rglob("*.py"))]:
        known = {*sys.stdlib_module_names, *PACKAGES, "benchmarks", "tests", *WITHOUT.values()}
        for name in sorted(imported(tree(file)) - known):
            brought_by = {bare(owner) for owner in owners.get(name, [name])}
            if not brought_by & {*declared, *(OTHER_BUILDS[one] for one in declared & set(OTHER_BUILDS))}:
                faults.append(f"{file} imports {name}, of {', '.join(sorted(brought_by))}")
    assert not faults


def bare(requirement: str) -> str:
    """The distribution's name in a requirement, as names are compared."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def test_what_runs_leave_is_no_package(tmp_path: Path) -> None:
    """submissions/packs holds whole projects, all of whose packages were installed."""
    finder = pytest.importorskip("setuptools").find_namespace_packages
    left = ("data/files/x", "submissions/files/x/1", "submissions/packs/x/project/pipeline/stages")
    for folder in (*left, *PACKAGES, "submissions/posts", "pipeline/conf/size"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    found = set(finder(str(tmp_path), **settings))
    assert found == {*PACKAGES, "pipeline.conf", "pipeline.conf.size", "submissions.posts"}


def test_every_module_and_public_name_says_what_it_is() -> None:
    faults = []
    for file in FILES:
        module = tree(file)
        if not ast.get_docstring(module):
            faults.append(f"{file}")
        for node in module.body:
            named = isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
            if named and not ast.get_docstring(node):
                faults.append(f"{file}:{node.lineno} {node.name}")
    assert not faults, "without a docstring"


def test_no_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "helper", "misc", "common"}
    found = [file for file in FILES if drawers & {file.stem, *file.parts[:-1]}]
    assert not found


def test_whatever_is_registered_says_what_it_is() -> None:
    for kind, name, entry in entries():
        text = vars(entry).get("__doc__") if isinstance(entry, type) else entry.__doc__
        assert text, f"{kind} {name} has no docstring"
        assert not text.startswith(f"{getattr(entry, '__name__', '')}("), f"{kind} {name}: only a dataclass's"


def test_two_of_a_name_raise_and_the_first_stays() -> None:
    for kind, one in registries().items():
        if not one.names():
            continue
        name = one.names()[0]
        before = one.get(name)
        with pytest.raises(InputError, match=f"{kind} '{name}' is registered twice: in .* and in .*another"):

            @one.register(name)
            class another:
                """Takes a name that is taken."""

        assert one.get(name) is before


def test_the_same_module_imported_twice_is_no_second_of_a_name() -> None:
    """As a notebook does that reloads it; the newer one counts."""
    one: Registry[type] = Registry("toy", "data.splitters")
    first = one.register("a")(type("Thing", (), {"__module__": "m"}))
    second = one.register("a")(type("Thing", (), {"__module__": "m"}))
    assert first is not second
    assert one.get("a") is second


def test_unknown_names_are_told_with_the_nearest() -> None:
    for kind, one in registries().items():
        if one.names():
            with pytest.raises(InputError, match=f"somewhere: unknown {kind} 'no such name'; "):
                one.get("no such name", "somewhere")


UNPICKLING = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
RUN_CODE = ("eval", "exec")
PICKLED = ("read_pickle", "to_pickle", "torch.save", "instantiate")


def runs_code(file: Path, node: ast.AST) -> bool:
    """Whether a line could run code that a file brings, or makes something from the path of a class."""
    if isinstance(node, ast.Constant):
        return node.value == "_target_" and file != REFUSES_TARGET
    if not isinstance(node, ast.Call):
        return False
    name = ast.unparse(node.func)
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    if name.endswith("torch.load"):
        safe = given.get("weights_only")
        return not (isinstance(safe, ast.Constant) and safe.value is True)
    return name in RUN_CODE or name.endswith(PICKLED) or "allow_pickle" in given


def test_nothing_stored_can_run_code() -> None:
    """A checkpoint is weights and JSON: nothing is unpickled, evaluated or made from a class's path."""
    faults = [f"{file} imports {name}" for file in FILES for name in imported(tree(file)) & UNPICKLING]
    for file in FILES:
        nodes = [node for node in ast.walk(tree(file)) if runs_code(file, node)]
        faults += [f"{file}:{getattr(node, 'lineno', 0)} {ast.unparse(node)}" for node in nodes]
    faults += [str(file) for file in YAML if "_target_" in (ROOT / file).read_text()]
    assert not faults


@pytest.mark.parametrize(
    ("line", "bad"),
    [
        ("torch.load(file)", True),
        ("torch.load(file, weights_only=False)", True),
        ("torch.load(file, weights_only=True)", False),
        ("np.load(file, allow_pickle=True)", True),
        ("np.load(file)", False),
        ("eval(text)", True),
        ("model.eval()", False),
        ("pd.read_pickle(file)", True),
        ("config = {'_target_': 'models.x'}", True),
        ("hydra.utils.instantiate(config)", True),
    ],
)
def test_that_test_can_fail(line: str, bad: bool) -> None:
    assert any(runs_code(Path("data/x.py"), node) for node in ast.walk(ast.parse(line))) is bad


def test_no_error_is_swallowed() -> None:
    """`except Exception: pass` hides what a user or a developer should see."""
    faults = []
    for file in FILES:
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.ExceptHandler):
                broad = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
                if broad and all(isinstance(line, ast.Pass | ast.Continue) for line in node.body):
                    faults.append(f"{file}:{node.lineno}")
    assert not faults

"""The laws of docs/structure.md, read off the source itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from core.eviction import EVICTIONS
from core.system import SYSTEMS

ROOT = Path(__file__).parent.parent
FILES = sorted([*(ROOT / "core").rglob("*.py"), *(ROOT / "sweep").rglob("*.py")])
CORE_MAY_IMPORT = {"numpy", "numba", "pyarrow", "core"}
ONE_IMPORTER: dict[str, str | tuple[str, ...]] = {
    "ray": "sweep/engine/ray_cluster",
    "optuna": ("sweep/engine/search.py", "sweep/engine/samplers/"),
    "duckdb": "sweep/results",
    "plotly": "sweep/report",
    "matplotlib": "sweep/report/vector.py",
    "typer": "sweep/cli",
    "perfetto": "core/workload/perfetto/protos.py",
    "google": "core/workload/perfetto/protos.py",
}
#: Of the core's files, this one alone imports a package that an extra installs, where it is used.
OPTIONAL_IN_CORE = {"core/workload/perfetto/protos.py": {"perfetto", "google"}}
HEAVY = ("core", "numba", "pyarrow", "pydantic", "ray", "optuna", "duckdb", "plotly", "matplotlib")
#: Packages that only extras install.
OPTIONAL = ("perfetto", "google.protobuf")


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports_of(path: Path) -> list[str]:
    """Return the modules that a file imports, wherever in it; types alone do not count."""
    found: list[str] = []
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found.append(node.module or "")
            found += (f"{node.module}.{alias.name}" for alias in node.names)
    return found


def top(module: str) -> str:
    return module.partition(".")[0]


def test_core_knows_no_study_no_cluster_no_database() -> None:
    for path in FILES:
        if path.is_relative_to(ROOT / "core"):
            found = {top(module) for module in imports_of(path)}
            found -= OPTIONAL_IN_CORE.get(path.relative_to(ROOT).as_posix(), set())
            assert found <= CORE_MAY_IMPORT | set(sys.stdlib_module_names), path


@pytest.mark.parametrize("package", sorted(ONE_IMPORTER))
def test_a_heavy_package_has_one_importer(package: str) -> None:
    allowed = ONE_IMPORTER[package]
    for path in FILES:
        if package in {top(module) for module in imports_of(path)}:
            assert path.relative_to(ROOT).as_posix().startswith(allowed), path


def room_of(module: str) -> str | None:
    """Return the room of a module, such as sweep.study; None of one on the ground floor."""
    parts = module.split(".")
    path = ROOT.joinpath(*parts[:2])
    return ".".join(parts[:2]) if path.is_dir() else None


def test_no_two_rooms_import_each_other() -> None:
    known = {module_of(path): path for path in FILES}
    graph: dict[str, set[str | None]] = {}
    for module, path in known.items():
        room = room_of(module)
        others = {room_of(name) for name in imports_of(path) if name in known}
        if room is not None:
            graph.setdefault(room, set()).update(others - {None, room})
    assert {room.partition(".")[0] for room in graph} == {"core", "sweep"}
    list(TopologicalSorter(graph).static_order())


def test_no_imports_go_round_in_a_circle() -> None:
    known = {module_of(path): path for path in FILES}
    graph = {
        module: {found for found in imports_of(path) if found in known and found != module}
        for module, path in known.items()
    }
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from sweep.cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        f"print('LOADED', [name for name in {HEAVY + OPTIONAL} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert "LOADED []" in done.stdout, done.stdout + done.stderr


def test_what_an_extra_installs_is_imported_where_it_is_used_alone() -> None:
    program = (
        "import sys; import core.workload.formats, core.workload.perfetto.reader\n"
        "import sweep.cli.import_command, sweep.cli.import_requests, sweep.engine.inputs\n"
        f"print('LOADED', [name for name in {OPTIONAL} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert "LOADED []" in done.stdout, done.stdout + done.stderr


def test_every_package_is_listed_for_the_wheel() -> None:
    import tomllib

    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {module_of(path) for path in FILES if path.name == "__init__.py"}
    assert set(listed) == found


def test_files_are_rooms_and_functions_fit_a_screen() -> None:
    for path in FILES:
        text = path.read_text()
        assert text.count("\n") <= 400, f"{path} has outgrown a room"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                # What a function defines inside counts: it has to be read with the rest.
                lines = (node.end_lineno or 0) - node.lineno + 1
                assert lines <= 90, f"{path}:{node.lineno} {node.name} is {lines} lines long"


@cache
def words_in(path: Path) -> list[tuple[int, str]]:
    """Return (line, text) of every string in a file that is no docstring."""
    return [
        (node.lineno, node.value)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def test_a_system_is_named_at_home_alone() -> None:
    # In the registry, where fields say who reads them, and in presets; else traits are asked.
    homes = {"core/system/__init__.py", "core/policy.py"}
    for path in FILES:
        place = path.relative_to(ROOT).as_posix()
        for line, text in words_in(path):
            at_home = place in homes or place.startswith(f"core/system/{text}")
            assert text not in SYSTEMS.places or at_home, f"{place}:{line} names {text}"


def test_an_eviction_is_named_at_home_alone() -> None:
    homes = {"core/eviction/__init__.py", "core/policy.py"}
    told = set(EVICTIONS.places) - {"none", "random"}  # words of other fields and samplers too
    for path in FILES:
        place = path.relative_to(ROOT).as_posix()
        for line, text in words_in(path):
            assert text not in told or place in homes, f"{place}:{line} names {text}"


def test_no_registry_host_and_no_path_of_a_machine_is_committed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    names = listed.stdout.split() or [str(path.relative_to(ROOT)) for path in FILES]
    words = ["py" + "pi.org", "python" + "hosted", "index" + "-url", "/ro" + "ot/", "/ho" + "me/"]
    for name in names:
        path = ROOT / name
        if path.suffix in (".py", ".toml", ".txt", ".yaml", ".md", "") and path.is_file():
            text = path.read_text(errors="ignore")
            assert not [word for word in words if word in text], name

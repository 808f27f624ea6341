"""The laws of docs/structure.md, read off the source itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted([*(ROOT / "core").rglob("*.py"), *(ROOT / "sweep").rglob("*.py")])
CORE_MAY_IMPORT = {"numpy", "numba", "pyarrow", "core"}
ONE_IMPORTER = {
    "ray": "sweep/engine/ray_cluster",
    "optuna": "sweep/engine/search",
    "duckdb": "sweep/results",
    "plotly": "sweep/report",
    "typer": "sweep/cli",
}
HEAVY = ("core", "numba", "pyarrow", "pydantic", "ray", "optuna", "duckdb", "plotly")


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports, wherever in it; types alone do not count."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def top(module: str) -> str:
    return module.partition(".")[0]


def test_core_knows_no_study_no_cluster_no_database() -> None:
    for path in FILES:
        if path.is_relative_to(ROOT / "core"):
            found = {top(module) for module in imports_of(path)}
            assert found <= CORE_MAY_IMPORT | set(sys.stdlib_module_names), path


@pytest.mark.parametrize("package", sorted(ONE_IMPORTER))
def test_a_heavy_package_has_one_importer(package: str) -> None:
    allowed = ONE_IMPORTER[package]
    for path in FILES:
        if package in {top(module) for module in imports_of(path)}:
            assert path.relative_to(ROOT).as_posix().startswith(allowed), path


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
        f"print('LOADED', [name for name in {HEAVY} if name in sys.modules])"
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
        assert text.count("\n") <= 420, f"{path} has outgrown a room"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                inner = [n for n in ast.walk(node) if isinstance(n, ast.FunctionDef) and n != node]
                own = (node.end_lineno or 0) - node.lineno + 1
                own -= sum((n.end_lineno or 0) - n.lineno + 1 for n in inner)
                assert own <= 90, f"{path}:{node.lineno} {node.name} is {own} lines long"


def test_no_registry_host_and_no_path_of_a_machine_is_committed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    names = listed.stdout.split() or [str(path.relative_to(ROOT)) for path in FILES]
    words = ["py" + "pi.org", "python" + "hosted", "index" + "-url", "/ro" + "ot/", "/ho" + "me/"]
    for name in names:
        path = ROOT / name
        if path.suffix in (".py", ".toml", ".txt", ".yaml", ".md", "") and path.is_file():
            text = path.read_text(errors="ignore")
            assert not [word for word in words if word in text], name

"""Habits of the tests themselves, read off their source."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
FILES = sorted(TESTS.rglob("*.py"))
SUITES = {path.stem for path in FILES if path.stem.startswith("test_")}
IMPORT = re.compile(r"^\s*(?:import|from)\s+(.*)$|;\s*(?:import|from)\s+(.*)$", re.MULTILINE)


def imported_names(text: str) -> Iterator[str]:
    """Yield the modules that a file imports, those of the programs in its strings too."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            for words in IMPORT.findall(node.value):
                yield from re.findall(r"\w+", " ".join(words))


def test_no_test_module_is_imported() -> None:
    importers = {path.name: SUITES & set(imported_names(path.read_text())) for path in FILES}
    assert {name: suites for name, suites in importers.items() if suites} == {}


def test_a_test_file_fits_a_room() -> None:
    lengths = {path.name: path.read_text().count("\n") for path in FILES}
    del lengths["reference.py"]
    assert max(lengths.values()) <= 400, lengths


def test_every_name_of_a_module_is_one_file() -> None:
    """Hold that files of tests can be imported by their names, wherever they lie."""
    stems = [path.stem for path in FILES]
    assert len(stems) == len(set(stems))


def test_every_benchmark_names_what_is_there() -> None:
    # They are run by hand, seldom: importing them shows names that have moved.
    program = (
        "import runpy, sys\n"
        "for name in sys.argv[1:]:\n"
        "    sys.path[0] = name.rpartition('/')[0]\n"
        "    runpy.run_path(name, run_name='imported')\n"
    )
    scripts = sorted(str(path) for path in (TESTS.parent / "benchmarks").glob("*.py"))
    done = subprocess.run([sys.executable, "-c", program, *scripts], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

"""The page of examples, docs/library.md: its code runs, and prints what stands there."""

from __future__ import annotations

import re
import sys
from contextlib import redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import sweep
from core.errors import InputError
from core.eviction import EVICTIONS
from sweep import run

PAGE = Path(__file__).parents[1] / "docs" / "library.md"
#: A block of the page, and what is said to be printed by it.
BLOCK = re.compile(r"^```(python|yaml)\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.M | re.S)
#: A block that is a file begins with the file's name.
FILE = re.compile(r"# (\w+\.(?:py|yaml))\n")
#: What the page uses and this project does not need.
OPTIONAL = ("pandas", "polars")


def can_run(code: str) -> bool:
    return all(find_spec(name) for name in OPTIONAL if f"import {name}" in code)


@pytest.mark.timeout(120)  # where the kernels are not compiled yet
def test_the_page_of_examples_prints_what_it_says(
    tmp_path: Path, traces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "traces").symlink_to(traces)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    names: dict[str, Any] = {}
    for language, text, printed in BLOCK.findall(PAGE.read_text()):
        file = FILE.match(text)
        if file:
            (tmp_path / file[1]).write_text(text)
        elif language == "python" and can_run(text):
            output = StringIO()
            with redirect_stdout(output):
                exec(text, names)
            assert output.getvalue() == printed, text


def test_a_module_that_was_edited_does_not_stand_for_what_was_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "edited.py"
    module.write_text("from core.eviction.lru import LRU as MINE\n")
    EVICTIONS.load("edited:MINE", tmp_path)
    EVICTIONS.load("edited:MINE", tmp_path)
    module.write_text("from core.eviction.fifo import FIFO as MINE\n")
    with pytest.raises(InputError, match="has changed since it was imported"):
        EVICTIONS.load("edited:MINE", tmp_path)


def test_a_module_of_another_folder_does_not_stand_for_the_one_beside_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "namesake.py").write_text("from core.eviction.lru import LRU as MINE")
    EVICTIONS.load("namesake:MINE", tmp_path / "first")
    with pytest.raises(InputError, match=r"from .*first/namesake.py, not from .*second/namesake"):
        EVICTIONS.load("namesake:MINE", tmp_path / "second")


def test_a_module_that_exits_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "exits.py").write_text("raise SystemExit(3)")
    with pytest.raises(InputError, match="cannot be imported: SystemExit: 3"):
        EVICTIONS.load("exits:MINE", tmp_path)


def test_a_module_without_a_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # As the __main__ of a notebook is.
    module = ModuleType("fileless")
    module.__dict__["MINE"] = EVICTIONS["lru"]
    monkeypatch.setitem(sys.modules, "fileless", module)
    with pytest.raises(InputError, match="module fileless has no source file"):
        EVICTIONS.load("fileless:MINE", Path())


def test_what_no_executor_can_have_is_refused() -> None:
    with pytest.raises(InputError, match="executor cloud is not auto, threads, ray, in-process"):
        run({}, executor="cloud")
    with pytest.raises(InputError, match="threads has no cluster"):
        run({}, executor="threads", address="head:6379")
    with pytest.raises(InputError, match="in-process has one worker"):
        run({}, executor="in-process", workers=2)
    with pytest.raises(InputError, match="workers 0 is less than 1"):
        run({}, workers=0)


def test_new_and_new_if_changed_are_not_both_meant() -> None:
    with pytest.raises(ValueError, match="one of them says when to start afresh"):
        run({}, new=True, new_if_changed=True)


def test_a_study_of_numpy_numbers_is_read_and_a_loaded_one_is_no_study_to_run(
    tmp_path: Path,
) -> None:
    study = {
        "study": "numbers",
        "workload": {"synthetic": "zipf", "asks": np.int64(1000)},
        "parameters": {"folio_order": {"type": "int", "low": np.int32(0), "high": 1}},
        "objectives": [{"metric": "restored", "direction": "maximize"}],
        "sampler": {"name": "grid", "seed": np.uint8(3)},
    }
    loaded = sweep.load(study)
    assert loaded.workload[0].asks == 1000
    with pytest.raises(TypeError, match="give run what load was given"):
        sweep.run(loaded, tmp_path / "x.duckdb")  # type: ignore[arg-type]

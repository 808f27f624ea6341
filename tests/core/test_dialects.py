"""Captures as people bring them are read, or what is not read of them is said."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from core.workload.ftrace.capture import import_ftrace
from core.workload.text import TraceError

CASES = Path(__file__).parents[1] / "inputs" / "data" / "dialects.txt"
#: What a case counts as `whole`: a tagged page that comes and goes, and a folio that is reclaimed.
WHOLE = (
    "insertions=1 inserted_pages=4 reclaimed_folios=1 truncated_folios=0 tagged_allocations=1 "
    "freed_tagged_pages=1"
)


class Case(NamedTuple):
    """A capture, and what an import of it counts and says."""

    name: str
    counts: str  # `refused`, or names and numbers
    says: str
    never: str
    text: str


def case_of(part: str) -> Case:
    head, _, text = part.partition("\n---\n")
    (name, counts), *said = (line.split(": ", 1) for line in head.split("\n"))
    words = dict(said)
    return Case(name, counts, words.get("says", ""), words.get("never", ""), text)


ALL = [case_of(part) for part in re.split(r"^=== ", CASES.read_text("utf-8"), flags=re.M)[1:]]


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_each_capture_is_read_or_says_what_is_not(tmp_path: Path, case: Case) -> None:
    path = tmp_path / "capture.txt"
    path.write_text(case.text, "utf-8")
    if case.counts == "refused":
        with pytest.raises(TraceError) as refused:
            import_ftrace([path])
        said = str(refused.value)
    else:
        imported = import_ftrace([path])
        wanted = dict(pair.split("=") for pair in case.counts.replace("whole", WHOLE).split())
        assert {name: imported.counts[name] for name in wanted} == {
            name: int(count) for name, count in wanted.items()
        }
        said = "\n".join(imported.warnings)
    assert case.says in said
    assert not case.never or case.never not in said


def test_a_case_can_fail() -> None:
    assert len(ALL) > 150
    assert len({case.name for case in ALL}) == len(ALL)
    assert sum(bool(case.says) for case in ALL) > 70

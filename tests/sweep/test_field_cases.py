"""Inputs that people have, each reduced to its smallest form: none is read wrongly in silence.

The files are in tests/inputs/data/field; a test says what each is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import CommandInThisProcess, say

from core.accesses import read_accesses
from core.event_files import read_events
from core.events import ALLOC, FREE, INVALIDATE, RESTORE, STORE, TAGGED, Events

FIELD = Path(__file__).parents[1] / "inputs" / "data" / "field"


class Answer:
    """What `sweep trace import` made of a case."""

    def __init__(self, said: tuple[int, str, str], table: Path) -> None:
        self.code, self.out, self.err = said
        self.table = table

    @property
    def told(self) -> dict[str, Any]:
        assert self.code == 0, self.err
        told: dict[str, Any] = json.loads(self.out)
        return told

    @property
    def events(self) -> Events:
        assert self.code == 0, self.err
        return read_events(self.table)

    def rows(self) -> list[tuple[int, int, int]]:
        """Return (op, index, order) of each row of a folio, (op, frame, flags) of the others."""
        events = self.events
        columns = (events.op, events.index, events.order, events.pfn, events.flags)
        return [
            (op, index, order) if op <= INVALIDATE else (op, pfn, flags & TAGGED)
            for op, index, order, pfn, flags in zip(
                *(column.tolist() for column in columns), strict=True
            )
        ]

    def warnings(self) -> str:
        return "\n".join(self.told["warnings"])

    def refusal(self) -> str:
        assert (self.code, self.out) == (2, ""), (self.code, self.out)
        assert "Traceback" not in self.err
        return self.err


Import = Callable[..., Answer]


@pytest.fixture
def importing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Import:
    say_here = CommandInThisProcess(monkeypatch, capsys)

    def answer(*words: str) -> Answer:
        table = tmp_path / "o.parquet"
        files = [FIELD / word if (FIELD / word).is_file() else word for word in words]
        return Answer(say_here("trace", "import", *files, "-o", table, "--json"), table)

    return answer


#: The events of several cases, as rows.
TAGGED_AND_LARGE = [(RESTORE, 0, 4), (STORE, 0, 4)]


def folio_rows(answer: Answer) -> list[tuple[int, int, int]]:
    return [row for row in answer.rows() if row[0] <= INVALIDATE]


def test_01_flags_of_an_allocation_that_are_a_number_are_decoded(importing: Import) -> None:
    answer = importing("01-gfp-number.ftrace.txt")
    counts = answer.told["counts"]
    assert (counts["tagged_allocations"], counts["freed_tagged_pages"]) == (1, 1)


def test_03_lines_that_end_with_a_carriage_return_are_lines(importing: Import) -> None:
    answer = importing("03-crlf.ftrace.txt")
    assert folio_rows(answer) == TAGGED_AND_LARGE
    assert [row[0] for row in answer.rows()] == [ALLOC, RESTORE, STORE, FREE]
    assert "lack" not in answer.warnings()


def test_05_the_fields_option_prints_the_same_events(importing: Import) -> None:
    answer = importing("05-fields-option.ftrace.txt")
    assert folio_rows(answer) == [(RESTORE, 3, 0), (STORE, 3, 0)]


def test_07_tasks_are_told_apart_without_a_cpu(importing: Import) -> None:
    counts = importing("07-no-cpu-column.perf.txt").told["counts"]
    assert (counts["truncated_folios"], counts["reclaimed_folios"]) == (1, 0)


def test_08_the_page_size_of_a_capture_can_be_said(importing: Import) -> None:
    words = ("08-page-size-16k.ftrace.txt", "--memory", "8GiB", "--page-size", "16KiB")
    answer = importing(*words)
    assert folio_rows(answer) == [(RESTORE, 0, 0), (RESTORE, 1, 0), (RESTORE, 4, 2)]
    assert answer.events.page_size == 16384


def test_09_events_that_were_dropped_are_lost(importing: Import) -> None:
    answer = importing("09-events-dropped.trace-cmd.txt")
    assert "4,711 events were lost" in answer.warnings()
    assert "are no events" not in answer.warnings()
    assert "4,711 events were lost" in "\n".join(answer.events.import_warnings())


def test_10_events_that_were_overwritten_are_told(importing: Import) -> None:
    answer = importing("10-ring-overwritten.ftrace.txt")
    assert "99,326" in answer.warnings()
    assert "99,326" in "\n".join(answer.events.import_warnings())


def test_11_frames_of_file_events_lie_in_the_memory_that_is_told(importing: Import) -> None:
    answer = importing("11-file-events-only.ftrace.txt")
    if answer.code == 2:
        assert "--memory" in answer.refusal()
        return
    events = answer.events
    assert f"from {0x2776A0 >> 15 << 15:#x}" in answer.warnings()
    assert events.data_pages >= 2
    assert "file events only" in "\n".join(events.import_warnings())


def test_12_microseconds_of_an_epoch_are_no_seconds(importing: Import) -> None:
    columns = "time=timestamp,file=device_id,size=length,op=opcode"
    answer = importing("12-epoch-microseconds.csv", "--columns", columns)
    time_ns = read_accesses(answer.table).time_ns
    assert answer.code == 0
    assert time_ns[-1] - time_ns[0] == 124_000


def test_14_a_get_reads_and_a_set_writes(importing: Import) -> None:
    answer = importing("14-op-get-set.csv", "--columns", "time=op_time,file=key")
    counts = answer.told["counts"]
    assert (counts["requests"], counts["writes"]) == (2, 1)


def test_15_a_blank_operation_is_counted_and_not_used(importing: Import) -> None:
    columns = "time=Timestamp,file=LUN,offset=Offset,size=Size,op=IOType"
    answer = importing("15-op-blank.csv", "--columns", columns)
    assert answer.told["counts"]["requests"] == 1
    assert sum(answer.told["unused"].values()) == 1


@pytest.mark.parametrize("words", [(), ("--format", "csv")])
def test_16_a_table_without_a_header_is_no_ftrace(importing: Import, words: tuple[str]) -> None:
    answer = importing("16-no-header.csv", *words)
    if answer.code == 0:
        assert answer.told["counts"]["requests"] == 2
        return
    assert "ftrace" not in answer.refusal()
    assert "--columns" in answer.refusal()


def test_16_columns_can_be_numbered(importing: Import) -> None:
    columns = "time=5,file=1,offset=3,size=4,op=2"
    answer = importing("16-no-header.csv", "--columns", columns)
    assert answer.told["counts"]["requests"] == 2
    assert answer.told["counts"]["writes"] == 1


@pytest.mark.parametrize("words", [(), ("--format", "msr")])
def test_17_a_trace_of_msr_may_have_its_header(importing: Import, words: tuple[str]) -> None:
    counts = importing("17-msr-with-header.csv", *words).told["counts"]
    assert (counts["requests"], counts["files"], counts["writes"]) == (2, 2, 1)


def test_18_the_index_of_a_data_frame_is_no_column(importing: Import) -> None:
    counts = importing("18-pandas-index.csv").told["counts"]
    assert (counts["requests"], counts["files"], counts["writes"]) == (2, 2, 1)


@pytest.mark.parametrize("words", [(), ("--format", "csv")])
def test_19_tabs_separate_columns_too(importing: Import, words: tuple[str]) -> None:
    counts = importing("19-tab-separated.tsv", *words).told["counts"]
    assert (counts["requests"], counts["requested_pages"]) == (2, 3)


def test_20_blkparse_first_names_its_files(importing: Import) -> None:
    counts = importing("20-blkparse-input-file-line.txt").told["counts"]
    assert (counts["requests"], counts["writes"]) == (2, 1)


def test_21_requests_that_were_issued_stand_for_those_queued(importing: Import) -> None:
    answer = importing("21-blkparse-issue-complete-only.txt")
    if answer.code == 2:
        assert "Q" in answer.refusal()
        return
    assert answer.told["counts"]["requests"] == 1
    assert "queued" in answer.warnings()


def test_22_xz_is_named_as_xz(importing: Import) -> None:
    name = "22-xz-taken-for-oracle-general.txt.xz"
    assert "xz" in importing(name).refusal().replace(name, "")


def test_23_a_binary_trace_is_named_with_what_makes_text_of_it(importing: Import) -> None:
    assert "trace-cmd report" in importing("23-trace-cmd-binary.dat").refusal()


def test_24_utf_16_is_text(importing: Import) -> None:
    assert folio_rows(importing("24-powershell-utf16.ftrace.txt")) == TAGGED_AND_LARGE


def test_25_a_clock_that_counts_is_no_time(importing: Import) -> None:
    refusal = importing("25-counter-clock.ftrace.txt").refusal()
    assert "x86-tsc" in refusal
    assert "second" in refusal


def test_26_a_name_in_a_log_of_fio_may_have_spaces(importing: Import) -> None:
    counts = importing("26-fio-name-with-space.log").told["counts"]
    assert (counts["requests"], counts["requested_pages"], counts["writes"]) == (1, 1, 0)


def test_27_files_of_several_cpus_are_merged_by_time(importing: Import) -> None:
    answer = importing("27-per-cpu0.ftrace.txt", "27-per-cpu1.ftrace.txt")
    assert [row[0] for row in folio_rows(answer)] == [RESTORE, STORE, RESTORE]
    assert np.diff(answer.events.time_ns).tolist() == [1_000_001_000, 1_000_001_000]


def test_30_a_merge_key_of_yaml_is_applied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say_here = CommandInThisProcess(monkeypatch, capsys)
    code, out, err = say_here("validate", FIELD / "30-merge-key.yaml")
    assert (code, "headroom" in out + err) == (0, True), err


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
    ids=["latin-1", "cp1252", "C"],
)
def test_31_any_encoding_shows_a_trace(
    tmp_path: Path, traces: Path, environment: dict[str, str]
) -> None:
    import os

    code, out, err = say(
        "trace", "info", traces / "mixed-xfs.parquet", env=os.environ | environment
    )
    assert code == 0, err
    assert "tagged pages over time" in out

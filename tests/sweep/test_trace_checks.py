"""An import that disagrees with the kernel's own counters says so, and so does its table."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest
from captures import CAPTURE_PART
from commands import CommandInThisProcess

ZONEINFO = "Node 0, zone DMA\n pages free 1\n spanned 65536\n present 65536\n start_pfn: 262144\n"
#: What reclaim takes from the page cache in `CAPTURE_PART`, in pages.
RECLAIMED = 1289


@pytest.fixture
def say_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandInThisProcess:
    """Return `say` in this process."""
    return CommandInThisProcess(monkeypatch, capsys)


def capture_with_archive(folder: Path, reclaimed: int) -> Path:
    """Return a capture beside whose text an archive says how many pages its kernel reclaimed."""
    trace = folder / "phone.ftrace.txt.gz"
    shutil.copy(CAPTURE_PART, trace)
    texts = {"zoneinfo.before": ZONEINFO, "vmstat.before": "pgsteal_file 500\n",
             "vmstat.after": f"pgsteal_file {500 + reclaimed}\n"}  # fmt: skip
    with tarfile.open(folder / "phone.meta.tar.gz", "w:gz") as archive:
        for name, content in texts.items():
            member = tarfile.TarInfo(f"phone.meta/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    return trace


def test_a_kernel_that_counted_five_percent_more_is_a_warning_that_stays_on_the_trace(
    tmp_path: Path, say_here: CommandInThisProcess
) -> None:
    trace, table = capture_with_archive(tmp_path, 1353), tmp_path / "x.parquet"
    warning = (
        "reclaimed_pages: the kernel counted 1,353 (pgsteal_file of /proc/vmstat), the import "
        "1,289, 4.7% fewer: "
    )
    code, out, err = say_here("trace", "import", trace, "-o", table)
    assert code == 0, err
    assert f"warning: {trace}: {warning}" in err
    shown = "  reclaimed_pages                  1,353         1,289     -4.73 %\n"
    assert shown in err
    assert shown not in out
    for path in (table, tmp_path / "again.parquet"):
        code, out, err = say_here("trace", "info", path)
        assert code == 0, err
        assert f"  warning: {warning}" in out
        assert shown in out
        code, out, err = say_here("trace", "info", path, "--json")
        told = json.loads(out)
        (of_check,) = told["import_warnings"]
        assert of_check.startswith(warning)
        assert told["checks"][0] | {"difference_ratio": 0} == {
            "name": "reclaimed_pages", "theirs": 1353, "ours": RECLAIMED, "difference_ratio": 0
        }  # fmt: skip
        if path == table:
            code, _, err = say_here("trace", "repair", path, "-o", tmp_path / "again.parquet")
            assert code == 0, err


def test_a_kernel_that_counted_the_same_is_shown_without_a_warning(
    tmp_path: Path, say_here: CommandInThisProcess
) -> None:
    trace, table = capture_with_archive(tmp_path, RECLAIMED), tmp_path / "x.parquet"
    code, out, err = say_here("trace", "import", trace, "-o", table, "--json")
    assert code == 0, err
    assert "  reclaimed_pages                  1,289         1,289     +0.00 %\n" in err
    answer = json.loads(out)
    assert [check["name"] for check in answer["checks"]] == [
        "reclaimed_pages", "tagged_pages", "tagged_groups"
    ]  # fmt: skip
    assert not [warning for warning in answer["warnings"] if "the kernel counted" in warning]
    code, out, err = say_here("trace", "info", table)
    assert "checked against the kernel" in out
    assert "the kernel counted" not in out


def test_a_table_that_was_checked_against_nothing_shows_no_checks(
    traces: Path, say_here: CommandInThisProcess
) -> None:
    code, out, err = say_here("trace", "info", traces / "mixed-xfs.parquet")
    assert code == 0, err
    assert "checked against" not in out
    assert "warning" not in out

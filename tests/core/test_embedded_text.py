"""The text of ftrace is taken out of pages of HTML and JSON, line for line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from core.workload import text as text_module
from core.workload.formats import detect
from core.workload.ftrace.capture import import_ftrace
from core.workload.text import TraceError, read_chunks

LINE = (
    "  app-{} [001] ..... 10.{:06}: mm_page_alloc: pfn=0x{:x} order=0 migratetype=1 gfp_flags=GFP"
)
TEXT = "# tracer: nop\n#\n" + "".join(
    LINE.format(number % 9, number, 0x40000 + number) + "\n" for number in range(2000)
)
SCRIPT = '<script class="trace-data" type="application/text">\n'
PAGE = (
    "<!DOCTYPE html>\n<html>\n<head>\n<script>\nvar viewer = 1;\n</script>\n<!-- BEGIN TRACE -->\n"
    f"  {SCRIPT}PROCESS DUMP\nUSER PID\nroot 1\n  </script>\n  {SCRIPT}{TEXT}  </script>\n"
    f"{SCRIPT}{{}}\n</script>\n</html>\n"
)
OLD_PAGE = (
    '<!DOCTYPE HTML>\n<html>\n<script>\n  var linuxPerfData = "\\\n'
    + TEXT.replace("\n", "\\n\\\n")
    + '\\n";\n</script>\n</html>\n'
)


def lines_read(path: Path, content: bytes) -> list[str]:
    path.write_bytes(content)
    return b"".join(text for _, text in read_chunks([path])).decode().split("\n")


@pytest.mark.parametrize("page", [PAGE, OLD_PAGE], ids=["script", "string"])
@pytest.mark.parametrize("size", [97, 4 << 20])
def test_the_text_in_a_page_is_read_and_keeps_its_line_numbers(
    page: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_module, "CHUNK_BYTES", size)
    read = lines_read(tmp_path / "trace.html", page.encode())
    assert [line for line in read if line.strip()] == TEXT.splitlines()
    for number, line in enumerate(page.splitlines()):
        if "mm_page_alloc" in line:
            assert read[number] == line.removesuffix("\\n\\"), number
    assert detect(tmp_path / "trace.html").name == "ftrace"


def test_a_page_that_a_browser_saved_has_its_entities_replaced(tmp_path: Path) -> None:
    text = TEXT.replace("app-1 ", "&lt;...&gt;-1 ")
    read = lines_read(tmp_path / "t", f"<html>\n{SCRIPT}{text}</script>".encode())
    assert any("<...>-1 " in line for line in read)
    assert not any("&" in line for line in read)


@pytest.mark.parametrize("size", [97, 4 << 20])
def test_the_string_of_a_trace_viewer_is_read(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_module, "CHUNK_BYTES", size)
    text = TEXT + '  tab\there "quoted" back\\slash \\n 日本 😀 /x\n'
    told = {"traceEvents": [{"ph": "X", "name": 'a"b'}], "systemTraceEvents": text, "other": "x"}
    for ascii_only in (True, False):
        content = json.dumps(told, ensure_ascii=ascii_only).encode()
        assert lines_read(tmp_path / "t.json", content) == text.split("\n")


def test_a_page_is_imported_as_its_text_is(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(TEXT.replace("GFP", "GFP_USER|__GFP_ZEROTAGS"))
    plain = import_ftrace([tmp_path / "a"]).events
    page = PAGE.replace("GFP", "GFP_USER|__GFP_ZEROTAGS").encode()
    (tmp_path / "b").write_bytes(gzip.compress(page))
    taken = import_ftrace([tmp_path / "b"]).events
    assert plain.op.size == taken.op.size == 2000
    assert (plain.pfn == taken.pfn).all()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html><title>404</title></html>", "a page of HTML with no text of ftrace"),
        (b"<!doctype html>\n" + SCRIPT.encode() + b"PROCESS DUMP\n</script>", "a page of HTML"),
        (b'{"traceEvents": [{"ph": "X"}]}', "JSON of a trace viewer with no text of ftrace"),
        (b'[{"name": "a", "ph": "X", "ts": 1}]', "JSON of a trace viewer"),
    ],
)
def test_a_page_without_it_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=said):
        lines_read(tmp_path / "t", content)

"""Traces of every format and dialect, damaged by chance: what users may bring by mistake."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import re
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import perfetto_traces
import pyarrow as pa
from format_examples import capture_text, examples
from ftrace_dialects import DIALECTS, line_of

from core.workload.formats import FORMATS

FIELD = Path(__file__).parent / "data" / "field"
#: Mutants are damaged in a part of an original that is not longer than this.
_LONGEST_BYTES = 24_000
_NUMBER = re.compile(rb"0x[0-9a-fA-F]+|\d+(?:\.\d+)?")
_NUMBERS = (
    b"0", b"-1", b"-0", b"1", b"7fffffff", b"2147483648", b"4294967295", b"4294967296",
    b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808",
    b"18446744073709551615", b"18446744073709551616", b"9" * 40, b"0" * 40 + b"7", b"1e400",
    b"-1e400", b"1e-400", b"NaN", b"inf", b"-inf", b"1.5", b".5", b"5.", b"0x",
    b"0xffffffffffffffff", b"0x1ffffffffffffffff", b"ffffffffffffffff", b"1_000", b"1,000",
    b"+3", b"\xd9\xa3", b"\xc2\xb2", b"", b" ", b"None",
)  # fmt: skip
_SCRAPS = (
    b"\0", b"\0" * 9, b"\n", b"\r", b"\r\n", b"\n\n\n", b",", b";", b"\t", b"|", b" ", b'"', b"'",
    b"\\", b"{", b"}", b"[", b"]", b"<", b">", b"&#0;", b"\\u0000", b"\\ud800", b"#", b"%", b":",
    b"=", b"-", b"\x1b[31m", b"\x1a", b"\x7f", b"\xff", b"\xfe\xff", b"\xc3\x28", b"\xed\xa0\x80",
    b"\xe2\x80\xa8", b"\xc2\x85", b"\x0b\x0c", b"=3D", b"CPU:0 [LOST 3 EVENTS]\n",
    b"# tracer: nop\n", b"time,file,offset,size,op\n", b"fio version 3 iolog\n", b"</script>",
)  # fmt: skip
_WORDS = (0, 1, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)

#: Changes the bytes of a trace by chance.
Mutation = Callable[[random.Random, bytes], bytes]


class Mutant(NamedTuple):
    """A damaged file: what it was, its name, its bytes, and the options it is imported with."""

    origin: str
    name: str
    content: bytes
    words: tuple[str, ...]


def _page(text: bytes) -> bytes:
    begin = b"<!DOCTYPE html>\n<html>\n"
    return begin + b'<script class="trace-data">\n# tracer: nop\n' + text + b"</script>\n</html>\n"


def _old_page(text: bytes) -> bytes:
    lines = text.replace(b"\n", b"\\n\\\n")
    return b'<!DOCTYPE HTML>\n<script>\n var linuxPerfData = "\\\n' + lines + b'\\n";\n</script>\n'


def _viewer(text: bytes) -> bytes:
    told = {"traceEvents": [{"ph": "X"}], "systemTraceEvents": text.decode(errors="replace")}
    return json.dumps(told).encode()


def _zip(content: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("trace", content)
    return made.getvalue()


def _text_as(encoding: str) -> Callable[[bytes], bytes]:
    return lambda content: content.decode("latin-1").encode(encoding)


#: What a trace may come in, by what its file's name ends with.
WRAPPINGS: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    (".gz", lambda content: gzip.compress(content, 1)),
    (".zst", lambda content: bytes(pa.Codec("zstd").compress(content, asbytes=True))),
    (".lz4", lambda content: bytes(pa.Codec("lz4").compress(content, asbytes=True))),
    (".xz", lambda content: lzma.compress(content, preset=0)),
    (".lzma", lambda content: lzma.compress(content, lzma.FORMAT_ALONE, preset=0)),
    (".bz2", lambda content: bz2.compress(content, 1)),
    (".zip", _zip),
    ("", lambda content: b"TRACE:\n" + zlib.compress(content)),
    (".txt", _text_as("utf-16")),
    (".txt", _text_as("utf-16-be")),
    (".txt", _text_as("utf-32")),
    (".csv", lambda content: b"\xef\xbb\xbf" + content),
    (".txt", lambda content: content.replace(b"\n", b"\r\n")),
    (".txt", lambda content: content.replace(b"\n", b"\r")),
    (".html", _page),
    (".html", _old_page),
    (".json", _viewer),
)


@cache
def originals() -> tuple[tuple[str, bytes], ...]:
    """Return (name, content) of a trace of every format, of every dialect, and of each case."""
    of_formats = [
        (f"{example.form}{'.csv' if example.format.form else ''}", example.content)
        for example in examples()
    ]
    events = perfetto_traces.spread(perfetto_traces.ALL_KINDS * 2)
    stamped = re.sub(r"\.(\d{6})\d{3}: ", r".\1: ", perfetto_traces.as_text(events))
    lines = [line_of(line) for line in stamped.splitlines()]
    of_dialects = [
        (f"{name.replace('/', ' ')}.txt", "".join(form(line) + "\n" for line in lines).encode())
        for name, form in DIALECTS.items()
    ]
    cases = [(path.name, path.read_bytes()) for path in sorted(FIELD.iterdir()) if path.is_file()]
    return (*of_formats, *of_dialects, *cases, ("part.ftrace.txt", capture_text(60)))


def _place(rng: random.Random, content: bytes) -> int:
    """Return a place in the content; its beginning, which tells the format, more often."""
    return rng.randrange(min(len(content), rng.choice([8, 64, 512, 1 << 30])) + 1)


def _flip(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 3, 20])):
        if changed:
            changed[_place(rng, content) % len(changed)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _insert(rng: random.Random, content: bytes) -> bytes:
    at = _place(rng, content)
    return content[:at] + rng.choice([*_SCRAPS, rng.randbytes(6)]) + content[at:]


def _delete(rng: random.Random, content: bytes) -> bytes:
    at = _place(rng, content)
    return content[:at] + content[at + rng.choice([1, 2, 7, 60, 3000]) :]


def _duplicate(rng: random.Random, content: bytes) -> bytes:
    at = _place(rng, content)
    part = content[at : at + rng.choice([1, 8, 100, 2000])]
    return content[:at] + part * rng.choice([2, 3, 20]) + content[at:]


def _truncate(rng: random.Random, content: bytes) -> bytes:
    return content[: _place(rng, content)]


def _splice(rng: random.Random, content: bytes) -> bytes:
    _, other = rng.choice(originals())
    begin = _place(rng, other)
    return content[: _place(rng, content)] + other[begin : begin + 4000]


def _number(rng: random.Random, content: bytes) -> bytes:
    for _ in range(rng.choice([1, 2, 6])):
        at = _place(rng, content)
        content = content[:at] + _NUMBER.sub(rng.choice(_NUMBERS), content[at:], count=1)
    return content


def _numbers_of_a_column(rng: random.Random, content: bytes) -> bytes:
    """Put one number in place of the same one of all numbers in each line."""
    wanted, value = rng.randrange(8), rng.choice(_NUMBERS)
    lines = content.split(b"\n")
    for number, line in enumerate(lines):
        places = list(_NUMBER.finditer(line))
        if wanted < len(places) and rng.random() < 0.9:
            begin, end = places[wanted].span()
            lines[number] = line[:begin] + value + line[end:]
    return b"\n".join(lines)


def _word(rng: random.Random, content: bytes) -> bytes:
    size = rng.choice([1, 2, 4, 8])
    at = _place(rng, content) // size * size
    word = (rng.choice(_WORDS) % (1 << 8 * size)).to_bytes(size, rng.choice(["little", "big"]))
    return content[:at] + word + content[at + size :]


def _lines(rng: random.Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    how = rng.randrange(4)
    if how == 0:
        rng.shuffle(lines)
    elif how == 1:
        lines.reverse()
    elif how == 2:
        lines = [line for line in lines if rng.random() < 0.7]
    else:
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines)[: rng.randrange(60)])
    return b"\n".join(lines)


def _very_long(rng: random.Random, content: bytes) -> bytes:
    scrap = rng.choice(
        [b"x", b",", b" ", b"9", b"{", b"[", b"<div>", b"\t", b'"', b"=", b"|", b"\\"]
    )
    at = _place(rng, content)
    return content[:at] + scrap * rng.choice([300, 5000, 60_000]) + content[at:]


MUTATIONS: tuple[Mutation, ...] = (
    _flip, _insert, _delete, _duplicate, _truncate, _splice, _number, _number,
    _numbers_of_a_column, _word, _lines, _very_long,
)  # fmt: skip


def _options(rng: random.Random) -> tuple[str, ...]:
    """Return options that fit the format that they name, or none."""
    if rng.random() < 0.6:
        return ("--json",) if rng.random() < 0.2 else ()
    row = rng.choice(FORMATS)
    words = ["--format", row.name]
    values = {
        "--page-size": ("4KiB", "16KiB", "64KiB"),
        "--memory-start": ("0x40000000", "0"),
        "--time-unit": ("ns", "s", "100ns"),
        "--offset-unit": ("512", "1GiB"),
        "--size-unit": ("512", "1"),
        "--columns": ("time=1,offset=3", "time=time,file=2,offset=3,size=4", "file=1"),
        "--delimiter": ("comma", "space", "tab"),
        "--reads": ("R,read", "0"),
        "--writes": ("write,W", "1"),
    }
    memory = False
    for option in row.options:
        if rng.random() < 0.75:
            continue
        if option in values:
            words += [option, rng.choice(values[option])]
            memory = memory or option == "--memory-start"
        elif option in ("--plain", "--ignore-size"):
            words.append(option)
            memory = memory or option == "--plain"
        elif option == "--accesses":
            words += [option, "accesses.parquet"]
    if memory:
        words += ["--memory", rng.choice(["64MiB", "2GiB"])]
    return tuple(words)


def mutant(seed: int) -> Mutant:
    """Return the damaged trace of a seed."""
    rng = random.Random(seed)
    name, content = originals()[rng.randrange(len(originals()))]
    content = content[:_LONGEST_BYTES]
    done = []
    for _ in range(rng.choice([1, 1, 2, 4])):
        mutation = rng.choice(MUTATIONS)
        content = mutation(rng, content)
        done.append(mutation.__name__)
    origin = name
    if rng.random() < 0.3:
        ending, wrap = rng.choice(WRAPPINGS)
        content, name = wrap(content), name + ending
        if rng.random() < 0.4:
            mutation = rng.choice(MUTATIONS)
            content = mutation(rng, content)
            done.append(f"{ending} and {mutation.__name__}")
    return Mutant(f"{origin}: {', '.join(done)}", name, content, _options(rng))


@cache
def bombs() -> dict[str, bytes]:
    """Return small files, by name, that are of many MiB once decompressed."""
    zeros, lines = bytes(10 << 20), b"\n" * (10 << 20)
    commas = (b"1,2,3,4,5\n" * 1000 + b"," * 30_000 + b"\n") * 50
    page = _page(b"x" * (200 << 20))
    made = {"zeros.gz": zeros, "newlines.gz": lines, "newlines.zst": lines, "commas.xz": commas}
    made["page.gz"] = page
    wraps = dict(WRAPPINGS)
    return {name: wraps[Path(name).suffix](content) for name, content in made.items()}

"""Tables and archives, damaged by chance: bytes, what metadata claims, and values of rows."""

from __future__ import annotations

import io
import json
import random
import tarfile
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from access_rows import as_accesses, skewed_rows
from mutated_traces import MUTATIONS

from core import accesses, event_files
from core.accesses import Accesses
from core.events import ALLOC, FREE, PHASE, RESIZE, RESTORE, SCHEMA, STORE, TAGGED
from core.table_files import TableForm

_INTEGERS = (
    *(0, 1, -1, 7, 8, 13, 14, 63, 127, 128, 255, 256, 4096, 2**16, 2**31 - 1, 2**31),
    *(2**32 - 1, 2**32, 2**40, 2**40 + 4095, 2**53, 2**62 - 1, 2**62, 2**63 - 1, 2**63, -(2**63)),
    *(2**64 - 1, 2**64, 10**400),
)
_VALUES: tuple[Any, ...] = (
    *_INTEGERS,
    *(None, True, False, 0.5, -1.5, 1e308, float("nan"), float("inf"), "", "x", "\0", "\x1b[2J"),
    *("{0.__class__}", "{count}", "\ud800", "a\nb", "recorded", [], {}, [[1, 2]], [[2, 1], [0, 9]]),
    *([["x"]], {"x": 3}, {"x": -1}, {"\x1b]0;x\x07": 2**70}, ["a", "a"], ["\x1b[31m"]),
    *([{"name": "x", "count": 3, "where": "{0}"}], [{"name": "x", "theirs": 0, "ours": 2**64 - 1}]),
    *([{"name": "guessed_page_size", "count": -5}], [[[[[[]]]]]]),
)
#: Files of an archive, as a recorder writes them, for damage.
_ZONEINFO = """\
Node 0, zone      DMA
  pages free     3000
        min      20
        low      25
        high     30
        spanned  65536
        present  65536
        managed  60000
  start_pfn:           262144
"""
_ARCHIVE = {
    "zoneinfo": _ZONEINFO,
    "page_size": "4096\n",
    "version": "Linux version 6.12.0 (x@y) #1 SMP\n",
    "swaps": "Filename\t\tType\t\tSize\t\tUsed\n/dev/zram0  partition  204800  0  100\n",
    "page_flags": "workingset 9\nmappedtodisk 16\n",
    "vmstat.before": "pgsteal_file 10\npgalloc_normal 100\n",
    "vmstat.after": "pgsteal_file 500\npgalloc_normal 900\npgfree 300\n",
    "cc.before": "slots 5 stored 3\n",
    "cc.after": "slots 900\nstored 700\nrestored_walk 30\n",
    "samples": "0.5 sampled_pages 1000\n0.5 tagged_pages 10\n1.5 tagged_pages 20\n",
    "events": "mm_filemap:mm_filemap_add_to_page_cache kmem:mm_page_alloc\n",
    "cgroups": "12 /a/b\n13 /c\n",
}


class Damaged(NamedTuple):
    """A damaged file: how it was damaged, and its bytes."""

    how: str
    content: bytes


@cache
def _tables() -> tuple[tuple[TableForm, dict[str, np.ndarray], dict[str, Any]], ...]:
    """Return (form, columns, metadata) of a table of mm events, and of an access trace."""
    size, rng = 400, np.random.default_rng(18)
    op = rng.choice([STORE, RESTORE, STORE, RESTORE, ALLOC, FREE, PHASE, RESIZE], size)
    frame = np.cumsum(op == ALLOC)
    op[frame == 0] = STORE
    op[(op == FREE) & (np.diff(frame, prepend=0) == 0)] = RESTORE
    op[1:][(op[1:] == FREE) & (op[:-1] != ALLOC)] = RESTORE
    columns = {
        "time_ns": np.cumsum(rng.integers(0, 10**6, size)),
        "op": op,
        "inode": rng.integers(0, 5, size),
        "index": np.where(op == PHASE, 0, rng.integers(0, 99, size)),
        "order": np.zeros(size),
        "pfn": np.where((op == ALLOC) | (op == FREE), frame, 99),
        "flags": np.where(op == ALLOC, TAGGED, 0),
    }
    events = {
        name: columns[name].astype(SCHEMA.field(name).type.to_pandas_dtype()) for name in columns
    }
    about = {
        "version": 2, "page_size": 4096, "data_pages": 4096, "source": "x", "requests": False,
        "phases": ["a"], "workingset": "inferred", "workingset_inferred_ratio": 0.5,
        "mapped": "unknown", "left_out": {"metadata_pages": 3}, "cache_counters": {"slots": 1},
        "checks": [{"name": "returned_pages", "theirs": 100, "ours": 90}],
        "losses": [{"name": "dropped_rows", "count": 1, "where": "here"}],
        "sampled": {"sampled_pages": 100, "tagged_pages_peak": 5},
    }  # fmt: skip
    traced = as_accesses(skewed_rows())
    of_traced = {
        name: getattr(traced, name) for name in Accesses._fields if name not in traced.columns
    }
    of_traced |= {"version": 2, "losses": []}
    return (
        (event_files.FORM, events, about),
        (accesses.FORM, traced.columns, json.loads(json.dumps(of_traced))),
    )


def undamaged_tables() -> list[bytes]:
    """Return the files that are damaged, as they are before."""
    return [_written(*each, has_checksums=True) for each in _tables()]


def damaged_table(seed: int) -> Damaged:
    """Return the damaged table of a seed: of bytes as we write them, or of an earlier version's."""
    rng = random.Random(seed)
    form, columns, about = rng.choice(_tables())
    how = rng.choice(("bytes", "metadata", "rows", "rows and metadata"))
    if how == "bytes":
        content = _written(form, columns, about, has_checksums=True)
        mutation = rng.choice(MUTATIONS)
        return Damaged(f"{form.name}: {mutation.__name__}", mutation(rng, content))
    columns, about = dict(columns), dict(about)
    if "rows" in how:
        for _ in range(rng.choice((1, 1, 2, 5))):
            _damage_rows(rng, columns)
    if "metadata" in how:
        for _ in range(rng.choice((1, 1, 3))):
            about[rng.choice([*about, "x"])] = rng.choice(_VALUES)
            if rng.random() < 0.2:
                about.pop(rng.choice(list(about)))
    return Damaged(f"{form.name}: {how}", _written(form, columns, about, has_checksums=False))


def _damage_rows(rng: random.Random, columns: dict[str, np.ndarray]) -> None:
    name = rng.choice(list(columns))
    column = columns[name].copy()
    limits = np.iinfo(column.dtype)
    at = rng.randrange(column.size)
    end = min(column.size, at + rng.choice((1, 1, 3, 1000)))
    how = rng.randrange(4)
    if how < 3:
        column[at:end] = min(max(rng.choice(_INTEGERS), limits.min), limits.max)
        columns[name] = column
    else:
        order = list(range(column.size))
        rng.shuffle(order)
        for each in columns if rng.random() < 0.5 else [name]:
            columns[each] = columns[each][order]


def _written(
    form: TableForm, columns: dict[str, np.ndarray], about: dict[str, Any], has_checksums: bool
) -> bytes:
    schema = form.schema.with_metadata({form.key: json.dumps(about).encode()})
    table = pa.table([pa.array(columns[name]) for name in form.schema.names], schema=schema)
    content = io.BytesIO()
    parquet.write_table(
        table, content, compression="zstd", write_page_checksum=has_checksums, row_group_size=300
    )
    return content.getvalue()


def damaged_archive(seed: int) -> Damaged:
    """Return the damaged archive of a recording of a seed."""
    rng = random.Random(seed)
    files = {name: text.encode() for name, text in _ARCHIVE.items()}
    done = []
    for _ in range(rng.choice((0, 1, 2, 4))):
        name, mutation = rng.choice(list(files)), rng.choice(MUTATIONS)
        files[name] = mutation(rng, files[name])
        done.append(f"{name} {mutation.__name__}")
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=rng.choice(("w", "w:gz"))) as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"capture.meta/{name}")
            member.size = len(text)
            member.type = rng.choice((tarfile.REGTYPE,) * 30 + (tarfile.SYMTYPE, tarfile.FIFOTYPE))
            archive.addfile(member, io.BytesIO(text))
    packed = content.getvalue()
    if not done or rng.random() < 0.3:
        mutation = rng.choice(MUTATIONS)
        packed = mutation(rng, packed)
        done.append(mutation.__name__)
    return Damaged(f"an archive: {', '.join(done)}", packed)

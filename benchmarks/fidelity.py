"""What the front end does beside what the kernel did: captures' accesses, on one memory or another.

``python benchmarks/fidelity.py NAME.ftrace.txt.zst…``, with NAME.meta.tar.gz beside each, prints a
table for each capture, and a matrix for those that differ in nothing but memory: each from each
other's accesses. ``--at SIZE CAPTURE…`` prints what the accesses of the first one become on a
machine of SIZE, beside a kernel's figures if another capture has that size. ``--write`` renews the
tables of docs/fidelity.md and core/frontend/measured_errors.json from all captures that are given.

The matrix says in brackets what the same run gives if up to 128 pages more or fewer are free when
it begins: an error smaller than that spread says nothing.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from core.accesses import Accesses
from core.events import INVALIDATE, Events
from core.frontend.measured_errors import ROWS_FILE, Measured
from core.frontend.out_of_memory import OutOfMemory
from core.frontend.run import FrontEnd, Reclaim, run_frontend
from core.workload.ftrace.capture import import_ftrace
from core.workload.ftrace.memory import meta_beside, read_memory
from core.workload.resized import on_machine
from core.workload.survey import BLOCK_PAGES, survey_events
from core.workload.text import TraceError
from sweep.study.values import size_in_bytes

DOCUMENT = Path(__file__).parent.parent / "docs" / "fidelity.md"
EVICTED, REFAULTS = "pages evicted", "refaults, as the kernel counts them"
#: What is held against the kernel on other sizes too, by its name in `Measured`.
MEASURED = {"evictions": EVICTED, "refaults": REFAULTS}
#: Pages that are more, or fewer, free when a run begins that is to show how much hangs on them.
SHIFTS = tuple(sign * pages for pages in (8, 16, 32, 64, 128) for sign in (-1, 1))
#: Rows of the short table.
SHORT = {
    **{"evicted": EVICTED, "refaults": REFAULTS, "activations": "workingset activations"},
    "page cache at the end": "pages in the page cache at the end",
    **{"commands": "their commands", "reservations": "reservations, block of 1"},
    **{"amplification": "amplification, block of 1"},
}
ITSELF = (
    "The kernel against itself (one script twice, outside of this repository): refaults of the "
    "database differ by 0.7 %, of the launches by 6 %; evictions of the launches by 7.5 %; "
    "amplification by 12 %. No model can be held closer than that."
)
Figures = dict[str, float]


class Capture(NamedTuple):
    name: str
    # Its reclaim, and its command line but for memory: of those alike, only memory differs.
    alike: str
    front_end: FrontEnd
    accesses: Accesses
    kernel: Figures

    @property
    def kind(self) -> str:
        return self.name.partition("-")[0]


def meta_texts(meta: Path) -> dict[str, str]:
    """Return the files of a recording's archive that are read here, by name."""
    texts = {}
    with tarfile.open(meta) as archive:
        for name in ("vmstat.after", "thp_lrugen", "swaps", "cmdline"):
            file = archive.extractfile(f"meta/{name}")
            assert file is not None
            texts[name] = file.read().decode()
    return texts


def recorded_settings(texts: dict[str, str]) -> FrontEnd:
    """Return the settings of a recorded kernel: its lru_gen and its swap."""
    enabled = int(texts["thp_lrugen"].split()[-1], 16)
    swaps = [line.split() for line in texts["swaps"].splitlines()[1:]]
    zram, device = (
        sum(int(kib) * 1024 for name, _, kib, *_ in swaps if ("zram" in name) == is_zram)
        for is_zram in (True, False)
    )
    reclaim = Reclaim.MGLRU if enabled else Reclaim.ACTIVE_INACTIVE
    return FrontEnd(reclaim=reclaim, zram_size=zram, swap_size=0 if zram else device)


def of_tables(events: Events) -> Figures:
    """Return the figures that are counted in a table, a kernel's or the front end's."""
    seen = survey_events(events).figures
    figures = {"read requests of files": seen["requests"]["count"]}
    figures["their commands"] = seen["requests"]["commands"]
    for pages in BLOCK_PAGES:
        block = seen["tag_blocks_by_pages"][pages]
        figures[f"reservations, block of {pages}"] = block["reservations"]
        figures[f"amplification, block of {pages}"] = block["amplification"]
    return figures | {"kernel_refaults": seen["kernel_refaults"]}


def read_capture(path: Path) -> Capture:
    meta = meta_beside(path)
    assert meta is not None, f"{path}: no archive beside it"
    texts = meta_texts(meta)
    vmstat = {key: int(value) for key, value in map(str.split, texts["vmstat.after"].splitlines())}
    imported = import_ftrace([path], read_memory(meta), path.name, with_accesses=True)
    assert imported.accesses is not None
    tables = of_tables(imported.events)
    # Metadata, and what writes make, are in no row: both sides count them here.
    counts = imported.counts
    truncated = imported.events.order[imported.events.op == INVALIDATE].astype(np.int64)
    left = counts["inserted_pages"] - counts["reclaimed_pages"] - int((1 << truncated).sum())
    kernel = {
        "pages brought into the page cache": counts["inserted_pages"],
        EVICTED: counts["reclaimed_pages"],
        REFAULTS: tables.pop("kernel_refaults"),
        "workingset activations": vmstat["workingset_activate_file"],
        "workingset restores": vmstat["workingset_restore_file"],
        "pages in the page cache at the end": left,
    } | tables
    settings = recorded_settings(texts)
    words = [word for word in texts["cmdline"].split() if not word.startswith("mem=")]
    alike = " ".join([settings.reclaim, *words])
    return Capture(re.sub(r"\.ftrace.*", "", path.name), alike, settings, imported.accesses, kernel)


def predicted(capture: Capture, data_pages: int) -> Figures | None:
    """Return what a capture's accesses become on a machine; None where memory runs out."""
    try:
        fronted = run_frontend(on_machine(capture.accesses, data_pages), capture.front_end)
    except (TraceError, OutOfMemory):
        return None
    tables = of_tables(fronted.events)
    del tables["kernel_refaults"]
    return counted(fronted.counts) | tables


def counted(counts: dict[str, int]) -> Figures:
    """Return the figures that the front end counts as a kernel does."""
    return {
        "pages brought into the page cache": counts["inserted_pages"],
        EVICTED: counts["evicted_pages"],
        REFAULTS: counts["refaults"],
        "workingset activations": counts["activations"],
        "workingset restores": counts["restored_workingset"],
        "pages in the page cache at the end": counts["resident_pages"]
        - counts["pages_from_before"],
    }


def spread(capture: Capture, data_pages: int, found: Figures) -> dict[str, tuple[float, float]]:
    """Return the least and the most of each figure, of a run and of those shifted by `SHIFTS`."""
    accesses = on_machine(capture.accesses, data_pages)
    runs = [found]
    for pages in SHIFTS:
        shifted = accesses._replace(free_pages=accesses.free_pages + pages)
        runs.append(counted(run_frontend(shifted, capture.front_end).counts))
    return {row: (min(r[row] for r in runs), max(r[row] for r in runs)) for row in runs[-1]}


def difference(found: float, truth: float) -> str:
    return f"{100 * (found - truth) / truth:+.1f} %" if truth else ""


def table_of(title: str, kernel: Figures | None, found: Figures | None) -> Iterator[str]:
    yield f"\n| {title} | kernel | front end | difference |\n|---|---|---|---|"
    if found is None:
        yield "| memory runs out | | | |"
        return
    for what, number in found.items():
        truth = f"{kernel[what]:,.6g}" if kernel else ""
        yield f"| {what} | {truth} | {number:,.6g} | " + (
            f"{difference(number, kernel[what])} |" if kernel else "|"
        )


class Cell(NamedTuple):
    """What the accesses of one capture become on the machine of another, or its own."""

    accesses: Capture
    at: Capture
    found: Figures | None
    spread: dict[str, tuple[float, float]]

    @property
    def errors(self) -> str:
        if self.found is None:
            return "memory runs out"
        told = []
        for row in MEASURED.values():
            least, most = (difference(end, self.at.kernel[row]) for end in self.spread[row])
            told.append(f"{difference(self.found[row], self.at.kernel[row])} ({least} to {most})")
        return ", ".join(told)

    @property
    def measured(self) -> Iterator[Measured]:
        """What is known of the front end's doubt from it."""
        ratio = self.at.accesses.data_pages / self.accesses.accesses.data_pages
        about = (self.accesses.kind, str(self.accesses.front_end.reclaim))
        names = (self.accesses.name, self.at.name)
        for what, row in MEASURED.items():
            if self.found is not None and self.at.kernel[row]:
                ends = (self.found[row], *self.spread[row])
                errors = (round(end / self.at.kernel[row] - 1, 4) for end in ends)
                yield Measured(*about, *names, round(ratio, 4), what, *errors)


def cells_of(captures: Sequence[Capture]) -> list[Cell]:
    """Return each capture from each other's accesses, and its own, as far as they are alike."""
    cells = []
    for accesses in captures:
        for at in captures:
            if accesses.alike == at.alike:
                pages = at.accesses.data_pages
                found = predicted(accesses, pages)
                ends = {} if found is None else spread(accesses, pages, found)
                cells.append(Cell(accesses, at, found, ends))
    return cells


def matrices(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield a matrix for each set of several captures that are alike but for memory."""
    by_alike: dict[str, list[Cell]] = {}
    for cell in cells:
        by_alike.setdefault(cell.at.alike, []).append(cell)
    for of_set in by_alike.values():
        captures = [cell.at for cell in of_set if cell.accesses is of_set[0].accesses]
        if len(captures) == 1:
            continue
        sizes = [c.accesses.data_pages * c.accesses.page_size // 2**20 for c in captures]
        heads = " | ".join(f"at {size} MiB" for size in sizes)
        yield f"\n| accesses of | {heads} |\n|---|{'---|' * len(captures)}"
        for what, row in MEASURED.items():
            truths = " | ".join(f"{capture.kernel[row]:,}" for capture in captures)
            yield f"| the kernel's {what} | {truths} |"
        for capture in captures:
            row = [cell.errors for cell in of_set if cell.accesses is capture]
            yield f"| {capture.name}: {' and '.join(MEASURED)} | {' | '.join(row)} |"


def beginnings(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield with how many free pages each machine of another capture begins, and was recorded."""
    yield "\n| accesses of | at | free pages | recorded | low | recorded | high | recorded |"
    yield f"|{'---|' * 8}"
    for accesses, at, *_ in cells:
        if accesses is not at:
            there, truth = on_machine(accesses.accesses, at.accesses.data_pages), at.accesses
            names = ("free_pages", "low_pages", "high_pages")
            numbers = [f"{getattr(of, name):,}" for name in names for of in (there, truth)]
            yield f"| {accesses.name} | {at.name} | {' | '.join(numbers)} |"


def short_table(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield a row for each capture on its own memory: kernel / front end."""
    yield f"\n| kernel / front end | {' | '.join(SHORT)} |\n|---|{'---|' * len(SHORT)}"
    for accesses, at, found, _ in cells:
        if accesses is at and found is not None:
            pairs = [(at.kernel[row], found[row]) for row in SHORT.values()]
            row = [f"{a:,.4g} / {b:,.4g} ({difference(b, a)})" if a < 100 else
                   f"{a:,} / {b:,} ({difference(b, a)})" for a, b in pairs]  # fmt: skip
            yield f"| `{at.name}` | {' | '.join(row)} |"


def write(cells: Sequence[Cell]) -> None:
    """Write what was measured where answers take it from, and into the document."""
    rows = [json.dumps(row._asdict()) for cell in cells for row in cell.measured]
    ROWS_FILE.write_text("[\n" + ",\n".join(rows) + "\n]\n")
    text = DOCUMENT.read_text()
    for name, lines in (("matrix", matrices), ("beginnings", beginnings), ("own", short_table)):
        block = "\n".join(lines(cells)).strip("\n")
        replaced = f"<!-- {name} -->\n{block}\n<!-- end -->"
        text = re.sub(rf"<!-- {name} -->\n.*?<!-- end -->", lambda _: replaced, text, flags=re.S)  # noqa: B023
    DOCUMENT.write_text(text)


def print_speed(capture: Capture) -> None:
    """Print how fast the front end reads, once it is compiled."""
    start = perf_counter()
    run_frontend(capture.accesses, capture.front_end)
    rate = capture.accesses.op.size / (perf_counter() - start) / 1e6
    print(f"{capture.name}: {capture.front_end.reclaim}, {rate:.1f} M accesses/s", file=sys.stderr)


def print_at(size: str, captures: Sequence[Capture]) -> None:
    """Print what the first capture's accesses become on a machine of a size."""
    first = captures[0]
    pages = size_in_bytes(size) // first.accesses.page_size
    there: Any = [c for c in captures if c.alike == first.alike and c.accesses.data_pages == pages]
    found = predicted(first, pages)
    for capture in there or [None]:
        name = f", kernel: {capture.name}" if capture else ""
        kernel = capture.kernel if capture else None
        print("\n".join(table_of(f"{first.name} at {size}{name}", kernel, found)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("captures", nargs="+", type=Path, metavar="CAPTURE")
    parser.add_argument("--at", metavar="SIZE", help="of the machine, such as 224MiB")
    parser.add_argument("--write", action="store_true", help="renew what derives from it")
    asked = parser.parse_args()
    captures = [read_capture(path) for path in asked.captures]
    if asked.at:
        print_at(asked.at, captures)
        return
    cells = cells_of(captures)
    for accesses, at, found, _ in cells:
        if accesses is at:
            print_speed(at)
            print("\n".join(table_of(at.name, at.kernel, found)))
    for line in (*matrices(cells), *beginnings(cells), "", ITSELF):
        print(line)
    if asked.write:
        write(cells)


if __name__ == "__main__":
    main()

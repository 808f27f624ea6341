"""A machine on which the recorder can run: a tracefs of plain files, and files of /proc."""

from __future__ import annotations

import os
import struct
from pathlib import Path

EVENTS = (
    "filemap/mm_filemap_add_to_page_cache",
    "filemap/mm_filemap_delete_from_page_cache",
    "vmscan/mm_vmscan_kswapd_wake",
    "vmscan/mm_vmscan_kswapd_sleep",
    "vmscan/mm_vmscan_direct_reclaim_begin",
    "cgroup/cgroup_attach_task",
)
ZONE = (
    "Node 0, zone {}\n  per-node stats\n      nr_inactive_anon 5\n  pages free     1\n"
    "        low      2\n        high     3\n        spanned  {}\n        present  {}\n"
    "  start_pfn:           {}\n"
)
TAGGED, NO_PAGE = 1 << 41, 1 << 20


def make_machine(folder: Path) -> dict[str, str]:
    """Return the environment of a machine of 3072 pages, of which 100 are tagged and 24 are none.

    One zone begins at frame 1024 and has 1000 pages in 1024, the other at frame 8192 has 2048.
    """
    tracefs = folder / "tracefs"
    for name in EVENTS:
        (tracefs / "events" / name).mkdir(parents=True)
        (tracefs / "events" / name / "enable").write_text("0\n")
    for name in ("tracing_on", "buffer_size_kb", "trace_clock", "trace", "set_event_notrace_pid"):
        (tracefs / name).touch()
    (tracefs / "saved_cmdlines_size").write_text("128\n")
    (tracefs / "options").mkdir()
    (tracefs / "options" / "event-fork").write_text("0\n")
    app = "         <...>-97    [000] d..2.    {}: {}: {}\n"
    folio = "dev 8:1 ino a pfn=0x400 ofs={} order=0"
    (tracefs / "trace_pipe").write_text(
        app.format("10.000001", "mm_filemap_delete_from_page_cache", folio.format(0))
        + app.format("10.000002", "mm_vmscan_kswapd_sleep", "nid=0")
        + app.format("10.000003", "mm_filemap_add_to_page_cache", folio.format(4096))
    )
    flags = [NO_PAGE] * 1024 + [0] * 1000 + [NO_PAGE] * 24 + [NO_PAGE] * 6144 + [0] * 2048
    for frame in range(100):
        flags[8192 + 7 * frame] = TAGGED | 1 << 5
    (folder / "kpageflags").write_bytes(struct.pack(f"<{len(flags)}Q", *flags))
    (folder / "cpuinfo").write_text("Features : fp asimd mte sve\n")
    zones = ZONE.format("DMA", 1024, 1000, 1024) + ZONE.format("Normal", 2048, 2048, 8192)
    empty = ZONE.format("Movable", 0, 0, 0)
    (folder / "zoneinfo").write_text(zones + empty)
    files = {"KPAGEFLAGS": "kpageflags", "CPUINFO": "cpuinfo", "ZONEINFO": "zoneinfo"}
    named = {variable: str(folder / name) for variable, name in files.items()}
    return os.environ | named | {"TRACEFS": str(tracefs), "BTF": "nowhere"}

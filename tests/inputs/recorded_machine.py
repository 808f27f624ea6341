"""A machine on which the recorder can run: a tracefs of plain files, and files of /proc."""

from __future__ import annotations

import os
import re
import shutil
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
#: What a kernel does as an instance is made, and as one is taken away: it is kept as the folder
#: `cleared`, so that a test can look at it.
_KERNEL = {
    "mkdir": """\
case $1 in
{tracefs}/instances/*)
    new="{folder}/new.$$"
    cp -R "{folder}/instance" "$new"
    ln -s "{tracefs}/trace_pipe" "$new/trace_pipe"
    [ ! -d "$new/events/probes" ] || mv "$new/events/probes" "$new/events/${{1##*/}}"
    exec mv "$new" "$1" ;;
esac
exec "{tool}" "$@"
""",
    "rmdir": """\
case $1 in
{tracefs}/instances/*)
    rm -rf "{folder}/cleared"
    exec mv "$1" "{folder}/cleared" ;;
esac
exec "{tool}" "$@"
""",
    # Time is told by the kernel: who waits for a second looks more often.
    "sleep": 'exec "{tool}" 0.05\n',
}
_SETTINGS = {
    "tracing_on": "1\n",
    "trace": "",
    "trace_clock": "local [global] counter mono\n",
    "options/event-fork": "0\n",
    "set_event_notrace_pid": "",
    "buffer_size_kb": "7 (expanded: 1408)\n",
    "per_cpu/cpu0/stats": "overrun: 3\ndropped events: 4\n",
}
#: What other tracers have set, in the main buffer, in instances, and in a group of probes.
_OF_OTHERS = {
    **_SETTINGS,
    "tracing_on": "1\n",
    "set_event_notrace_pid": "7\n11\n",
    "saved_cmdlines_size": "128\n",
    "events/vmscan/mm_vmscan_kswapd_wake/enable": "1\n",
    "instances/tag_storage/tracing_on": "1\n",
    "instances/tag_storage_mine_1/tracing_on": "1\n",
    "instances/tag_storage_1/tracing_on": "1\n",
    "instances/wifi/events/power/enable": "1\n",
}
_PROBES_OF_OTHERS = "p:tag_storage/evict evict ino=+64($arg1):u64\nr16:mine/vfs_read vfs_read\n"


def make_machine(folder: Path, *events: str, probes: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the environment of a machine of 3072 pages, of which 100 are tagged and 24 are none.

    One zone begins at frame 1024 and has 1000 pages in 1024, the other at frame 8192 has 2048.
    Its main buffer, some instances and some probes are of other tracers.

    Parameters
    ----------
    folder
        Where its files are put.
    events
        Tracepoints that it has, besides `EVENTS`.
    probes
        Functions on which it takes probes.
    """
    tracefs, instance = folder / "tracefs", folder / "instance"
    files = dict.fromkeys((f"events/{name}/enable" for name in (*EVENTS, *events)), "0\n")
    write_files(instance, files | {"events/enable": "X\n"} | _SETTINGS)
    write_files(instance, {f"events/probes/{name}/enable": "0\n" for name in probes})
    write_files(tracefs, files | _OF_OTHERS | {"kprobe_events": _PROBES_OF_OTHERS})
    (folder / "kernel").mkdir()
    for name, script in _KERNEL.items():
        tool = folder / "kernel" / name
        words = {"tool": shutil.which(name), "folder": folder, "tracefs": tracefs}
        tool.write_text(f"#!/bin/sh\nPATH='{os.environ['PATH']}'\n" + script.format(**words))
        tool.chmod(0o755)
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
    path = f"{folder / 'kernel'}:{os.environ['PATH']}"
    return os.environ | named | {"TRACEFS": str(tracefs), "BTF": "nowhere", "PATH": path}


def write_files(folder: Path, contents: dict[str, str]) -> None:
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def defined_probes(tracefs: Path) -> str:
    """Return the probes that are left of those defined, as the kernel would list them."""
    defined: dict[str, str] = {}
    for line in (tracefs / "kprobe_events").read_text().splitlines(keepends=True):
        match = re.match(r"(-|[pr]\d*):(\S+)", line)
        assert match is not None
        if match[1] == "-":
            defined.pop(match[2], None)
        else:
            defined[match[2]] = line
    (tracefs / "kprobe_events").write_text("".join(defined.values()))
    return "".join(defined.values())


def all_but_ours(tracefs: Path) -> dict[str, object]:
    """Return when each file of tracefs was written last, and with what; and the probes."""
    files = [path for path in tracefs.rglob("*") if path.is_file() and not path.is_symlink()]
    written: dict[str, object] = {
        str(path.relative_to(tracefs)): (path.stat().st_mtime_ns, path.read_text())
        for path in files
        if path.name not in ("kprobe_events", "trace_pipe")
    }
    return written | {"kprobe_events": defined_probes(tracefs)}

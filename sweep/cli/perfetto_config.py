"""The configuration with which Perfetto records what `sweep trace import` reads."""

from __future__ import annotations

#: So much of the kernel's own buffer a CPU, and of the recorder's buffer at most.
_CPU_KIB, _MOST_BUFFER_MIB = 8192, 64
#: The events with their groups, and what each tells.
EVENTS = {
    "filemap/mm_filemap_add_to_page_cache": "restores",
    "filemap/mm_filemap_delete_from_page_cache": "stores",
    "filemap/mm_filemap_get_pages": "ends of read requests (Linux 6.12)",
    "filemap/mm_filemap_fault": "page faults (6.12)",
    "filemap/mm_filemap_map_pages": "ends of requests at mappings (6.12)",
    "readahead/page_cache_sync_ra": "ends of read requests (6.18)",
    "readahead/page_cache_async_ra": "ends of read requests (6.18)",
    "readahead/page_cache_ra_order": "ends of read requests (6.18)",
    "readahead/page_cache_ra_unbounded": "ends of read requests (6.18)",
    "kmem/mm_page_alloc": "tagged pages",
    "kmem/mm_page_free": "tagged pages",
    "vmscan/mm_vmscan_kswapd_wake": "who is kswapd",
    "vmscan/mm_vmscan_kswapd_sleep": "who is kswapd",
    "vmscan/mm_vmscan_direct_reclaim_begin": "direct reclaim, else taken for truncation",
    "vmscan/mm_vmscan_direct_reclaim_end": "direct reclaim, else taken for truncation",
    "vmscan/mm_vmscan_memcg_reclaim_begin": "reclaim of a cgroup, else taken for truncation",
    "vmscan/mm_vmscan_memcg_reclaim_end": "reclaim of a cgroup, else taken for truncation",
    "sched/sched_process_exec": "ends of requests at exec",
    "sched/sched_process_exit": "ends of requests at exit",
    "block/block_rq_issue": "reads that are issued to the disk",
    "block/block_rq_complete": "when these are done, for sweep trace costs",
    "ftrace/print": "marks of phases and launches",
}
#: Probes that the user defines in tracefs before; of each, what it tells.
PROBES = {
    "tag_clear_highpage": ("page=$arg1:x64", "which frames are tagged, as these move"),
    "mte_sync_tags": ("pte=$arg1:x64 nr=$arg2:u32", "tagged huge pages (Linux 6.6)"),
    "copy_highpage": ("to=$arg1:x64 from=$arg2:x64", "tagged pages that move"),
    "workingset_refault": (
        "folio=$arg1:x64 shadow=$arg2:x64 index=folio->index:u64 "
        "ino=folio->mapping->host->i_ino:u64",
        "workingset bits",
    ),
    "folio_mark_accessed": (
        "folio=$arg1:x64 index=folio->index:u64 ino=folio->mapping->host->i_ino:u64",
        "workingset bits of what never refaults",
    ),
    "evict": ("ino=inode->i_ino:u64 dev=inode->i_sb->s_dev:u32", "files that go"),
    "folio_referenced": (
        "folio=$arg1:x64 ret=$retval:s32",
        "accesses through mappings, as reclaim sees them (6.9)",
    ),
    "folio_update_gen": ("folio=$arg1:x64", "the same, in walks of page tables"),
    "try_to_inc_max_seq": ("ret=$retval:u8", "ends of these walks"),
}
_MEMINFO = ("MEM_TOTAL", "MEM_FREE", "MEM_AVAILABLE", "CACHED", "ANON_PAGES", "SWAP_FREE")
_VMSTAT = (
    *("NR_FREE_PAGES", "NR_INACTIVE_FILE", "NR_ACTIVE_FILE", "PGMAJFAULT", "PSWPIN", "PSWPOUT"),
    *("PGSTEAL_KSWAPD", "PGSTEAL_DIRECT", "PGSCAN_KSWAPD", "PGSCAN_DIRECT", "ALLOCSTALL_MOVABLE"),
    *("WORKINGSET_REFAULT_FILE", "WORKINGSET_ACTIVATE_FILE", "OOM_KILL"),
)
_FILE = "pfn=$pfn:u64 i_ino=$i_ino:u64 index=$index:u64 dev=$s_dev:u32 order=$order:u8"
_HEAD = """\
# What sweep trace import reads, as a configuration of Perfetto: {seconds} s and {mib} MiB at most.
#   adb shell 'cat > /data/local/tmp/mm.txt' < FILE, then in a root shell there:
#   perfetto --txt -c - -o /data/misc/perfetto-traces/mm.pftrace < /data/local/tmp/mm.txt
# Elsewhere: tracebox --txt -c FILE -o mm.pftrace, as root. An event that a kernel does not have is
# left out, and the trace says so; a line that an older Perfetto refuses can go.
#
# A production kernel gives less. Perfetto's own form of the page-cache events has no order: the
# table then says "orders: unknown". Without kmem events no page is tagged, whatever the kernel did.
# Probes need CONFIG_KPROBE_EVENTS and a root shell, and MTE for the first three. Perfetto's own
# kprobe_events tell no arguments, so define them in tracefs; each line is one write:
"""


def perfetto_config(seconds: int, mib: int) -> str:
    """Return the configuration, as text for ``perfetto --txt -c -``.

    Parameters
    ----------
    seconds, mib
        How long it records, and how large the file becomes, at most.
    """
    lines = [_HEAD.format(seconds=seconds, mib=mib)]
    for name, (arguments, what) in PROBES.items():
        kind = "r" if "$retval" in arguments else "p"
        probe = f"{kind}:tag_storage/{name} {name} {arguments}"
        lines.append(f"#   echo '{probe}' >> /sys/kernel/tracing/kprobe_events  # {what}\n")
    lines.append("# The order of folios comes by probes on the events themselves (Linux 5.15):\n")
    for name in ("mm_filemap_add_to_page_cache", "mm_filemap_delete_from_page_cache"):
        probe = f"e:tag_storage/{name} filemap/{name} {_FILE}"
        lines.append(f"#   echo '{probe}' >> /sys/kernel/tracing/dynamic_events\n")
    lines.append(
        "# Then take the # from the lines of tag_storage/ below. Where the two of the order are\n"
        "# among them, those of filemap/ with the same names are not needed.\n\n"
    )
    buffer_kib = min(mib, _MOST_BUFFER_MIB) * 1024
    lines.append(
        f"duration_ms: {seconds * 1000}\n"
        f"max_file_size_bytes: {mib << 20}\n"
        "write_into_file: true\n"
        "file_write_period_ms: 1000\n"
        "flush_period_ms: 5000\n"
        f"buffers {{ size_kb: {buffer_kib} fill_policy: RING_BUFFER }}\n"
        "buffers { size_kb: 4096 fill_policy: RING_BUFFER }\n"
        'data_sources { config { name: "linux.ftrace" target_buffer: 0 ftrace_config {\n'
        f"  buffer_size_kb: {_CPU_KIB}\n"
        "  drain_period_ms: 250\n"
        '  atrace_categories: "am"  # launches; not on plain Linux\n'
    )
    lines += [f'  ftrace_events: "{name}"  # {what}\n' for name, what in EVENTS.items()]
    probes = [*PROBES, "mm_filemap_add_to_page_cache", "mm_filemap_delete_from_page_cache"]
    lines += [f'# ftrace_events: "tag_storage/{name}"\n' for name in probes]
    lines.append(
        "} } }\n"
        'data_sources { config { name: "linux.process_stats" target_buffer: 1\n'
        "  process_stats_config { scan_all_processes_on_start: true }\n"
        "} }\n"
        'data_sources { config { name: "linux.sys_stats" target_buffer: 1 sys_stats_config {\n'
        "  meminfo_period_ms: 1000\n"
        + "".join(f"  meminfo_counters: MEMINFO_{name}\n" for name in _MEMINFO)
        + "  vmstat_period_ms: 1000\n"
        + "".join(f"  vmstat_counters: VMSTAT_{name}\n" for name in _VMSTAT)
        + "  psi_period_ms: 1000\n"
        "} } }\n"
        'data_sources { config { name: "linux.system_info" target_buffer: 1 } }\n'
    )
    return "".join(lines)

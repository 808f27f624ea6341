#!/bin/sh
# Records what `sweep trace import` reads: the page cache, reclaim, the page allocator and MTE tags.
# POSIX shell and tracefs alone: it runs under adb, busybox and toybox, as root. Events that this
# kernel does not have are left out, with a word on what that costs.

usage() {
    cat <<TEXT
usage: sh record.sh [-t SECONDS] [-m MIB] [-b KIB] [-o NAME]
  -t  seconds to record at most, 60 by default (Ctrl-C ends it sooner)
  -m  MiB of text to write at most before compression, 1024 by default
  -b  KiB of trace buffer a CPU, 8192 by default
  -o  writes NAME.ftrace.txt.gz and NAME.meta.tar.gz, capture by default
TEXT
}

say() { echo "record: $*" >&2; }
die() { say "$*"; exit 2; }

seconds=60 mib=1024 kib=8192 name=capture
while getopts t:m:b:o:h option; do
    case $option in
    t) seconds=$OPTARG ;;
    m) mib=$OPTARG ;;
    b) kib=$OPTARG ;;
    o) name=$OPTARG ;;
    h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
done
for number in "$seconds" "$mib" "$kib"; do
    case $number in
    '' | *[!0-9]* | 0) die "$number is not a whole number above 0" ;;
    esac
done

# TRACEFS names another mount of it.
for tracefs in "$TRACEFS" /sys/kernel/tracing /sys/kernel/debug/tracing; do
    [ -n "$tracefs" ] && [ -d "$tracefs/events" ] && break
    tracefs=
done
if [ -z "$tracefs" ]; then
    mount -t tracefs nodev /sys/kernel/tracing 2>/dev/null
    tracefs=/sys/kernel/tracing
    [ -d $tracefs/events ] || die "no tracefs: run as root, on a kernel with CONFIG_FTRACE"
fi
[ -w "$tracefs/tracing_on" ] || die "$tracefs may not be written: run as root"

kernel=$(uname -r)
major=${kernel%%.*}
rest=${kernel#*.}
minor=${rest%%[!0-9]*}
version=$((major * 1000 + ${minor:-0}))

# An instance of our own leaves other tracing alone, where the kernel has them.
top=$tracefs
if mkdir "$tracefs/instances/tag_storage" 2>/dev/null; then
    tracefs=$tracefs/instances/tag_storage
else
    say "no trace instance: the main buffer is used"
fi

meta=$name.meta
probes=
reader=

clean_up() {
    trap - INT TERM EXIT
    echo 0 >"$tracefs/tracing_on"
    [ -n "$reader" ] && kill "$reader" 2>/dev/null
    for enable in $enabled; do echo 0 >"$enable" 2>/dev/null; done
    for probe in $probes; do
        echo 0 >"$tracefs/events/tag_storage/$probe/enable" 2>/dev/null
        echo "-:tag_storage/$probe" >>"$top/kprobe_events" 2>/dev/null
    done
    [ "$tracefs" != "$top" ] && rmdir "$tracefs" 2>/dev/null
    rm -rf "$meta"
}
trap 'exit 130' INT TERM
trap clean_up EXIT

snapshot() {
    for file in vmstat meminfo buddyinfo zoneinfo; do
        cat "/proc/$file" >"$meta/$file.$1" 2>/dev/null
    done
}

enabled=
event() { # event NAME WHAT-IS-LOST
    enable=$tracefs/events/$1/enable
    if [ -f "$enable" ] && echo 1 >"$enable" 2>/dev/null; then
        enabled="$enabled $enable"
    else
        say "no tracepoint $1 on Linux $kernel: $2"
        return 1
    fi
}

probe() { # probe FUNCTION ARGUMENTS WHAT-IS-LOST
    if [ -f "$top/kprobe_events" ] &&
        echo "p:tag_storage/$1 $1 $2" >>"$top/kprobe_events" 2>/dev/null; then
        probes="$probes $1"
        echo 1 >"$tracefs/events/tag_storage/$1/enable" 2>/dev/null && return 0
    fi
    say "no probe on $1: $3"
}

rm -rf "$meta"
mkdir "$meta" || die "$meta cannot be made"
echo 0 >"$tracefs/tracing_on"
echo "$kib" >"$tracefs/buffer_size_kb"
echo mono >"$tracefs/trace_clock" 2>/dev/null || say "no clock mono: the default one is used"
: >"$tracefs/trace"

found=0
event filemap/mm_filemap_add_to_page_cache "no restores" && found=$((found + 1))
event filemap/mm_filemap_delete_from_page_cache "no stores" && found=$((found + 1))
[ $found -eq 2 ] || die "this kernel has no page-cache tracepoints: nothing to record"
event vmscan/mm_vmscan_direct_reclaim_begin "direct reclaim is taken for truncation"
event vmscan/mm_vmscan_direct_reclaim_end "direct reclaim is taken for truncation"
event vmscan/mm_vmscan_memcg_reclaim_begin "reclaim of a memory cgroup is taken for truncation"
event vmscan/mm_vmscan_memcg_reclaim_end "reclaim of a memory cgroup is taken for truncation"
event kmem/mm_page_alloc "no tagged pages"
event kmem/mm_page_free "no tagged pages"
event filemap/mm_filemap_get_pages "no page-cache lookups (kernels before 6.10)"
event filemap/mm_filemap_fault "no page faults (kernels before 6.10)"
event block/block_rq_issue "no costs of reading the disk"
event block/block_rq_complete "no costs of reading the disk"

if grep -q mte /proc/cpuinfo 2>/dev/null; then
    probe tag_clear_highpage 'page=$arg1:x64' "moved tagged pages are not seen"
    if [ $version -ge 6006 ]; then
        probe mte_sync_tags 'pte=$arg1:x64 nr=$arg2:u32' "tagged huge pages are not seen"
    elif [ $version -ge 6005 ]; then
        probe mte_sync_tags 'pte=$arg1:x64' "tagged huge pages are not seen"
    else
        probe mte_sync_tags 'old=$arg1:x64 pte=$arg2:x64' "tagged huge pages are not seen"
    fi
    probe copy_highpage 'to=$arg1:x64 from=$arg2:x64' "moved tagged pages are not seen"
else
    say "this CPU has no MTE: tagged pages have to come from elsewhere"
fi
# Where a folio keeps its index and inode: +32 and +24, and the inode its number: +64 (6.12).
probe workingset_refault \
    'folio=$arg1:x64 shadow=$arg2:x64 index=+32($arg1):u64 ino=+64(+0(+24($arg1))):u64' \
    "the workingset bit is known of refaulted folios' next eviction alone"

snapshot before
cat /proc/iomem /dev/null >"$meta/iomem" 2>/dev/null
cat /proc/swaps /dev/null >"$meta/swaps" 2>/dev/null
echo "$kernel" >"$meta/version"
getconf PAGESIZE >"$meta/page_size" 2>/dev/null || {
    page=$(sed -n 's/^KernelPageSize: *\([0-9]*\) kB.*/\1/p' /proc/self/smaps 2>/dev/null | head -n 1)
    echo $((${page:-4} * 1024)) >"$meta/page_size"
}

pack=cat suffix=
if command -v gzip >/dev/null 2>&1; then
    pack='gzip -1' suffix=.gz
else
    say "no gzip: files are written plain"
fi
output=$name.ftrace.txt$suffix

# The reader's own work must not be traced: it would feed itself.
(
    sh -c 'echo $PPID' >"$tracefs/set_event_notrace_pid" 2>/dev/null
    cat "$tracefs/trace_pipe" | head -c $((mib * 1048576)) | $pack >"$output"
) &
reader=$!
echo 1 >"$tracefs/tracing_on"
say "recording for $seconds s into $output"
passed=0
trap ':' INT TERM
while [ $passed -lt "$seconds" ] && kill -0 $reader 2>/dev/null; do
    sleep 1 || break
    passed=$((passed + 1))
done
trap '' INT TERM
echo 0 >"$tracefs/tracing_on"
kill -0 $reader 2>/dev/null || say "the limit of $mib MiB is reached after $passed s"
sleep 1 # for what is in the buffer
for pid in $(ps -o pid,ppid 2>/dev/null | awk -v parent=$reader '$2 == parent {print $1}'); do
    # cat ends, and what follows it in the pipe closes its file.
    case $(cat "/proc/$pid/comm" 2>/dev/null) in cat) kill "$pid" 2>/dev/null ;; esac
done
wait $reader 2>/dev/null
reader=

snapshot after
cat "$tracefs"/per_cpu/cpu*/stats >"$meta/ring_stats" 2>/dev/null
lost=$(awk -F': *' '/^(overrun|dropped events)/ {lost += $2} END {print lost + 0}' \
    "$meta/ring_stats" 2>/dev/null)
[ "${lost:-0}" -eq 0 ] || say "$lost events were lost: record again with a larger -b"
if tar cf - "$meta" 2>/dev/null | $pack >"$name.meta.tar$suffix"; then
    say "written: $output $name.meta.tar$suffix; then: sweep trace import $output -o $name.parquet"
else
    say "no tar: $output is whole, but import will have to be told --memory"
fi

#!/bin/sh
# Records what `sweep trace import` reads: the page cache, reclaim, the page allocator and MTE tags.
# POSIX shell and tracefs alone: it runs under adb, busybox and toybox, as root. Events that this
# kernel does not have are left out, with a word on what that costs.

usage() {
    cat <<TEXT
usage: sh record.sh [-t SECONDS] [-m MIB] [-b KIB] [-s SECONDS] [-o NAME]
  -t  seconds to record at most, 60 by default (Ctrl-C ends it sooner)
  -m  MiB of text to write at most before compression, 1024 by default
  -b  KiB of trace buffer a CPU, 8192 by default
  -s  seconds between samples of /proc and of tagged pages, 5 by default; 0: none
  -o  writes NAME.ftrace.txt.gz and NAME.meta.tar.gz, capture by default
TEXT
}

say() { echo "record: $*" >&2; }
die() { say "$*"; exit 2; }

seconds=60 mib=1024 kib=8192 every=5 name=capture
while getopts t:m:b:s:o:h option; do
    case $option in
    t) seconds=$OPTARG ;;
    m) mib=$OPTARG ;;
    b) kib=$OPTARG ;;
    s) every=$OPTARG ;;
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
case $every in
'' | *[!0-9]*) die "-s $every is not a whole number" ;;
esac

# TRACEFS names another mount of it, BTF another file of the kernel's types, and the others name
# other files of /proc.
btf=${BTF:-/sys/kernel/btf/vmlinux}
cpuinfo=${CPUINFO:-/proc/cpuinfo}
kpageflags=${KPAGEFLAGS:-/proc/kpageflags}
zoneinfo=${ZONEINFO:-/proc/zoneinfo}
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
names_kept=

clean_up() {
    trap - INT TERM EXIT
    echo 0 >"$tracefs/tracing_on"
    [ -n "$reader" ] && kill "$reader" 2>/dev/null
    for enable in $enabled; do echo 0 >"$enable" 2>/dev/null; done
    for probe in $probes; do
        echo 0 >"$tracefs/events/tag_storage/$probe/enable" 2>/dev/null
        echo "-:tag_storage/$probe" >>"$top/kprobe_events" 2>/dev/null
    done
    [ -n "$names_kept" ] && echo "$names_kept" >"$top/saved_cmdlines_size" 2>/dev/null
    [ "$tracefs" != "$top" ] && rmdir "$tracefs" 2>/dev/null
    rm -rf "$meta"
}
trap 'exit 130' INT TERM
trap clean_up EXIT

# What the kernel counts while it is traced; read as near to the trace as can be.
counters() {
    cat /proc/vmstat >"$meta/vmstat.$1" 2>/dev/null
}

snapshot() {
    for file in meminfo buddyinfo zoneinfo; do
        cat "/proc/$file" >"$meta/$file.$1" 2>/dev/null
    done
}

uptime() { # whole seconds since the start of the kernel
    now=0
    read -r now _ 2>/dev/null </proc/uptime
    echo "${now%%.*}"
}

# The number of each task and its control group: `sweep trace cut --cgroup` finds its tasks by it.
control_groups() {
    for folder in /proc/[0-9]*; do
        path=
        while IFS= read -r line; do
            case $line in
            *:memory:* | *:memory,* | *,memory:* | *,memory,*) path=/${line#*:*:/} ;;
            0::*) [ -n "$path" ] || path=/${line#*:*:/} ;;
            esac
        done 2>/dev/null <"$folder/cgroup"
        [ -n "$path" ] || continue
        for task in "$folder"/task/[0-9]*; do echo "${task##*/} $path"; done
    done
}

task_names() {
    for folder in /proc/[0-9]*/task/[0-9]*; do
        IFS= read -r comm 2>/dev/null <"$folder/comm" && echo "${folder##*/} $comm"
    done
}

# A sample is lines of: seconds, what is counted, how much. Of a large memory, the flags of pages
# are read in 64 pieces of 1024 pages, other ones each time; bit 41 of them is set of tagged pages,
# and bit 20 where there is no page.
tagged_pages() { # tagged_pages SECONDS NUMBER-OF-THE-SAMPLE
    awk '
        /^Node/ {start = spanned = present = 0}
        $1 == "spanned" {spanned = $2}
        $1 == "present" {present = $2}
        $1 == "start_pfn:" && present > 0 {print $2, spanned}' "$zoneinfo" 2>/dev/null |
        awk -v sample="$2" '
        {first[NR] = $1; pages[NR] = $2; all += $2}
        END {
            pieces = 64
            if (all < pieces * 1024) pieces = int((all + 1023) / 1024)
            step = pieces ? all / pieces : 0
            room = int(step / 1024)
            for (piece = 0; piece < pieces; piece++) {
                place = int(piece * step) + (room > 1 ? sample % room * 1024 : 0)
                for (zone = 1; zone < NR && place >= pages[zone]; zone++) place -= pages[zone]
                printf "%d\n", (first[zone] + place) / 1024
            }
        }' | while read -r piece; do
        dd if="$kpageflags" bs=8192 skip="$piece" count=1 2>/dev/null
    done | od -An -v -tu4 2>/dev/null | awk -v now="$1" '
        {
            for (i = 2; i <= NF; i += 2) {
                if (int($(i - 1) / 1048576) % 2) continue
                pages++
                tagged += int($i / 512) % 2
            }
        }
        END {if (pages) {print now, "tagged_pages", tagged + 0; print now, "sampled_pages", pages}}'
}

samples=0
sample() {
    now=$(uptime)
    {
        awk -v now="$now" '/^(MemTotal|MemFree|MemAvailable|Cached|SwapFree):/ {
            sub(":", "", $1); print now, $1 "_kib", $2}' /proc/meminfo
        awk -v now="$now" '/^nr_(free_pages|(in)?active_(file|anon)|zspages) / {print now, $1, $2}' \
            /proc/vmstat
        [ -n "$has_mte" ] && [ -r "$kpageflags" ] && tagged_pages "$now" $samples
    } >>"$meta/samples" 2>/dev/null
    samples=$((samples + 1))
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

try_probe() { # try_probe FUNCTION ARGUMENTS
    [ -f "$top/kprobe_events" ] || return 1
    echo "p:tag_storage/$1 $1 $2" >>"$top/kprobe_events" 2>/dev/null || return 1
    probes="$probes $1"
    enable=$tracefs/events/tag_storage/$1/enable
    [ -f "$enable" ] && echo 1 >"$enable" 2>/dev/null
}

probe() { # probe FUNCTION ARGUMENTS WHAT-IS-LOST
    try_probe "$1" "$2" || say "no probe on $1: $3"
}

# Kernels number the bits of folio->flags differently. BTF, the kernel's description of its own
# types, has them: a header, then the types, then their names. It is read as 32-bit words.
flag_numbers() { # flag_numbers FILE-OF-BTF: prints lines such as "workingset 9"
    set -- "$1" $(od -An -v -tu4 -N 24 "$1" 2>/dev/null)
    [ $# -eq 7 ] || return 1 # magic; sizes of the header, types and names, and where they begin
    names=$(tail -c +$(($3 + $6 + 1)) "$1" | head -c "$7" | tr '\000' '\n' | LC_ALL=C awk '
        /^PG_(workingset|mappedtodisk|swapbacked)$/ {print substr($0, 4) "=" place}
        {place += length($0) + 1}' | tr '\n' ' ')
    tail -c +$(($3 + $4 + 1)) "$1" | head -c "$5" | od -An -v -tu4 | awk -v names="$names" '
        BEGIN {
            count = split(names, pairs)
            for (i = 1; i <= count; i++) {split(pairs[i], pair, "="); name[pair[2]] = pair[1]}
        }
        {
            for (i = 1; i <= NF; i++) {
                if (skipped) {skipped--; continue}
                if (values) {
                    values--
                    if (values % 2) {known = ($i in name) ? name[$i] : ""}
                    else if (known != "") {print known, $i; found++}
                    if (found == count) exit
                    continue
                }
                place = (place + 1) % 3
                if (place == 2) {
                    kind = int($i / 16777216) % 32; members = $i % 65536
                } else if (place == 0) {
                    if (kind == 1 || kind == 14 || kind == 17) skipped = 1
                    else if (kind == 3) skipped = 3
                    else if (kind == 4 || kind == 5 || kind == 15 || kind == 19)
                        skipped = 3 * members
                    else if (kind == 6) values = 2 * members
                    else if (kind == 13) skipped = 2 * members
                }
            }
        }'
}

rm -rf "$meta"
mkdir "$meta" || die "$meta cannot be made"
echo 0 >"$tracefs/tracing_on"
echo "$kib" >"$tracefs/buffer_size_kb"
# The kernel keeps the names of 128 tasks; a line of any other task begins with <...>.
names_kept=$(cat "$top/saved_cmdlines_size" 2>/dev/null)
names_kept=${names_kept%%[!0-9]*}
if [ -n "$names_kept" ] && [ "$names_kept" -lt 65536 ]; then
    echo 65536 >"$top/saved_cmdlines_size" 2>/dev/null || names_kept=
else
    names_kept=
fi
echo mono >"$tracefs/trace_clock" 2>/dev/null || say "no clock mono: the default one is used"
: >"$tracefs/trace"

found=0
event filemap/mm_filemap_add_to_page_cache "no restores" && found=$((found + 1))
event filemap/mm_filemap_delete_from_page_cache "no stores" && found=$((found + 1))
[ $found -eq 2 ] || die "this kernel has no page-cache tracepoints: nothing to record"
event vmscan/mm_vmscan_kswapd_wake "a kswapd is told by its name alone"
event vmscan/mm_vmscan_kswapd_sleep "a kswapd is told by its name alone"
event vmscan/mm_vmscan_direct_reclaim_begin "direct reclaim is taken for truncation"
event vmscan/mm_vmscan_direct_reclaim_end "direct reclaim is taken for truncation"
event vmscan/mm_vmscan_memcg_reclaim_begin "reclaim of a memory cgroup is taken for truncation"
event vmscan/mm_vmscan_memcg_reclaim_end "reclaim of a memory cgroup is taken for truncation"
for edge in begin end; do # of machines with several nodes
    event vmscan/mm_vmscan_node_reclaim_$edge "reclaim of a node is taken for truncation"
done
event vmscan/mm_vmscan_reclaim_pages "MADV_PAGEOUT is taken for truncation (before 6.15)"
event kmem/mm_page_alloc "no tagged pages"
event kmem/mm_page_free "no tagged pages"
event filemap/mm_filemap_fault "no page faults (kernels before 6.12)"
event filemap/mm_filemap_map_pages "no ends of requests at mappings (kernels before 6.12)"
event sched/sched_process_exec "no ends of requests at exec"
event sched/sched_process_exit "no ends of requests at exit"
event sched/sched_process_fork "no children of the tasks of a control group"
event cgroup/cgroup_attach_task "no tasks that join a control group later"
told_by=
if event filemap/mm_filemap_get_pages "other events tell read requests (kernels before 6.12)"; then
    told_by=lookups
else
    for readahead in sync_ra async_ra ra_order ra_unbounded; do
        event readahead/page_cache_$readahead "block_rq_issue tells read requests (before 6.18)" &&
            told_by=readaheads
    done
fi
lost="no costs of reading the disk"
[ -n "$told_by" ] || lost="$lost, and read requests are guessed"
event block/block_rq_issue "$lost"
event block/block_rq_complete "no costs of reading the disk"

has_mte=
if grep -q mte "$cpuinfo" 2>/dev/null; then
    has_mte=1
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
# By name where the kernel takes names (about 6.6), else by where 6.12 keeps them: of a folio, its
# index, +32, and its mapping, +24; of an inode, its number, +64, and its super block, +40.
by_name='index=folio->index:u64 ino=folio->mapping->host->i_ino:u64'
by_place='index=+32($arg1):u64 ino=+64(+0(+24($arg1))):u64'
lost="the workingset bit is known of refaulted folios' next eviction alone"
try_probe workingset_refault "folio=\$arg1:x64 shadow=\$arg2:x64 $by_name" ||
    probe workingset_refault "folio=\$arg1:x64 shadow=\$arg2:x64 $by_place" "$lost"
lost="copies of a file that goes stay"
try_probe evict 'ino=inode->i_ino:u64 dev=inode->i_sb->s_dev:u32' ||
    probe evict 'ino=+64($arg1):u64 dev=+16(+40($arg1)):u32' "$lost"
bits=$(flag_numbers "$btf")
case $bits in
*workingset*) has_flags=1 ;;
*) has_flags= && say "no BTF in $btf that tells the bits of folio->flags: no probe on them" ;;
esac
[ -n "$has_flags" ] && {
    try_probe workingset_eviction "folio=\$arg1:x64 flags=folio->flags:x64 $by_name" ||
        try_probe workingset_eviction "folio=\$arg1:x64 flags=folio->flags.f:x64 $by_name" ||
        { has_flags= && say "no probe on workingset_eviction that names folio->flags"; }
}
if [ -n "$has_flags" ]; then
    echo "$bits" >"$meta/page_flags"
else
    lost="evicted folios that never refault are taken as not workingset"
    try_probe folio_mark_accessed "folio=\$arg1:x64 $by_name" ||
        probe folio_mark_accessed "folio=\$arg1:x64 $by_place" "$lost"
fi

for enable in $enabled; do
    enable=${enable%/enable}
    echo "${enable##*/}"
done >"$meta/events"
control_groups >"$meta/cgroups" 2>/dev/null
task_names >"$meta/comms" 2>/dev/null
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

# The work of this script must not be traced: it would feed itself.
echo $$ >"$tracefs/set_event_notrace_pid" 2>/dev/null
echo 1 >"$tracefs/options/event-fork" 2>/dev/null
(
    sh -c 'echo $PPID' >>"$tracefs/set_event_notrace_pid" 2>/dev/null
    cat "$tracefs/trace_pipe" | head -c $((mib * 1048576)) | $pack >"$output"
) &
reader=$!
counters before
echo 1 >"$tracefs/tracing_on"
say "recording for $seconds s into $output"
passed=0 began=$(uptime)
[ "$every" -eq 0 ] || sample
trap ':' INT TERM
while [ $passed -lt "$seconds" ] && kill -0 $reader 2>/dev/null; do
    sleep 1 || break
    if [ "$began" -gt 0 ]; then passed=$(($(uptime) - began)); else passed=$((passed + 1)); fi
    if [ "$every" -gt 0 ] && [ $((passed / every)) -ge $samples ]; then sample; fi
done
trap '' INT TERM
echo 0 >"$tracefs/tracing_on"
counters after
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

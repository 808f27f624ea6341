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
case $name in
'' | */ | *'
'*) die "-o: give a name, in one line, to which .ftrace.txt.gz is added" ;;
-*) name=./$name ;;
esac
lacking=
for tool in awk cat dd grep head mkdir od rm rmdir sed sh sleep tail tr uname; do
    command -v $tool >/dev/null 2>&1 || lacking="$lacking $tool"
done
case $lacking in
'') ;;
' '*' '*) die "no$lacking: record needs them (busybox and toybox have such tools)" ;;
*) die "no$lacking: record needs it (busybox and toybox have such tools)" ;;
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
    say "no trace instance: the main buffer is used, and what is in it is lost"
fi

meta=$name.meta
probes=
reader=
names_kept=
is_saved=
keeps_meta=

# A file that is not there, or takes no such value, is no word on stderr: what follows is said.
put() { echo "$1" 2>/dev/null >"$2"; }

# Our instance goes with all that is set in it; the main buffer gets back what others had set.
save_settings() {
    old_tracing=$(cat "$tracefs/tracing_on" 2>/dev/null)
    old_clock=$(sed -n 's/.*\[\(.*\)\].*/\1/p' "$tracefs/trace_clock" 2>/dev/null)
    old_fork=$(cat "$tracefs/options/event-fork" 2>/dev/null)
    old_pids=$(cat "$tracefs/set_event_notrace_pid" 2>/dev/null)
    old_sizes=
    for size in "$tracefs"/buffer_size_kb "$tracefs"/per_cpu/cpu*/buffer_size_kb; do
        # "7 (expanded: 1408)" is a buffer that becomes so large as it is first used.
        kib_before=$(sed -n 's/^.*expanded: //; s/^\([0-9][0-9]*\).*/\1/p' "$size" 2>/dev/null)
        [ -n "$kib_before" ] && old_sizes="$old_sizes ${size#"$tracefs"/}=$kib_before"
    done
    is_saved=1
}

restore_settings() {
    true 2>/dev/null >"$tracefs/trace"
    for size in $old_sizes; do put "${size#*=}" "$tracefs/${size%=*}"; done
    [ -z "$old_clock" ] || put "$old_clock" "$tracefs/trace_clock"
    [ -z "$old_fork" ] || put "$old_fork" "$tracefs/options/event-fork"
    true 2>/dev/null >"$tracefs/set_event_notrace_pid"
    for pid in $old_pids; do echo "$pid" 2>/dev/null >>"$tracefs/set_event_notrace_pid"; done
    [ -z "$old_tracing" ] || put "$old_tracing" "$tracefs/tracing_on"
}

# Ends the reader, and leaves the status of what packs its text in `packed`.
end_reader() {
    [ -n "$reader" ] || return 0
    pid=
    kill -0 "$reader" 2>/dev/null && read -r pid 2>/dev/null <"$meta/reader"
    # cat ends, and what follows it in the pipe closes its file.
    [ -n "$pid" ] && kill -USR1 "$pid" 2>/dev/null
    wait "$reader" 2>/dev/null
    packed=$?
    reader=
    rm -f "$meta/reader"
}

clean_up() {
    trap - EXIT
    trap '' INT TERM HUP
    put 0 "$tracefs/tracing_on"
    end_reader
    for enable in $enabled; do put 0 "$enable"; done
    for probe in $probes; do
        put 0 "$tracefs/events/tag_storage/$probe/enable"
        echo "-:tag_storage/$probe" 2>/dev/null >>"$top/kprobe_events"
    done
    [ -n "$names_kept" ] && put "$names_kept" "$top/saved_cmdlines_size"
    if [ "$tracefs" != "$top" ]; then
        rmdir "$tracefs" 2>/dev/null
    elif [ -n "$is_saved" ]; then
        restore_settings
    fi
    [ -n "$keeps_meta" ] || rm -rf "$meta"
}
trap 'exit 130' INT TERM HUP
trap clean_up EXIT

. "$(dirname "$0")/record_machine.sh"

enabled= names= probed=
event() { # event NAME WHAT-IS-LOST
    enable=$tracefs/events/$1/enable
    was_on=
    read -r was_on 2>/dev/null <"$enable"
    if [ -f "$enable" ] && put 1 "$enable"; then
        names="$names ${1#*/}"
        case $was_on in 1*) ;; *) enabled="$enabled $enable" ;; esac
    else
        say "no tracepoint $1 on Linux $kernel: $2"
        return 1
    fi
}

try_probe() { # try_probe FUNCTION ARGUMENTS: at its return if they name what it returns
    [ -f "$top/kprobe_events" ] || return 1
    case $2 in *'$retval'*) kind=r ;; *) kind=p ;; esac
    echo "$kind:tag_storage/$1 $1 $2" 2>/dev/null >>"$top/kprobe_events" || return 1
    probes="$probes $1"
    enable=$tracefs/events/tag_storage/$1/enable
    [ -f "$enable" ] && put 1 "$enable" && probed="$probed $1"
}

probe() { # probe FUNCTION ARGUMENTS WHAT-IS-LOST
    try_probe "$1" "$2" || say "no probe on $1: $3"
}

rm -rf "$meta"
mkdir "$meta" || die "$meta cannot be made"
save_settings
put 0 "$tracefs/tracing_on"
put "$kib" "$tracefs/buffer_size_kb" || say "no buffer of $kib KiB a CPU: it stays as large as it is"
# The kernel keeps the names of 128 tasks; a line of any other task begins with <...>.
names_kept=$(cat "$top/saved_cmdlines_size" 2>/dev/null)
names_kept=${names_kept%%[!0-9]*}
if [ -n "$names_kept" ] && [ "$names_kept" -lt 65536 ]; then
    put 65536 "$top/saved_cmdlines_size" || names_kept=
else
    names_kept=
fi
put mono "$tracefs/trace_clock" || say "no clock mono: the default one is used"
true 2>/dev/null >"$tracefs/trace"

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
lost="no access trace can be made of it: reads of pages that are in memory are not seen"
if [ -n "$has_flags" ]; then
    echo "$bits" >"$meta/page_flags"
else
    lost="$lost, and evicted folios that never refault are taken as not workingset"
fi
try_probe folio_mark_accessed "folio=\$arg1:x64 $by_name" ||
    probe folio_mark_accessed "folio=\$arg1:x64 $by_place" "$lost"

# What reclaim sees of accessed bits. The folio's address alone tells its page.
lost="accesses through mappings are known by their first touch alone (accessed bits: modelled)"
probe folio_referenced 'folio=$arg1:x64 ret=$retval:s32' "$lost"
lost="of MGLRU's walks of page tables it is not known which pages they find young"
probe folio_update_gen 'folio=$arg1:x64' "$lost"
probe try_to_inc_max_seq 'ret=$retval:u8' "$lost"

for event in $names; do echo "$event"; done >"$meta/events"
for probe in $probed; do echo "$probe"; done >"$meta/probes"
control_groups 2>/dev/null >"$meta/cgroups"
task_names 2>/dev/null >"$meta/comms"
snapshot before
cat /proc/iomem /dev/null 2>/dev/null >"$meta/iomem"
cat /proc/swaps /dev/null 2>/dev/null >"$meta/swaps"
echo "$kernel" >"$meta/version"
getconf PAGESIZE 2>/dev/null >"$meta/page_size" || {
    page=$(sed -n 's/^KernelPageSize: *\([0-9]*\) kB.*/\1/p' /proc/self/smaps 2>/dev/null |
        head -n 1)
    echo $((${page:-4} * 1024)) >"$meta/page_size"
}

pack=cat suffix=
if command -v gzip >/dev/null 2>&1; then
    pack='gzip -1' suffix=.gz
else
    say "no gzip: files are written plain"
fi
output=$name.ftrace.txt$suffix

command -v tar >/dev/null 2>&1 || say "no tar: what the archive would hold stays in the folder $meta"

# The work of this script must not be traced: it would feed itself.
put $$ "$tracefs/set_event_notrace_pid"
put 1 "$tracefs/options/event-fork"
stopped=
trap 'stopped=1' INT TERM HUP
(
    sh -c 'echo $PPID' 2>/dev/null >>"$tracefs/set_event_notrace_pid"
    # What ends the recording, and may be sent to all its processes, leaves these to write the rest.
    trap '' INT TERM HUP
    # This shell itself has nothing to say, such as that cat was ended.
    exec 3>&2 2>/dev/null
    sh -c 'echo $$ >"$1" && exec cat "$2"' cat "$meta/reader" "$tracefs/trace_pipe" 2>&3 |
        head -c $((mib * 1048576)) 2>&3 | $pack 2>&3 >"$output"
) &
reader=$!
until [ -s "$meta/reader" ] || ! kill -0 $reader 2>/dev/null; do
    sleep 0.1 2>/dev/null || sleep 1
done
counters before
put 1 "$tracefs/tracing_on"
say "recording for $seconds s into $output"
passed=0 began=$(uptime)
[ "$every" -eq 0 ] || sample
while [ -z "$stopped" ] && [ $passed -lt "$seconds" ] && kill -0 $reader 2>/dev/null; do
    { sleep 1; } 2>/dev/null || break
    if [ "$began" -gt 0 ]; then passed=$(($(uptime) - began)); else passed=$((passed + 1)); fi
    if [ "$every" -gt 0 ] && [ $((passed / every)) -ge $samples ]; then sample; fi
done
trap '' INT TERM HUP
put 0 "$tracefs/tracing_on"
counters after
is_full=
kill -0 $reader 2>/dev/null || is_full=1
sleep 1 # for what is in the buffer
end_reader

# What is left of an earlier recording of this name is not this one's.
rm -f "$name.meta.tar" "$name.meta.tar.gz"
[ $packed -eq 0 ] || die "$output is damaged: it could not be written to its end; is the disk full?"
[ -n "$(${pack%% *} ${suffix:+-dc} "$output" 2>/dev/null | head -c 1)" ] ||
    die "nothing was recorded in $passed s: $output is empty"
[ -z "$is_full" ] || say "the limit of $mib MiB is reached after $passed s"

snapshot after
cat "$tracefs"/per_cpu/cpu*/stats 2>/dev/null >"$meta/ring_stats"
lost=$(awk -F': *' '/^(overrun|dropped events)/ {lost += $2} END {print lost + 0}' \
    "$meta/ring_stats" 2>/dev/null)
[ "${lost:-0}" -eq 0 ] || say "$lost events were lost: record again with a larger -b"

quoted() { # as a shell reads it
    case $1 in
    *[!A-Za-z0-9_./,:=@%+-]*) echo "'$(echo "$1" | sed "s/'/'\\\\''/g")'" ;;
    *) echo "$1" ;;
    esac
}
if ! command -v tar >/dev/null 2>&1; then
    keeps_meta=1
    say "written: $output and the folder $meta; where there is a tar, do this before the import:" \
        "tar cf $(quoted "$meta.tar") $(quoted "$meta")"
elif tar cf - "$meta" 2>/dev/null >"$meta.tar"; then
    # A disk may be too full for a second copy; the first is an archive too.
    [ -n "$suffix" ] && $pack -f "$meta.tar" 2>/dev/null || suffix=
    say "written: $output $meta.tar$suffix; then:" \
        "sweep trace import $(quoted "$output") -o $(quoted "$name.parquet")"
else
    keeps_meta=1
    rm -f "$meta.tar"
    die "$output is whole, but the archive of $meta could not be written; is the disk full?" \
        "that folder stays: tar cf $(quoted "$meta.tar") $(quoted "$meta")"
fi

#!/bin/sh
# Records what `sweep trace import` reads: the page cache, reclaim, the page allocator and MTE tags.
# POSIX shell and tracefs alone: it runs under adb, busybox and toybox, as root. Events that this
# kernel does not have are left out, with a word on what that costs. Outside of a tracing instance and
# probes of its own it changes nothing, and both go as it ends, or at the next start if it was killed.

set -u
# What it writes is for who records alone.
umask 077

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

say() { printf 'record: %s\n' "$*" >&2; }
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
    '' | *[!0-9]* | 0* | ??????????*) die "$number is not a whole number above 0, of 9 digits at most" ;;
    esac
done
case $every in
'' | *[!0-9]* | 0?* | ??????????*) die "-s $every is not a whole number, of 9 digits at most" ;;
esac
case $name in
'' | */ | *'
'*) die "-o: give a name, in one line, to which .ftrace.txt.gz is added" ;;
-*) name=./$name ;;
esac
lacking=
for tool in awk cat dd grep head mkdir od printf rm rmdir sed sh sleep tail tr uname; do
    command -v $tool >/dev/null 2>&1 || lacking="$lacking $tool"
done
case $lacking in
'') ;;
' '*' '*) die "no$lacking: record needs them (busybox and toybox have such tools)" ;;
*) die "no$lacking: record needs it (busybox and toybox have such tools)" ;;
esac

. "$(dirname "$0")/record_machine.sh"
. "$(dirname "$0")/record_types.sh"
. "$(dirname "$0")/record_tracefs.sh"

# TRACEFS names another place of it, BTF another file of the kernel's types, and the others name
# other files of /proc.
btf=${BTF:-/sys/kernel/btf/vmlinux}
cpuinfo=${CPUINFO:-/proc/cpuinfo}
kpageflags=${KPAGEFLAGS:-/proc/kpageflags}
zoneinfo=${ZONEINFO:-/proc/zoneinfo}
# Where it is mounted already: to look below /sys/kernel/debug would mount it there.
top=${TRACEFS:-$(awk '$3 == "tracefs" {print $2; exit}' /proc/mounts 2>/dev/null)}
[ -n "$top" ] || die "no tracefs is mounted: as root, mount -t tracefs nodev /sys/kernel/tracing," \
    "and umount it after the recording; the kernel needs CONFIG_FTRACE"
[ -d "$top/events" ] || die "$top is no tracefs, or may not be read: run as root"
[ -w "$top/instances" ] || die "$top/instances may not be written: run as root"
kernel=$(uname -r)

cpus=0
for cpu in "$top"/per_cpu/cpu*; do cpus=$((cpus + 1)); done
say "a capture tells which programs and tasks ran, and in which control groups; when they read which" \
    "pages of which files (by device and inode), and where in memory and on the disk these lie;" \
    "and addresses of the kernel. Only you may read its files; sweep trace cut --anonymise drops names"
say "it takes $((kib * cpus)) KiB of the kernel's memory, up to $mib MiB of disk before compression," \
    "and time at each event: what reads, allocates or reclaims pages is slower meanwhile"

meta=$name.meta
reader=
keeps_meta=1

end_cat() {
    pid=
    read -r pid 2>/dev/null <"$meta/reader"
    [ -z "$pid" ] || kill -USR1 "$pid" 2>/dev/null
    rm -f "$meta/reader"
}

# Ends the reader, and leaves the status of what packs its text in `packed`.
end_reader() {
    [ -n "$reader" ] || return 0
    # cat ends, and what follows it in the pipe closes its file.
    ! kill -0 "$reader" 2>/dev/null || end_cat
    wait "$reader" 2>/dev/null
    packed=$?
    reader=
    rm -f "$meta/reader"
}

clean_up() {
    trap - EXIT
    trap '' INT TERM HUP QUIT PIPE
    put 0 "$tracefs/tracing_on"
    put 0 "$tracefs/events/enable"
    end_reader
    clear_room "$room" ||
        say "$tracefs stays, since somebody has a file of it open: the next recording takes it away"
    [ -n "$keeps_meta" ] || rm -rf "$meta"
}

clear_rooms_of_the_dead
# Never another tracer's instance, nor the main buffer.
room=tag_storage_$$_$(started $$)
tracefs=$top/instances/$room
trap 'exit 130' INT TERM HUP QUIT PIPE
trap clean_up EXIT
mkdir "$tracefs" 2>/dev/null ||
    die "no tracing instance can be made in $top/instances: nothing is recorded, since the main" \
        "buffer may be another tracer's"
# The work of this script and its children must not be traced: it would feed itself.
put $$ "$tracefs/set_event_notrace_pid"
put 1 "$tracefs/options/event-fork"

# What is left of an earlier recording of this name is not this one's. Of a folder that is not
# root's own, others may make a link while it is taken away.
writer=
[ -L "$meta" ] || [ ! -O "$meta" ] || read -r writer 2>/dev/null <"$meta/recorder"
if [ -n "$writer" ]; then
    ! is_of_the_living "$writer" || die "$name is being recorded: give another name by -o"
    rm -rf "$meta"
elif [ -e "$meta" ] || [ -L "$meta" ]; then
    die "$meta is there, and no recording made it: give another name by -o"
fi
mkdir "$meta" || die "$meta cannot be made"
keeps_meta=
echo "$room" >"$meta/recorder"
# From here on: before, the reader in $meta may be another recording's.
guard </dev/null >/dev/null 2>&1 &
put 0 "$tracefs/tracing_on"
put "$kib" "$tracefs/buffer_size_kb" || say "no buffer of $kib KiB a CPU: it stays as large as it is"
kept=$(cat "$top/saved_cmdlines_size" 2>/dev/null)
kept=${kept%%[!0-9]*}
[ "${kept:-65536}" -ge 4096 ] ||
    say "the kernel keeps the names of $kept tasks, all others will be <...>; for more of them," \
        "echo 65536 >$top/saved_cmdlines_size, by which other tracers lose those known until then"
put mono "$tracefs/trace_clock" || say "no clock mono: the default one is used"

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

types=$(kernel_types "$btf") || types=
[ -z "$types" ] || types=" $types"
[ -n "$types" ] || say "no BTF in $btf that can be read: members of structures are left out"

has_mte=
if grep -q mte "$cpuinfo" 2>/dev/null; then
    has_mte=1
    lost="moved tagged pages are not seen"
    probe tag_clear_highpage 'page[*])*' 'page=$arg1:x64' "$lost"
    probe copy_highpage 'page[*],page[*])*' 'to=$arg1:x64 from=$arg2:x64' "$lost"
    case $types in # it takes other things in each of these kernels
    *' mte_sync_tags(pte_t,int4)'*) arguments='pte=$arg1:x64 nr=$arg2:u32' ;; # 6.6
    *' mte_sync_tags(pte_t)'*) arguments='pte=$arg1:x64' ;;
    *' mte_sync_tags(pte_t,pte_t)'* | *' mte_sync_tags(pte_t[*],pte_t)'*) arguments='pte=$arg2:x64' ;;
    *) arguments= ;;
    esac
    lost="tagged huge pages are not seen"
    if [ -n "$arguments" ]; then
        probe mte_sync_tags '*' "$arguments" "$lost"
    else
        say "no probe on mte_sync_tags, of which BTF does not tell what it takes: $lost"
    fi
else
    say "this CPU has no MTE: tagged pages have to come from elsewhere"
fi

folio='folio=$arg1:x64'
index=$(reach index '$arg1' u64 folio.index)
ino=$(reach ino '$arg1' u64 folio.mapping address_space.host inode.i_ino)
lost="the workingset bit is known of refaulted folios' next eviction alone"
if [ -n "$index" ] && [ -n "$ino" ]; then
    place="$index $ino"
    probe workingset_refault 'folio[*],void[*])*' "$folio shadow=\$arg2:x64 $place" "$lost"
else
    place=
    say "no probe on workingset_refault: BTF does not tell where a folio has its file: $lost"
fi
ino=$(reach ino '$arg1' u64 inode.i_ino)
dev=$(reach dev '$arg1' u32 inode.i_sb super_block.s_dev)
lost="copies of a file that goes stay"
if [ -n "$ino" ]; then
    [ -n "$dev" ] || say "BTF does not tell where an inode has its device: evict is probed without it"
    probe evict 'inode[*])*' "$ino $dev" "$lost"
else
    say "no probe on evict: BTF does not tell where an inode has its number: $lost"
fi
flags=$(reach flags '$arg1' x64 folio.flags)
bits=$(for word in $types; do echo "$word"; done | sed -n 's/^PG_\(.*\)=/\1 /p')
lost=
case ${place:+place}${flags:+flags}$bits in
placeflags*workingset*)
    probe workingset_eviction 'folio[*],*' "$folio $flags $place" "no bits of folio->flags" &&
        echo "$bits" >"$meta/page_flags" ;;
*) say "no probe on workingset_eviction: BTF does not tell the bits of folio->flags" ;;
esac
[ -f "$meta/page_flags" ] ||
    lost=", and evicted folios that never refault are taken as not workingset"
lost="no access trace can be made of it: reads of pages that are in memory are not seen$lost"
[ -n "$place" ] ||
    say "BTF does not tell where a folio has its file: folio_mark_accessed is probed without it"
probe folio_mark_accessed 'folio[*])*' "$folio${place:+ $place}" "$lost"

# What reclaim sees of accessed bits. The folio's address alone tells its page.
lost="accesses through mappings are known by their first touch alone (accessed bits: modelled)"
probe folio_referenced 'folio[*],*)int4' 'folio=$arg1:x64 ret=$retval:s32' "$lost"
lost="of MGLRU's walks of page tables it is not known which pages they find young"
probe folio_update_gen 'folio[*],*' 'folio=$arg1:x64' "$lost"
probe try_to_inc_max_seq '*)int1' 'ret=$retval:u8' "$lost"

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

stopped=
trap 'stopped=1' INT TERM HUP QUIT PIPE
# A link that waits under this name is not followed: the file is made anew, or not at all.
rm -f "$output"
set -C
(
    # What ends the recording, and may be sent to all its processes, leaves these to write the rest.
    trap '' INT TERM HUP QUIT
    sh -c 'echo $$ >"$1" && exec cat "$2"' cat "$meta/reader" "$tracefs/trace_pipe" 2>&3 |
        head -c $((mib * 1048576)) 2>&3 | $pack 2>&3
    # The shell itself has nothing to say, such as that cat was ended.
) 3>&2 2>/dev/null >"$output" &
reader=$!
set +C
until [ -s "$meta/reader" ] || ! kill -0 $reader 2>/dev/null; do
    sleep 0.1 2>/dev/null || sleep 1
done
counters before
put 1 "$tracefs/tracing_on"
say "recording for $seconds s into $output"
look_at_the_clock
passed=0 began=$now
[ "$every" -eq 0 ] || sample
while [ -z "$stopped" ] && [ $passed -lt "$seconds" ] && kill -0 $reader 2>/dev/null; do
    # A wait ends by Ctrl-C in every shell. Where that comes as a command ends, bash forgets it.
    { sleep 1 & wait $!; } 2>/dev/null || break
    look_at_the_clock
    if [ "$began" -gt 0 ]; then passed=$((now - began)); else passed=$((passed + 1)); fi
    if [ "$every" -gt 0 ] && [ $((passed / every)) -ge $samples ]; then sample; fi
done
trap '' INT TERM HUP QUIT PIPE
is_full=
kill -0 $reader 2>/dev/null || is_full=1
put 0 "$tracefs/tracing_on"
counters after
# cat ends by itself where the buffer is read to its end, on most kernels; a second is enough.
for tenth in 1 2 3 4 5 6 7 8 9 10; do
    kill -0 $reader 2>/dev/null || break
    sleep 0.1 2>/dev/null || { sleep 1; break; }
done
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
    *[!A-Za-z0-9_./,:=@%+-]*) printf "'%s'\n" "$(printf '%s\n' "$1" | sed "s/'/'\\\\''/g")" ;;
    *) echo "$1" ;;
    esac
}
if ! command -v tar >/dev/null 2>&1; then
    keeps_meta=1
    say "written: $output and the folder $meta; where there is a tar, do this before the import:" \
        "tar cf $(quoted "$meta.tar") $(quoted "$meta")"
elif (set -C && tar cf - "$meta" >"$meta.tar") 2>/dev/null; then
    # A disk may be too full for a second copy; the first is an archive too.
    [ -n "$suffix" ] && $pack "$meta.tar" 2>/dev/null || suffix=
    say "written: $output $meta.tar$suffix; then:" \
        "sweep trace import $(quoted "$output") -o $(quoted "$name.parquet")"
else
    keeps_meta=1
    rm -f "$meta.tar"
    die "$output is whole, but the archive of $meta could not be written; is the disk full?" \
        "that folder stays: tar cf $(quoted "$meta.tar") $(quoted "$meta")"
fi

# What a recording notes of its machine: counters, samples of /proc, tasks.
# `sweep trace record` puts it into record.sh, in place of the line that names it.

# What the kernel counts while it is traced; read as near to the trace as can be.
counters() {
    cat /proc/vmstat 2>/dev/null >"$meta/vmstat.$1"
}

snapshot() {
    for file in meminfo buddyinfo zoneinfo; do
        cat "/proc/$file" 2>/dev/null >"$meta/$file.$1"
    done
}

look_at_the_clock() { # leaves in `now` the whole seconds since the start of the kernel
    now=0
    read -r now _ 2>/dev/null </proc/uptime
    now=${now%%.*}
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
    look_at_the_clock
    {
        awk -v now="$now" '/^(MemTotal|MemFree|MemAvailable|Cached|SwapFree):/ {
            sub(":", "", $1); print now, $1 "_kib", $2}' /proc/meminfo
        awk -v now="$now" '/^nr_(free_pages|(in)?active_(file|anon)|zspages) / {print now, $1, $2}' \
            /proc/vmstat
        [ -n "$has_mte" ] && [ -r "$kpageflags" ] && tagged_pages "$now" $samples
    } 2>/dev/null >>"$meta/samples"
    samples=$((samples + 1))
}

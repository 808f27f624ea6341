# The recorder's own room in tracefs: an instance, which has a buffer and settings of its own, and a
# group of probes of the same name. Nothing else in tracefs is ever written.
# `sweep trace record` puts it into record.sh, in place of the line that names it.

# A file that is not there, or takes no such value, is no word on stderr: what follows is said.
put() { echo "$1" 2>/dev/null >"$2"; }

started() { # started PID: prints when a process that runs began, in ticks since the kernel did
    read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
    # What follows the name of the program, in which may stand anything.
    set -- ${stat##*') '}
    case ${1-Z} in Z | X) return 1 ;; esac
    echo "${20-}"
}

# A room's name tells whose it is: tag_storage_PID_STARTED. By it a later recording knows what one
# left that was killed, and two that run at a time do not meet. A reboot clears all of tracefs.
is_of_the_living() { # is_of_the_living ROOM
    owner=${1#tag_storage_}
    [ "$(started "${owner%_*}")" = "${owner#*_}" ]
}

clear_room() { # clear_room ROOM: fails where somebody has a file of it open, or uses its probes
    [ ! -d "$top/instances/$1" ] || rmdir "$top/instances/$1" 2>/dev/null || {
        sleep 1
        rmdir "$top/instances/$1" 2>/dev/null
    } || return 1
    sed -n "s|^[pr][0-9]*:\($1/[A-Za-z0-9_]*\).*|\1|p" "$top/kprobe_events" 2>/dev/null |
        (
            while read -r probe; do
                echo "-:$probe" 2>/dev/null >>"$top/kprobe_events" || exit 1
            done
        )
}

clear_rooms_of_the_dead() {
    for left in $(
        {
            for folder in "$top"/instances/tag_storage_*_*; do echo "${folder##*/}"; done
            sed -n 's|^[pr][0-9]*:\(tag_storage_[0-9]*_[0-9]*\)/.*|\1|p' "$top/kprobe_events"
        } 2>/dev/null | awk '/^tag_storage_[0-9]+_[0-9]+$/ && !seen[$0]++'
    ); do
        is_of_the_living "$left" && continue
        if clear_room "$left"; then
            say "what an earlier recording left in tracefs is taken away: $left"
        else
            say "what an earlier recording left in tracefs stays, since it is in use: $left"
        fi
    done
}

# Where a kernel that is short of memory kills this script, this child of it clears the room.
guard() {
    trap '' INT TERM HUP QUIT
    while [ -d "$tracefs" ]; do
        is_of_the_living "$room" || {
            put 0 "$tracefs/tracing_on"
            end_cat
            clear_room "$room"
            break
        }
        sleep 1
    done
}

names=
event() { # event NAME WHAT-IS-LOST
    if [ -f "$tracefs/events/$1/enable" ] && put 1 "$tracefs/events/$1/enable"; then
        names="$names ${1#*/}"
    else
        say "no tracepoint $1 on Linux $kernel: $2"
        return 1
    fi
}

# A function whose arguments BTF tells has to have those that are read, as a pattern of the shell;
# without any BTF they are taken to be what they have been ever since.
is_confirmed() { # is_confirmed FUNCTION PATTERN
    [ -n "$types" ] || return 0
    case $types in *" $1("*) ;; *) return 1 ;; esac
    signature=${types#*" $1("}
    case ${signature%% *} in
    $2) ;;
    *) return 1 ;;
    esac
}

probed=
probe() { # probe FUNCTION PATTERN ARGUMENTS WHAT-IS-LOST: at its return if they name what it returns
    if ! is_confirmed "$1" "$2"; then
        say "no probe on $1, whose arguments are not those in BTF: $4"
        return 1
    fi
    case $3 in *'$retval'*) kind=r ;; *) kind=p ;; esac
    if [ -f "$top/kprobe_events" ] &&
        echo "$kind:$room/$1 $1 $3" 2>/dev/null >>"$top/kprobe_events" &&
        put 1 "$tracefs/events/$room/$1/enable"; then
        probed="$probed $1"
    else
        say "no probe on $1: $4"
        return 1
    fi
}

# Members of structures lie where BTF says that they do, or are not read.
reach() { # reach NAME ARGUMENT TYPE MEMBER..: prints the field of a probe that follows members
    field="$1=" path=$2 type=$3
    shift 3
    for member; do
        case $types in
        *" $member="*) offset=${types#*" $member="} path="+${offset%% *}($path)" ;;
        *) return 1 ;;
        esac
    done
    echo "$field$path:$type"
}

# What a kernel says of its own types, by BTF: where members of structures lie, what functions take.
# `sweep trace record` puts it into record.sh, in place of the line that names it.

# BTF is a header, then types, then their names, all read as 32-bit words. A type is its name, its
# kind with how many members it has, its size (or the type that it refers to), and its members.
#
# Prints what is found, a word each: the number of a bit of folio->flags (PG_workingset=9), the byte
# at which a member begins (folio.index=32), and what a function takes and returns
# (folio_update_gen(folio*,int4)int4). A member is printed if it has the size that a probe reads, or
# leads to the structure that it is to lead to, and is no bit-field; nothing is that two types of
# one name contradict each other about. Of BTF that is damaged, of a module (whose types begin with
# those of the kernel) or of another byte order nothing is printed.
kernel_types() { # kernel_types FILE-OF-BTF
    # After the file: magic, size of the header; where types begin, their size, and of names.
    set -- "$1" $(od -An -v -tu4 -N 24 "$1" 2>/dev/null)
    [ $# -eq 7 ] && [ $(($2 % 16777216)) -eq $((0x01eb9f)) ] || return 1
    [ "$(tail -c +$(($3 + $6 + 1)) "$1" | head -c "$7" | tail -c 1 | od -An -tu1 | tr -d ' ')" = 0 ] ||
        return 1
    [ "$(tail -c +$(($3 + $6 + 1)) "$1" | head -c 1 | od -An -tu1 | tr -d ' ')" = 0 ] || return 1
    wanted=$(tail -c +$(($3 + $6 + 1)) "$1" | head -c "$7" | tr '\000' '\n' | LC_ALL=C awk '
        BEGIN {
            count = split("PG_workingset PG_mappedtodisk PG_swapbacked folio page address_space " \
                "inode super_block flags f index mapping host i_ino i_sb s_dev pte_t evict " \
                "tag_clear_highpage mte_sync_tags copy_highpage workingset_refault " \
                "workingset_eviction folio_mark_accessed folio_referenced folio_update_gen " \
                "try_to_inc_max_seq", words, " ")
            for (i = 1; i <= count; i++) is_wanted[words[i]] = 1
        }
        $0 in is_wanted {print $0 "=" place}
        {place += length($0) + 1}' | tr '\n' ' ')
    tail -c +$(($3 + $4 + 1)) "$1" | head -c "$5" | od -An -v -tu4 |
        awk -v wanted="$wanted" -v words="$(($5 / 4))" '
        BEGIN {
            count = split(wanted, pairs, " ")
            for (i = 1; i <= count; i++) {split(pairs[i], pair, "="); name[pair[2]] = pair[1]}
            name[0] = ""
        }
        {
            for (i = 1; i <= NF; i++) {
                seen++
                if (left) {
                    left--
                    if (is_kept) {
                        part[++parts] = $i
                        if (!left) keep()
                    }
                } else if (++place == 1) named = $i
                else if (place == 2) head = $i
                else {place = 0; begin($i)}
            }
        }
        END {if (seen == words && !left && !place) tell()}

        function begin(value) {
            id++; kind = int(head / 16777216) % 32; members = head % 65536
            if (kind < 1 || kind > 19) {seen = -1; exit}
            type[id] = kind " " value " " (named in name ? name[named] : "?")
            left = 0; parts = 0; is_kept = 0
            if (kind == 1 || kind == 14 || kind == 17) left = 1
            else if (kind == 3) left = 3
            else if (kind == 4 || kind == 5) {left = 3 * members; is_kept = named in name}
            else if (kind == 6) {left = 2 * members; is_kept = 1}
            else if (kind == 13) {left = 2 * members; is_kept = members < 6}
            else if (kind == 15 || kind == 19) left = 3 * members
            else if (kind == 12 && named in name) functions[++functions_found] = id
            # A bit-field has its size in the upper eight bits of where it begins.
            bits = kind < 6 && int(head / 2147483648) ? 16777216 : 4294967296
        }
        function keep(  i, step, text) {
            if (kind == 6) {
                for (i = 1; i < parts; i += 2)
                    if (part[i] in name && name[part[i]] ~ /^PG_/) found(name[part[i]], part[i + 1])
                return
            }
            step = kind == 13 ? 2 : 3
            for (i = 1; i < parts; i += step) {
                if (step == 2) text = text " " part[i + 1]
                else if (part[i] in name)
                    text = text " " name[part[i]] "," part[i + 1] "," \
                        (part[i + 2] < bits ? part[i + 2] : -1)
            }
            inside[id] = text
            if (kind == 4 && named) structures[++structures_found] = id
        }
        # What is found twice, and not as the same, is not known.
        function found(what, value) {
            if (what in known && known[what] != value) value = "?"
            known[what] = value
        }
        function solid(t,  p) { # what is behind names, const and the like: the number of a type
            while (split(type[t], p, " ") && p[1] >= 8 && p[1] <= 11 || p[1] == 18) t = p[2]
            return t
        }
        function shape(t,  p) { # how a type looks: int8, folio*, void
            if (!t) return "void"
            split(type[t], p, " ")
            if (p[1] == 8 && p[3] == "pte_t") return p[3]
            t = solid(t)
            if (!t) return "void"
            split(type[t], p, " ")
            if (p[1] == 1 || p[1] == 6) return "int" p[2]
            if (p[1] == 2) return shape(p[2]) "*"
            return p[3] == "" ? "?" : p[3]
        }
        # Looks for a member, in structures and unions without a name too.
        function look(t, member, want, bit, key,  i, n, all, one, below) {
            n = split(inside[t], all, " ")
            for (i = 1; i <= n; i++) {
                split(all[i], one, ",")
                if (one[1] == member && one[3] >= 0 && (bit + one[3]) % 8 == 0 &&
                    shape(one[2]) == want)
                    found(key, (bit + one[3]) / 8)
                else if (one[1] == member && member == "flags" && one[3] >= 0)
                    look(solid(one[2]), "f", want, bit + one[3], key)
                else if (one[1] == member) found(key, "?")
                else if (one[1] == "" && one[3] >= 0) {
                    below = solid(one[2])
                    if (below in inside) look(below, member, want, bit + one[3], key)
                }
            }
        }
        function tell(  i, j, n, p, all, text) {
            n = split("folio.flags:int8 folio.index:int8 folio.mapping:address_space* " \
                "address_space.host:inode* inode.i_ino:int8 inode.i_sb:super_block* " \
                "super_block.s_dev:int4", all, " ")
            for (i = 1; i <= structures_found; i++) {
                split(type[structures[i]], p, " ")
                for (j = 1; j <= n; j++) {
                    split(all[j], pair, /[.:]/)
                    if (p[3] == pair[1])
                        look(structures[i], pair[2], pair[3], 0, pair[1] "." pair[2])
                }
            }
            for (i = 1; i <= functions_found; i++) {
                split(type[functions[i]], p, " ")
                n = split(inside[p[2]], all, " "); text = ""
                for (j = 1; j <= n; j++) text = text (j > 1 ? "," : "") shape(all[j])
                split(type[p[2]], all, " ")
                found(p[3], "(" text ")" shape(all[2]))
            }
            for (key in known) if (known[key] !~ /^[?]/)
                print key (known[key] ~ /^\(/ ? "" : "=") known[key]
        }' | tr '\n' ' '
}

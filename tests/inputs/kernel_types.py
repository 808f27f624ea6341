"""BTF, a kernel's description of its own types, as far as the recorder reads it."""

from __future__ import annotations

import struct

#: (name, type, first bit, bits if it is a bit-field) of a member.
Member = tuple[str, int, int, int]
_INT, _PTR, _STRUCT, _UNION, _ENUM, _TYPEDEF, _CONST = 1, 2, 4, 5, 6, 8, 10
_FUNC, _FUNC_PROTO, _FLOAT = 12, 13, 16


class Types:
    """Types that are added one after the other; each `add` returns the number of one."""

    def __init__(self) -> None:
        self._names, self._places = b"\0", {"": 0}
        self._words: list[int] = []
        self._count = 0

    def _name(self, name: str) -> int:
        if name not in self._places:
            self._places[name] = len(self._names)
            self._names += name.encode() + b"\0"
        return self._places[name]

    def _add(self, name: str, kind: int, members: int, value: int, *words: int) -> int:
        self._words += [self._name(name), kind << 24 | members, value, *words]
        self._count += 1
        return self._count

    def integer(self, size: int) -> int:
        return self._add(f"int{size}", _INT, 0, size, 8 * size)

    def pointer(self, to: int) -> int:
        return self._add("", _PTR, 0, to)

    def named(self, name: str, other: int) -> int:
        return self._add(name, _TYPEDEF, 0, other)

    def constant(self, other: int) -> int:
        return self._add("", _CONST, 0, other)

    def floating(self) -> int:
        return self._add("double", _FLOAT, 0, 8)

    def structure(self, name: str, size: int, *members: Member, is_union: bool = False) -> int:
        fields = any(bits for *_, bits in members)
        words = [
            word
            for member, kind, bit, bits in members
            for word in (self._name(member), kind, bits << 24 | bit)
        ]
        kind = (_UNION if is_union else _STRUCT) | fields << 7
        return self._add(name, kind, len(members), size, *words)

    def enumeration(self, **values: int) -> int:
        words = [word for name, value in values.items() for word in (self._name(name), value)]
        return self._add("", _ENUM, len(values), 4, *words)

    def function(self, name: str, returns: int, *takes: int) -> int:
        words = [word for kind in takes for word in (self._name("x"), kind)]
        proto = self._add("", _FUNC_PROTO, len(takes), returns, *words)
        return self._add(name, _FUNC, 1, proto)

    def file(self, order: str = "<") -> bytes:
        """Return all of it as a kernel shows it."""
        types = struct.pack(f"{order}{len(self._words)}I", *self._words)
        numbers = (0xEB9F, 1, 0, 24, 0, len(types), len(types), len(self._names))
        return struct.pack(f"{order}HBBIIIII", *numbers) + types + self._names


def types_of_a_kernel(
    *,
    index_size: int = 8,
    index_bits: int = 0,
    host: str = "inode",
    second_inode: int = 64,
    with_device: bool = True,
    evict_takes: str = "inode",
) -> Types:
    """Return the types that probes read, in places that no kernel has them in.

    Parameters
    ----------
    index_size, index_bits
        How large a folio's index is, in bytes, or in bits if it is a bit-field.
    host
        The structure to which the host of an address space points.
    second_inode
        Where a second structure of the name inode has its number, in bytes.
    with_device
        Whether a super block has a device.
    evict_takes
        The structure to which the argument of evict points.
    """
    types = Types()
    types.floating()
    word, half, byte = types.integer(8), types.integer(4), types.integer(1)
    index = types.named("pgoff_t", types.constant(types.integer(index_size)))
    device = types.named("dev_t", half)
    block = types.structure("super_block", 99, *([("s_dev", device, 8 * 20, 0)] * with_device))
    to_block = types.pointer(block)
    inodes = [
        types.structure("inode", 200, ("i_ino", word, 8 * place, 0), ("i_sb", to_block, 8 * 48, 0))
        for place in (64, second_inode)
    ]
    others = {"inode": inodes[0], "super_block": block}
    space = types.structure("address_space", 99, ("host", types.pointer(others[host]), 8 * 16, 0))
    flags = types.structure("", 8, ("f", word, 0, 0))
    held = types.structure("", 64, ("mapping", types.pointer(space), 8 * 8, 0))
    place = types.structure("", 8, ("index", index, 8 * 2, index_bits), is_union=True)
    inner = types.structure(
        "", 80, ("flags", flags, 8 * 4, 0), ("", held, 8 * 24, 0), ("", place, 8 * 38, 0)
    )
    folio = types.pointer(types.structure("folio", 99, ("", inner, 0, 0)))
    types.enumeration(PG_locked=0, PG_workingset=8, PG_mappedtodisk=15, PG_swapbacked=18)
    to_any = types.pointer(0)
    types.function("workingset_refault", 0, folio, to_any)
    types.function("workingset_eviction", to_any, folio, to_any)
    types.function("folio_mark_accessed", 0, folio)
    types.function("evict", 0, types.pointer(others[evict_takes]))
    types.function("folio_referenced", half, folio, half, to_any, to_any)
    types.function("folio_update_gen", half, folio, half)
    types.function("try_to_inc_max_seq", byte, to_any, word, half)
    page = types.pointer(types.structure("page", 64, ("flags", word, 0, 0)))
    types.function("tag_clear_highpage", 0, page)
    types.function("copy_highpage", 0, page, page)
    entry = types.named("pte_t", types.structure("", 8, ("pte", word, 0, 0)))
    types.function("mte_sync_tags", 0, entry, half)
    return types


#: What the recorder is to find in these types.
FOUND = {
    *("PG_workingset=8", "PG_mappedtodisk=15", "PG_swapbacked=18", "folio.flags=4"),
    *("folio.mapping=32", "folio.index=40", "address_space.host=16", "inode.i_ino=64"),
    *("inode.i_sb=48", "super_block.s_dev=20", "workingset_refault(folio*,void*)void"),
    *("workingset_eviction(folio*,void*)void*", "folio_mark_accessed(folio*)void"),
    *("evict(inode*)void", "folio_referenced(folio*,int4,void*,void*)int4"),
    *("folio_update_gen(folio*,int4)int4", "try_to_inc_max_seq(void*,int8,int4)int1"),
    *("tag_clear_highpage(page*)void", "copy_highpage(page*,page*)void"),
    "mte_sync_tags(pte_t,int4)void",
}

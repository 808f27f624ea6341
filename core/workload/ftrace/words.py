"""The vocabulary of a trace: its events, fields and flags, and the numbers that stand for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

(
    ADD,
    DELETE,
    PAGE_ALLOC,
    PAGE_FREE,
    TAG_CLEAR,
    SYNC_TAGS,
    COPY_PAGE,
    REFAULT,
    RECLAIM_BEGIN,
    RECLAIM_END,
    MARK,
    TOUCHED,
    FAULT,
    GET_PAGES,
    TASK_EXIT,
    TASK_EXEC,
    MAP_PAGES,
    SYNC_READAHEAD,
    ASYNC_READAHEAD,
    READAHEAD,
    BLOCK_ISSUE,
    EVICTION,
    INODE_GONE,
    NEW_PHASE,
    KSWAPD_WAKE,
    KSWAPD_SLEEP,
    RECLAIM_PAGES,
    REFERENCED,
    FOUND_YOUNG,
    AGED,
    KINDS,
) = range(31)
#: NEW_PHASE is no event of its own: it is a MARK that begins or ends a phase (phases.py).
_EVENTS = {
    "mm_filemap_add_to_page_cache": ADD,
    "mm_filemap_delete_from_page_cache": DELETE,
    "mm_page_alloc": PAGE_ALLOC,
    "mm_page_free": PAGE_FREE,
    "tag_clear_highpage": TAG_CLEAR,
    "mte_sync_tags": SYNC_TAGS,
    "copy_highpage": COPY_PAGE,
    "workingset_refault": REFAULT,
    "mm_vmscan_direct_reclaim_begin": RECLAIM_BEGIN,
    "mm_vmscan_direct_reclaim_end": RECLAIM_END,
    "mm_vmscan_memcg_reclaim_begin": RECLAIM_BEGIN,
    "mm_vmscan_memcg_reclaim_end": RECLAIM_END,
    "mm_vmscan_memcg_softlimit_reclaim_begin": RECLAIM_BEGIN,
    "mm_vmscan_memcg_softlimit_reclaim_end": RECLAIM_END,
    "mm_vmscan_node_reclaim_begin": RECLAIM_BEGIN,
    "mm_vmscan_node_reclaim_end": RECLAIM_END,
    "mm_vmscan_kswapd_wake": KSWAPD_WAKE,
    "mm_vmscan_kswapd_sleep": KSWAPD_SLEEP,
    "mm_vmscan_reclaim_pages": RECLAIM_PAGES,
    "tracing_mark_write": MARK,
    "print": MARK,
    "0": MARK,  # as Android's first kernels wrote it
    "folio_mark_accessed": TOUCHED,
    "mark_page_accessed": TOUCHED,
    "mm_filemap_fault": FAULT,
    "mm_filemap_get_pages": GET_PAGES,
    "mm_filemap_map_pages": MAP_PAGES,
    "workingset_eviction": EVICTION,
    "folio_referenced": REFERENCED,
    "folio_update_gen": FOUND_YOUNG,
    "try_to_inc_max_seq": AGED,
    "sched_process_exit": TASK_EXIT,
    "sched_process_exec": TASK_EXEC,
    "block_rq_issue": BLOCK_ISSUE,
    "page_cache_sync_ra": SYNC_READAHEAD,
    "page_cache_async_ra": ASYNC_READAHEAD,
    "page_cache_ra_order": READAHEAD,
    "page_cache_ra_unbounded": READAHEAD,
    "evict": INODE_GONE,
}

# Columns of `fields`; a field that an event lacks is ABSENT. Some columns hold another thing for
# each kind of event, and have a name for each. For example, column 2 is the FRAME of a page_alloc
# and the POINTER to the ``struct page`` of a tag_clear.
DEV, INO = 0, 1
# Frame number; address of a ``struct page``; page table entry; free or tagged pages of a sample;
# last byte of a range.
FRAME = POINTER = PTE = SAMPLED_PAGES = LAST_BYTES = 2
# Place in the file in bytes, or in pages; ``struct page`` that is copied from; number of page table
# entries; groups of 32 frames with a tagged one in a sample; number of a phase.
OFFSET_BYTES = INDEX = SOURCE_POINTER = PTES = SAMPLED_GROUPS = PHASE_NUMBER = 3
# A shadow entry; where the text of a mark begins in its chunk; what a function returns.
ORDER = SHADOW = TEXT_FIRST = RETURNED = 4
# GFP flags as bits of this file; ``folio->flags``; pages that a readahead is asked for; where the
# text of a mark ends.
FLAGS = FOLIO_FLAGS = PAGES = TEXT_END = 5
FIELDS = 6
ABSENT = -1
# Words before a field's value, by number. Most have a number as their value.
_KEY_WORDS = (
    *("dev", "s_dev", "ino", "i_ino", "pfn", "page", "folio", "to", "from", "pte", "nr"),
    *("ofs", "index", "last_index", "order", "gfp_flags", "shadow", "flags", "req_count"),
    *("nr_free_pages", "tagged", "g32", "ret"),
)
KEY_DEV, KEY_S_DEV, KEY_INO, KEY_I_INO, KEY_PFN, _PAGE, _FOLIO, _TO, _FROM, _PTE, _NR = range(11)
KEY_OFS, KEY_INDEX, KEY_LAST_INDEX, KEY_ORDER, KEY_GFP_FLAGS, _SHADOW, _FLAGS = range(11, 18)
_REQ_COUNT, _NR_FREE_PAGES, _TAGGED, _G32, _RET = range(18, 23)
# A file and its device. `s_dev` and `i_ino` are their names in the kernel's structures, which are
# printed where the option `fields` of tracefs is set, or by `trace-cmd report -R`.
_FILE = {KEY_DEV: DEV, KEY_S_DEV: DEV, KEY_INO: INO, KEY_I_INO: INO}
_PLACE = {**_FILE, KEY_OFS: OFFSET_BYTES, KEY_INDEX: INDEX}
_FOLIO_OF_FILE = {**_PLACE, KEY_PFN: FRAME, KEY_ORDER: ORDER}
_RANGE = {**_PLACE, KEY_LAST_INDEX: LAST_BYTES}
_REQUEST = {**_FILE, KEY_INDEX: INDEX, _REQ_COUNT: PAGES}
_POINTED = {_PAGE: POINTER, _FOLIO: POINTER, KEY_INDEX: INDEX, KEY_INO: INO}
#: The column of each key that an event of a kind has; all other words say nothing of it.
_COLUMNS = {
    ADD: _FOLIO_OF_FILE,
    DELETE: _FOLIO_OF_FILE,
    PAGE_ALLOC: {KEY_PFN: FRAME, KEY_ORDER: ORDER, KEY_GFP_FLAGS: FLAGS},
    PAGE_FREE: {KEY_PFN: FRAME, KEY_ORDER: ORDER},
    TAG_CLEAR: {_PAGE: POINTER, _FOLIO: POINTER},
    SYNC_TAGS: {_PTE: PTE, _NR: PTES},
    COPY_PAGE: {_TO: POINTER, _FROM: SOURCE_POINTER},
    REFAULT: {**_POINTED, _SHADOW: SHADOW},
    MARK: {_NR_FREE_PAGES: SAMPLED_PAGES, _TAGGED: SAMPLED_PAGES, _G32: SAMPLED_GROUPS},
    TOUCHED: _POINTED,
    FAULT: _PLACE,
    GET_PAGES: _RANGE,
    MAP_PAGES: _RANGE,
    SYNC_READAHEAD: _REQUEST,
    ASYNC_READAHEAD: _REQUEST,
    READAHEAD: _REQUEST,
    EVICTION: {**_POINTED, _FLAGS: FOLIO_FLAGS},
    INODE_GONE: _FILE,
    REFERENCED: {_FOLIO: POINTER, _RET: RETURNED},
    FOUND_YOUNG: {_FOLIO: POINTER},
    AGED: {_RET: RETURNED},
}
#: Fields without which an event of a kind cannot be used.
_NEEDED = {
    ADD: (DEV, INO, OFFSET_BYTES),
    DELETE: (DEV, INO, OFFSET_BYTES),
    PAGE_ALLOC: (FRAME, ORDER),
    PAGE_FREE: (FRAME, ORDER),
    TAG_CLEAR: (POINTER,),
    SYNC_TAGS: (PTE,),
    COPY_PAGE: (POINTER, SOURCE_POINTER),
    REFAULT: (INO, INDEX, SHADOW),
    TOUCHED: (POINTER,),
    FAULT: (DEV, INO, OFFSET_BYTES),
    SYNC_READAHEAD: (DEV, INO, INDEX),
    ASYNC_READAHEAD: (DEV, INO),
    READAHEAD: (DEV, INO, INDEX),
    EVICTION: (INO, INDEX, FOLIO_FLAGS),
    INODE_GONE: (INO,),
    REFERENCED: (POINTER,),
    FOUND_YOUNG: (POINTER,),
}
# Bits of the field FLAGS.
GFP_TAGGED, GFP_ATOMIC, GFP_MOVABLE, GFP_WRITE, GFP_NORETRY = 1, 2, 4, 8, 16
# Bits that only tell others: may the allocation wait, and is the page zeroed?
GFP_WAKES, GFP_WAITS, GFP_ZERO = 32, 64, 128
#: All bits that words can stand for.
GFP_BITS = 8
#: Set in the field FLAGS while the flags are a number, which stands above the bits of the words.
GFP_NUMBER = 1 << 62
_FLAG_WORDS = {
    "__GFP_ZEROTAGS": GFP_TAGGED,
    "__GFP_TAGGED": GFP_TAGGED,
    "GFP_ATOMIC": GFP_ATOMIC,
    "__GFP_ATOMIC": GFP_ATOMIC,
    "GFP_NOWAIT": GFP_ATOMIC,
    "GFP_HIGHUSER_MOVABLE": GFP_MOVABLE,
    "GFP_TRANSHUGE": GFP_MOVABLE,
    "GFP_TRANSHUGE_LIGHT": GFP_MOVABLE,
    "__GFP_MOVABLE": GFP_MOVABLE,
    "__GFP_WRITE": GFP_WRITE,
    "__GFP_NORETRY": GFP_NORETRY,
    "__GFP_ZERO": GFP_ZERO,
    "__GFP_KSWAPD_RECLAIM": GFP_WAKES,
    "__GFP_DIRECT_RECLAIM": GFP_WAITS,
    "__GFP_RECLAIM": GFP_WAITS,
    # Words of kernels before 4.5.
    "GFP_MOVABLE": GFP_MOVABLE,
    "GFP_WRITE": GFP_WRITE,
    "GFP_NORETRY": GFP_NORETRY,
}

#: A word's hash is computed sign by sign: hash * HASH_FACTOR + sign, of which these bits are kept.
HASH_FACTOR = 131
HASH_BITS = (1 << 48) - 1


def word_hash(word: str) -> int:
    """Return the hash by which compiled functions know a word, in 48 bits."""
    value = 0
    for sign in word.encode():
        value = value * HASH_FACTOR + sign & HASH_BITS
    return value


def _table(words: dict[str, int]) -> NDArray[np.int64]:
    """Return a hash table by open addressing: [slot] a word's hash, or 0, and its number.

    It is four times as large as its words need: a slot for each, nearly always.
    """
    slots = 1 << (4 * len(words)).bit_length()
    table = np.zeros((slots, 2), dtype=np.int64)
    for word, number in words.items():
        slot = word_hash(word) & (slots - 1)
        while table[slot, 0] != 0:
            slot = (slot + 1) & (slots - 1)
        table[slot] = word_hash(word), number
    return table


EVENT_TABLE, FLAG_TABLE = _table(_EVENTS), _table(_FLAG_WORDS)
KEY_TABLE = _table({word: number for number, word in enumerate(_KEY_WORDS)})
#: [kind, number of a key] the column of its value, or ABSENT.
COLUMN_TABLE = np.full((KINDS, len(_KEY_WORDS)), ABSENT, dtype=np.int64)
for _kind, _columns in _COLUMNS.items():
    for _key, _column in _columns.items():
        COLUMN_TABLE[_kind, _key] = _column
NEEDED_TABLE = np.array(
    [[field in _NEEDED.get(kind, ()) for field in range(FIELDS)] for kind in range(KINDS)]
)
#: The names of the events that an import uses, and the words before their fields.
EVENT_WORDS, KEY_WORDS = tuple(_EVENTS), _KEY_WORDS
KSWAPD_WORD = np.frombuffer(b"kswapd", dtype=np.uint8)
KDAMOND_WORD = np.frombuffer(b"kdamond.", dtype=np.uint8)
PERF_WORD = np.frombuffer(b"PERF_RECORD_", dtype=np.uint8)
MARK_WORD = np.frombuffer(b"tracing_mark_write:", dtype=np.uint8)
PHASE_WORD = np.frombuffer(b"PHASE", dtype=np.uint8)
BUFFER_WORD = np.frombuffer(b"buf=", dtype=np.uint8)
OPERATION_WORD = np.frombuffer(b"rwbs=", dtype=np.uint8)
PAGE_WORD = np.frombuffer(b"page=", dtype=np.uint8)
FAILED_WORD = np.frombuffer(b"pfn=-", dtype=np.uint8)
NULL_WORDS = tuple(np.frombuffer(word, dtype=np.uint8) for word in (b"(null)", b"(nil)"))

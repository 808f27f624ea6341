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
    KINDS,
) = range(27)
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
    "mm_vmscan_node_reclaim_begin": RECLAIM_BEGIN,
    "mm_vmscan_node_reclaim_end": RECLAIM_END,
    "mm_vmscan_kswapd_wake": KSWAPD_WAKE,
    "mm_vmscan_kswapd_sleep": KSWAPD_SLEEP,
    "tracing_mark_write": MARK,
    "print": MARK,
    "folio_mark_accessed": TOUCHED,
    "mark_page_accessed": TOUCHED,
    "mm_filemap_fault": FAULT,
    "mm_filemap_get_pages": GET_PAGES,
    "mm_filemap_map_pages": MAP_PAGES,
    "workingset_eviction": EVICTION,
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
# A shadow entry; where the text of a mark begins in its chunk.
ORDER = SHADOW = TEXT_FIRST = 4
# GFP flags as bits of this file; ``folio->flags``; pages that a readahead is asked for; where the
# text of a mark ends.
FLAGS = FOLIO_FLAGS = PAGES = TEXT_END = 5
FIELDS = 6
ABSENT = -1
_KEYS = {
    "dev": DEV,
    "ino": INO,
    "pfn": FRAME,
    "page": POINTER,
    "folio": POINTER,
    "nr_free_pages": SAMPLED_PAGES,
    "to": POINTER,
    "pte": PTE,
    "tagged": SAMPLED_PAGES,
    "ofs": OFFSET_BYTES,
    "from": SOURCE_POINTER,
    "nr": PTES,
    "index": INDEX,
    "g32": SAMPLED_GROUPS,
    "order": ORDER,
    "shadow": SHADOW,
    "gfp_flags": FLAGS,
    "flags": FOLIO_FLAGS,
    "req_count": PAGES,
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
}
# Bits of the field FLAGS.
GFP_TAGGED, GFP_ATOMIC, GFP_MOVABLE, GFP_WRITE, GFP_NORETRY = 1, 2, 4, 8, 16
_FLAG_WORDS = {
    "__GFP_ZEROTAGS": GFP_TAGGED,
    "__GFP_TAGGED": GFP_TAGGED,
    "GFP_ATOMIC": GFP_ATOMIC,
    "__GFP_ATOMIC": GFP_ATOMIC,
    "GFP_NOWAIT": GFP_ATOMIC,
    "GFP_HIGHUSER_MOVABLE": GFP_MOVABLE,
    "__GFP_MOVABLE": GFP_MOVABLE,
    "__GFP_WRITE": GFP_WRITE,
    "__GFP_NORETRY": GFP_NORETRY,
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
    return np.array([(word_hash(word), number) for word, number in words.items()], dtype=np.int64)


EVENT_TABLE, KEY_TABLE, FLAG_TABLE = _table(_EVENTS), _table(_KEYS), _table(_FLAG_WORDS)
NEEDED_TABLE = np.array(
    [[field in _NEEDED.get(kind, ()) for field in range(FIELDS)] for kind in range(KINDS)]
)
KSWAPD_WORD = np.frombuffer(b"kswapd", dtype=np.uint8)
LOST_WORD = np.frombuffer(b"LOST", dtype=np.uint8)
MARK_WORD = np.frombuffer(b"tracing_mark_write:", dtype=np.uint8)
PHASE_WORD = np.frombuffer(b"PHASE", dtype=np.uint8)

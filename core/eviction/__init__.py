"""Evictions: which unit is reclaimed when the cache needs room, one file each.

To add one: a file with an `Eviction` (core/eviction/queue.py says what its hooks do), and a line
here. The laws of tests/conformance/test_evictions.py hold for it at once.
"""

from typing import Any

from core.registry import Registry

#: The evictions of this project; Registry says how a user's own is named.
EVICTIONS: Registry[Any] = Registry(
    "eviction",
    {
        "fifo": "core.eviction.fifo:FIFO",
        "lru": "core.eviction.lru:LRU",
        "clock": "core.eviction.clock:CLOCK",
        "sieve": "core.eviction.sieve:SIEVE",
        "s3fifo": "core.eviction.s3fifo:S3FIFO",
        "random": "core.eviction.random:RANDOM",
        "none": "core.eviction.none:NONE",
    },
    "core.eviction.queue:Eviction",
)

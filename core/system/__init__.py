"""Systems: what holds the unused tag storage, one file or folder each.

To add one: a file with a `System` (core/system/contract.py says what that is), and a line here.
"""

from typing import Any

from core.registry import Registry

#: The systems of this project; Registry says how a user's own is named.
SYSTEMS: Registry[Any] = Registry(
    "system",
    {
        "carveout": "core.system.carveout:CARVEOUT",
        "cleancache": "core.system.cleancache:CLEANCACHE",
        "zswap": "core.system.zswap:ZSWAP",
        "tmem": "core.system.tmem:TMEM",
        "migrate_cma": "core.system.migrate_cma:MIGRATE_CMA",
        "more_memory": "core.system.more_memory:MORE_MEMORY",
        "ideal": "core.system.ideal:IDEAL",
    },
    "core.system.contract:System",
)

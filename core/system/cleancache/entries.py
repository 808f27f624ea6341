"""The compiled entries of the loop over lanes: one an eviction and form, made when first used.

A study so compiles and waits for the loops that it needs alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from core.eviction import EVICTIONS
from core.jit import entry_calling
from core.registry import plugin_digest
from core.system.cleancache.forms import Form
from core.system.cleancache.loop import lanes_over


@cache
def entry_of(eviction: str, form: Form) -> Callable[..., None]:
    """Return the compiled loop over lanes of an eviction, known by its word, in a form.

    A user's eviction has the digest of its source in its name: other source, other code on disk.
    """
    name = re.sub(r"\W", "_", eviction)
    digest = plugin_digest([eviction])
    name = f"{name}_{digest}" if digest else name
    return entry_calling(lanes_over(name, EVICTIONS[eviction], form), f"{name}_{form}")

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
    """Return the compiled loop over lanes of an eviction, known by its word, in a form."""
    loop = lanes_over(_name(eviction), EVICTIONS[eviction], form)
    return entry_calling(loop, entry_name(eviction, form))


def entry_name(eviction: str, form: str) -> str:
    """Return the name of an eviction's entry in a form, by which its machine code is kept."""
    return f"{_name(eviction)}_{form}"


def _name(eviction: str) -> str:
    """Return the word of an eviction as a part of names.

    A user's eviction has the digest of its source in it: other source, other code on disk.
    """
    name = re.sub(r"\W", "_", eviction)
    digest = plugin_digest([eviction])
    return f"{name}_{digest}" if digest else name

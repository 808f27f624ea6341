"""The compiled entries of the loop over lanes: one an eviction and form, made when first used.

Numba keeps no function on disk that was handed other functions, so a plain one stands around each
loop: one template, made anew under a name of its own over globals that hold its loop. (A second
process then finds each on disk.) A study so compiles and waits for the loops that it needs alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

from core.eviction import EVICTIONS
from core.jit import entry
from core.registry import plugin_digest
from core.system.cleancache.forms import Form
from core.system.cleancache.loop import lanes_over


def _template(*arguments: Any) -> None:
    _loop(*arguments)  # type: ignore[name-defined]  # noqa: F821  # a global of each copy


@cache
def entry_of(eviction: str, form: Form) -> Callable[..., None]:
    """Return the compiled loop over lanes of an eviction, known by its word, in a form.

    A user's eviction has the digest of its source in its name: other source, other code on disk.
    """
    name = re.sub(r"\W", "_", eviction)
    digest = plugin_digest([eviction])
    name = f"{name}_{digest}" if digest else name
    loop = lanes_over(name, EVICTIONS[eviction], form)
    own: dict[str, Any] = {"_loop": loop, "__name__": __name__}
    function = FunctionType(_template.__code__, own, f"{name}_{form}")
    function.__qualname__ = function.__name__
    function.__module__ = __name__
    return entry(function)

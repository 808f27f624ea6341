"""The framework around the simulator: studies, search, cluster, database, command line.

`run` runs a study and returns its trials, `load` reads one without running it, and `connect` opens
a results database: what `sweep run`, `sweep validate` and `sweep query` do, for a notebook.
docs/library.md is a page of examples. Names that are not in `__all__` may change.
"""

from __future__ import annotations

from importlib import import_module

# Not of `typing`, whose import would be half of what comes before a signal is heard.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sweep.library import connect, load, run

__all__ = ["connect", "load", "run"]


def __getattr__(name: str) -> Any:
    # Imported when they are asked for: `sweep --help` needs none of them.
    if name in __all__:
        return getattr(import_module("sweep.library"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

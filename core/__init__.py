"""Simulator of arm64 MTE tag storage reuse: what a policy would have done to a recorded kernel.

`replay` takes a table of mm events (`read_events`), a `Machine` and policies, and counts what they
achieve, exactly as docs/model.md defines it; `measure` makes named columns of that. docs/library.md
is a page of examples. Names that are not in `__all__` may change.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.backend import replay
    from core.cost_presets import COST_PRESETS
    from core.costs import Costs
    from core.errors import InputError
    from core.event_files import read_events
    from core.machine import Machine
    from core.outcomes import measure
    from core.policy import PRESETS, Policy

__all__ = [
    "COST_PRESETS",
    "PRESETS",
    "Costs",
    "InputError",
    "Machine",
    "Policy",
    "measure",
    "read_events",
    "replay",
]

# Imported when they are asked for: Numba, which most of them need, takes a second to import.
_HOMES = {
    "COST_PRESETS": "core.cost_presets",
    "PRESETS": "core.policy",
    "Costs": "core.costs",
    "InputError": "core.errors",
    "Machine": "core.machine",
    "Policy": "core.policy",
    "measure": "core.outcomes",
    "read_events": "core.event_files",
    "replay": "core.backend",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""What makes two studies of one name the same study: their identities, held against each other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

#: Stands for the value of a key that a study does not have.
_ABSENT = object()


def identity_changes(before: Any, now: Any, place: str = "") -> Iterator[str]:
    """Yield where two identities differ: ``parameters.folio_order.high: was 3, is 4``.

    Parameters
    ----------
    before, now
        What `Study.identity` returned, or a part of it.
    place
        Where the part is.
    """
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            inner = f"{place}.{key}" if place else key
            yield from identity_changes(before.get(key, _ABSENT), now.get(key, _ABSENT), inner)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for i, (item_before, item_now) in enumerate(zip(before, now, strict=True)):
            yield from identity_changes(item_before, item_now, f"{place}[{i}]")
    elif before != now:
        yield f"{place}: was {_as_json(before)}, is {_as_json(now)}"


def _as_json(value: Any) -> str:
    return "absent" if value is _ABSENT else json.dumps(value)

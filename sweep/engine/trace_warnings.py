"""What a user is told of the traces that a study replays, before it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from core.accesses import TRUNCATE
from core.events import ALLOC, INVALIDATE, RESTORE, STORE, TAGGED, Events
from core.frontend.measured_errors import errors_in_tests, is_recorded
from core.machine import DATA_PAGES_PER_TAG_PAGE
from core.workload.recipe import Recipe
from sweep.results.wording import NOTHING_STORED, UNTOLD_RECLAIM

_RECORD = "record with sweep trace record"


def untold_reclaim(table: Events | Recipe) -> Iterator[str]:
    """Yield that a trace can answer nothing, for it does not tell what was reclaimed."""
    if isinstance(table, Recipe):
        accesses = table.table
        if accesses is not None and not isinstance(accesses, Events):
            yield from _mostly_doubtful(accesses, int((accesses.op == TRUNCATE).sum()))
        return
    stores = int((table.op == STORE).sum())
    deletions = stores + int((table.op == INVALIDATE).sum())
    if not stores and (deletions or (table.op == RESTORE).any()):
        told = UNTOLD_RECLAIM if _doubtful(table) else "no reclaim is in it"
        yield f"{told}: {NOTHING_STORED}, so no policy can beat the carve-out; {_RECORD}"
        return
    yield from _mostly_doubtful(table, deletions)


def _doubtful(table: object) -> int:
    losses = getattr(table, "losses", ())
    return sum(loss.count for loss in losses if loss.name == "reclaim_or_truncation")


def _mostly_doubtful(table: object, deletions: int) -> Iterator[str]:
    doubtful = _doubtful(table)
    if 2 * doubtful > deletions:
        yield (
            f"{UNTOLD_RECLAIM}: {doubtful:,} deletions may be reclaim and are taken for "
            f"truncation, so what a policy saves cannot be told; {_RECORD}"
        )


def without_tags(path: Path, events: Events | Recipe) -> Iterator[str]:
    """Yield that nothing is ever tagged in a trace, if that is so."""
    if isinstance(events, Events) and not has_tags(events):
        yield (
            f"{path.name}: no page in it is ever tagged, so no tag block is ever reserved; "
            "tagged_ratio lays a tenant over it that has tagged pages"
        )


def has_tags(events: Events) -> bool:
    """Return whether a page is ever tagged."""
    return bool(((events.op == ALLOC) & (events.flags & TAGGED != 0)).any())


def changes_of_machine(
    path: Path, events: Events | Recipe, page_size: int, data_pages: int
) -> Iterator[str]:
    """Yield how the machine under a trace differs from the one of its capture."""
    size, pages = events.page_size, events.data_pages
    if page_size != size:
        yield f"{path.name}: captured with {size}-byte pages, not {page_size}"
    if data_pages != pages:
        yield f"{path.name}: captured with {pages} data pages, replayed with {data_pages}"


def import_warnings(events: Events | Recipe) -> list[str]:
    """Return what its import found a trace to lack, or to differ from what its kernel counted."""
    if isinstance(events, Events):
        return events.import_warnings()
    table = events.table
    return [loss.warning for loss in table.losses] if table is not None else []


def front_end_errors(
    recipe: Recipe, worlds: Sequence[dict[str, Any]], larger: Sequence[str]
) -> Iterator[str]:
    """Yield how far the front end was off in tests, for each memory that an access trace runs on.

    Parameters
    ----------
    recipe
        What makes events of the trace; of another recipe nothing is known.
    worlds
        What changes it, by name, in each scenario.
    larger
        The systems of the study that give programs tag storage as memory.
    """
    accesses = recipe.accesses
    if accesses is None:
        return
    if not accesses.data_pages:
        yield "recorded on no machine: the front end was held against no kernel on such accesses"
    if not is_recorded(accesses):
        return
    for values in worlds:
        asked = recipe.changed(values)
        about = (accesses.source, str(asked.front_end.reclaim))
        ratio = asked.data_pages / accesses.data_pages
        yield errors_in_tests(*about, ratio)
        if larger:
            with_slots = errors_in_tests(*about, ratio * (1 + 1 / DATA_PAGES_PER_TAG_PAGE))
            yield f"under {' and '.join(larger)}, {with_slots}"

"""Figures of the captures that come with the project: the kernel's own, and what caches restore."""

from __future__ import annotations

from pathlib import Path

import pytest
from streams import compiled, tallies_of

from core.backend import replay
from core.event_files import read_events
from core.machine import Machine
from core.outcomes import measure
from core.policy import Policy


@compiled
@pytest.mark.parametrize(("pages", "reservations"), [(1, 2_714), (2, 1_735), (4, 1_128), (8, 729)])
def test_a_capture_has_the_refaults_and_reservations_that_the_kernel_counted(
    traces: Path, pages: int, reservations: int
) -> None:
    # studies/traces/README.md: insertions after a deletion by reclaim; tag blocks taken from 0.
    events = read_events(traces / "database-mglru.parquet")
    machine = Machine(events.page_size, events.data_pages, 4096 * pages)
    columns = measure(replay(events, machine, [Policy()]))
    assert columns["refaults"].tolist() == [84_807]
    assert columns["reservations"].tolist() == [reservations]


@compiled
def test_a_large_folio_refaults_page_by_page(traces: Path) -> None:
    # The kernel counts 81,686 on this capture: all pages of a folio whose first one refaults.
    events = read_events(traces / "database-xfs.parquet")
    machine = Machine(events.page_size, events.data_pages)
    columns = measure(replay(events, machine, [Policy()]))
    assert columns["refaults"].tolist() == [81_137]


@compiled
@pytest.mark.parametrize(
    ("policy", "restored"),
    [
        (Policy(), 147),
        (Policy(admission="workingset"), 1_662),
        (Policy(eviction="none"), 2_708),
        (Policy(eviction="none", restore="exclusive"), 4_650),
    ],
)
def test_pages_restored_on_the_database_capture(
    traces: Path, policy: Policy, restored: int
) -> None:
    events = read_events(traces / "database-mglru.parquet")
    machine = Machine(events.page_size, events.data_pages)
    assert tallies_of(replay(events, machine, [policy]))["restored"] == restored


@compiled
@pytest.mark.parametrize(
    ("policy", "figures"),
    [
        ({"eviction": "none", "restore": "exclusive", "folio_order": 4}, (2_433, 2_027, 0)),
        (
            {"eviction": "none", "restore": "exclusive", "folio_order": 4, "drop": "folio"},
            (2_141, 1_842, 1_370),
        ),
    ],
)
def test_pages_restored_recalled_and_collateral_on_the_large_folio_capture(
    traces: Path, policy: dict, figures: tuple[int, int, int]
) -> None:
    events = read_events(traces / "database-xfs.parquet")
    machine = Machine(events.page_size, events.data_pages)
    counts = tallies_of(replay(events, machine, [Policy(**policy)]))
    assert (counts["restored"], counts["recalled"], counts["collateral"]) == figures

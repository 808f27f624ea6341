"""Policies that are one by `deciding` have equal outcomes, whatever else differs."""

from __future__ import annotations

import numpy as np
import pytest
from captures import TRACES

from core.backend import replay
from core.costs import Costs
from core.distinct import deciding, has_single_pages
from core.event_files import read_events
from core.events import Events, make_events
from core.machine import Machine
from core.outcomes import measure
from core.policy import Policy

#: Policies that differ in fields that do nothing; the last ones only where every folio is a page.
TWINS = [
    ({"system": "carveout"}, {"headroom": 0.3, "eviction": "fifo", "folio_order": 2}),
    ({"folio_order": 0, "headroom": 0.1}, {"drop": "folio"}),
    ({"large_folios": "refuse", "restore": "exclusive"}, {"folio_order": 3, "drop": "folio"}),
    ({"large_folios": "refuse", "placement": "spread"}, {"folio_order": 4, "drop": "folio"}),
    ({"folio_order": 0, "placement": "contiguous"}, {"drop": "folio"}),
    ({"eviction": "none", "folio_order": 2}, {"slot_reclaim": "background"}),
    ({"eviction": "fifo", "folio_order": 2}, {"slot_reclaim_batch": 7}),
    ({"folio_order": 2}, {"headroom_mode": "dynamic"}),
    ({"tagged_placement": "reserved_first"}, {"tagged_placement": "headroom_first"}),
    ({"system": "zswap", "tagged_placement": "reserved_first"},
     {"tagged_placement": "headroom_first", "drop": "folio"}),
    ({"system": "ideal", "tagged_placement": "reserved_first"},
     {"tagged_placement": "headroom_first", "headroom": 0.2}),
    ({"system": "tmem", "folio_order": 0}, {"drop": "folio", "slot_reclaim": "background"}),
]  # fmt: skip
PAGES_ONLY = [
    ({"headroom": 0.1}, {"folio_order": 4, "drop": "folio", "large_folios": "refuse"}),
    ({"placement": "spread"}, {"folio_order": 4, "drop": "folio", "large_folios": "refuse"}),
    ({"system": "tmem"}, {"folio_order": 4, "drop": "folio"}),
]


def beginning(capture: str, rows: int) -> Events:
    events = read_events(TRACES / f"{capture}.parquet")
    columns = {name: column[:rows] for name, column in events.columns.items()}
    return make_events(columns, **events.about | {"checks": ()})


@pytest.fixture(scope="module")
def tables() -> dict[bool, Events]:
    """Return a table with large folios, and one without, by whether every folio is a page."""
    return {
        False: beginning("database-xfs-256w", 6000),
        True: beginning("database-mglru-256w", 6000),
    }


def outcomes_of(events: Events, policies: list[Policy]) -> dict[str, np.ndarray]:
    machine = Machine(events.page_size, events.data_pages, 4096)
    return measure([replay(events, machine, policies)], [Costs()] * len(policies))


@pytest.mark.parametrize("single_pages", [False, True])
def test_it_is_known_of_a_table_whether_every_folio_is_a_page(
    tables: dict[bool, Events], single_pages: bool
) -> None:
    assert has_single_pages(tables[single_pages]) == single_pages


@pytest.mark.parametrize(
    ("fields", "idle", "single_pages"),
    [(*twins, False) for twins in TWINS] + [(*twins, True) for twins in PAGES_ONLY],
)
def test_policies_that_are_one_have_equal_outcomes(
    tables: dict[bool, Events], fields: dict[str, object], idle: dict[str, object],
    single_pages: bool,
) -> None:  # fmt: skip
    one, other = Policy(**fields), Policy(**(fields | idle))  # type: ignore[arg-type]
    keys = [deciding(vars(each), single_pages) for each in (one, other)]
    assert keys[0] == keys[1]
    if single_pages:
        assert deciding(vars(one)) != deciding(vars(other))
    for name, values in outcomes_of(tables[single_pages], [one, other]).items():
        assert np.array_equal(values[:1], values[1:], equal_nan=True), name


@pytest.mark.parametrize(
    ("fields", "changed"),
    [
        ({"folio_order": 2}, {"drop": "folio"}),
        ({"folio_order": 2}, {"folio_order": 3}),
        ({"headroom": 0.2}, {"headroom_mode": "dynamic"}),
        ({"headroom": 0.2, "tagged_placement": "reserved_first"},
         {"tagged_placement": "headroom_first"}),
        ({"slot_reclaim": "background"}, {"slot_reclaim_batch": 7}),
    ],
)  # fmt: skip
def test_policies_that_can_differ_are_two(
    fields: dict[str, object], changed: dict[str, object]
) -> None:
    one, other = Policy(**fields), Policy(**(fields | changed))  # type: ignore[arg-type]
    assert deciding(vars(one)) != deciding(vars(other))


def test_a_policy_said_in_words_is_the_same() -> None:
    said = vars(Policy()) | {"large_folios": "refuse", "drop": "folio", "folio_order": 3}
    made = Policy(large_folios="refuse", drop="page")  # type: ignore[arg-type]
    assert deciding(said) == deciding(vars(made))

"""The captures that come with the project equal what their kernels counted themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from streams import compiled, tallies_of

from core.backend import replay
from core.event_files import read_events
from core.events import Events, EventsError
from core.machine import Machine
from core.outcomes import measure
from core.policy import Policy
from core.truth import compare_with_kernel

#: Outcomes that a replay has to have as a kernel with a cleancache counts them.
HELD = ("stored", "restored", "recalled", "reservations", "releases")
#: A capture, and the outcomes that an event which the trace lacks makes differ: this kernel drops
#: the copies of an inode that goes (studies/traces/README.md).
KERNELS = {
    "cache-db-tags": (),
    "cache-db-lru-tags": (),
    "cache-app-tags": ("recalled",),
    "cache-wr": (),
    "cache-dbxfs": (),
}


def capture(traces: Path, name: str) -> tuple[Events, Machine]:
    events = read_events(traces / f"{name}.parquet")
    return events, Machine(events.page_size, events.data_pages)


@compiled
@pytest.mark.parametrize("name", KERNELS)
def test_a_replay_counts_what_a_real_kernel_with_the_cache_in_it_counted(
    traces: Path, name: str
) -> None:
    events, _ = capture(traces, name)
    assert (events.requests, events.mapped, events.workingset_inferred_ratio) == (True, True, 0.0)
    compared = {of.name: of for of in compare_with_kernel(events)}
    for outcome in HELD:
        of = compared[outcome]
        if outcome not in KERNELS[name]:
            assert abs(of.difference) <= max(3, 0.005 * of.kernel), of


@compiled
def test_a_replay_counts_what_the_kernel_counted_to_the_last_page(traces: Path) -> None:
    events, _ = capture(traces, "cache-db-tags")
    compared = {of.name: (of.kernel, of.replay) for of in compare_with_kernel(events)}
    expected = {"stored": 21_022, "restored": 4_042, "reclaimed": 18_373, "recalled": 1_081,
                "reservations": 2_247, "releases": 2_247, "invalidated": 0, "stale": 0,
                "overwritten": 0}  # fmt: skip
    assert compared == {name: (count, count) for name, count in expected.items()}


@compiled
def test_what_the_posted_hook_does_not_do_shows_in_the_difference(traces: Path) -> None:
    # Each page looked up, and on XFS, which marks nothing as on disk, every folio offered.
    for name, changed, least in (("cache-db-tags", {"lookup": "each"}, 1.05),
                                 ("cache-dbxfs", {"offer": "all"}, 100)):  # fmt: skip
        policy = Policy(admission="workingset", large_folios="refuse", offer="mapped",
                        lookup="prefix")  # fmt: skip
        fields = {name: getattr(policy, name) for name in vars(policy)} | changed
        events, _ = capture(traces, name)
        compared = {of.name: of for of in compare_with_kernel(events, Policy(**fields))}
        assert compared["restored"].replay > least * compared["restored"].kernel


def test_a_capture_of_a_kernel_without_a_cache_is_no_truth_to_hold_a_replay_to(
    traces: Path,
) -> None:
    events, _ = capture(traces, "launch-mglru-224w")
    with pytest.raises(EventsError, match=r"x: has no counters of a kernel with a cleancache"):
        compare_with_kernel(events, name="x")


@compiled
@pytest.mark.parametrize(
    ("name", "device_reads", "tolerance"),
    [
        ("launch-mglru-224w", 3_405, 0.02),
        ("database-mglru-256w", 46_741, 0.02),
        ("database-xfs-256w", 46_828, 0.06),
    ],
)
def test_the_commands_of_a_carve_out_are_the_reads_that_the_device_did(
    traces: Path, name: str, device_reads: int, tolerance: float
) -> None:
    # Reads in block_rq_issue whose sector is no metadata insertion's: studies/traces/README.md.
    events, machine = capture(traces, name)
    commands = tallies_of(replay(events, machine, Policy(system="carveout")))["read_commands"]
    assert abs(commands / device_reads - 1) < tolerance


@compiled
@pytest.mark.parametrize(("pages", "reservations"), [(1, 3_022), (2, 1_934), (4, 1_208), (8, 744)])
def test_a_capture_has_the_refaults_and_reservations_of_its_kernel(
    traces: Path, pages: int, reservations: int
) -> None:
    # studies/traces/README.md: insertions after a deletion by reclaim; tag blocks taken from 0.
    events, _ = capture(traces, "database-mglru-256w")
    machine = Machine(events.page_size, events.data_pages, 4096 * pages)
    columns = measure(replay(events, machine, [Policy()]))
    assert columns["refaults"].tolist() == [83_995]
    assert columns["reservations"].tolist() == [reservations]

"""Laws of a cluster under kills: the table is that of a run in which nobody was killed."""

from __future__ import annotations

from pathlib import Path

from hazard import Counts
from nodes import kill_nodes, one_node
from workers import Runs


def test_a_node_and_workers_that_are_killed_cost_nothing_but_time(tmp_path: Path) -> None:
    counts = Counts()
    with one_node() as cluster:
        kill_nodes(cluster, Runs(tmp_path, 1000), 1, counts)
    assert (counts.kills > 0, counts.failures) == (True, [])

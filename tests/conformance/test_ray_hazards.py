"""Laws of a cluster under kills: the table is that of a run in which nobody was killed."""

from __future__ import annotations

import pytest
from hazard import Counts
from nodes import kill_nodes, one_node
from workers import Runs, kill_workers


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("study"), 1000)


def test_workers_that_are_killed_cost_nothing_but_time(runs: Runs) -> None:
    counts = Counts()
    kill_workers(runs, 1, counts)
    assert counts.faults == 0, counts.failures
    assert counts.kills


def test_a_node_that_is_killed_costs_nothing_but_time(runs: Runs) -> None:
    counts = Counts()
    with one_node() as cluster:
        kill_nodes(cluster, runs, 1, counts)
    assert counts.faults == 0, counts.failures

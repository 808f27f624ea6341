"""Nodes: one of a cluster's two is killed at any moment, raylet and workers.

The table is that of a run in which nobody was killed.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hazard import Counts, Hazard, each_case
from workers import Runs, below, compare, kill, meanwhile, on_ray

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}


@contextmanager
def one_node() -> Iterator[Cluster]:
    """Give a cluster of one node of one CPU, on this machine."""
    # Before ray is imported, which else writes a token under HOME.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", "0" * 64)
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    try:
        yield cluster
    finally:
        cluster.shutdown()


def kill_nodes(cluster: Cluster, runs: Runs, seed: int, counts: Counts) -> None:
    """Run the study on two nodes, of which one is killed."""
    chance = random.Random(seed)
    node = cluster.add_node(**NODE)

    def act() -> None:
        raylet = node.all_processes["raylet"][0].process.pid
        processes = [raylet, *(pid for pid, _ in below(raylet))]
        chance.shuffle(processes)
        for process in processes:
            kill(process, counts)

    with meanwhile(act, iter([chance.uniform(3.0, 10.0)])):
        made = runs.tables(on_ray(cluster.address, None))
    cluster.remove_node(node, allow_graceful=False)
    compare(made, runs.undisturbed, seed, counts)


def _run(first: int, most: int, has_time: Callable[[], bool], counts: Counts) -> None:
    with TemporaryDirectory(prefix="sweep-soak-") as folder, one_node() as cluster:
        runs = Runs(Path(folder), 10_000)
        each_case(partial(kill_nodes, cluster, runs), first, most, has_time, counts)


HAZARD = Hazard("nodes", _run)

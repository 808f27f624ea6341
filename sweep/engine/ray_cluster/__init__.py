"""The executor that replays on a Ray cluster; no other room imports ray."""

from __future__ import annotations

from sweep.engine.ray_cluster.connection import ClusterError
from sweep.engine.ray_cluster.executor import RayCluster

__all__ = ["ClusterError", "RayCluster"]

"""What a driver makes of what Ray says, and of a machine that is not as Ray has it; none starts."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.evaluator import Workloads
from sweep.engine.executor import Cause
from sweep.engine.ray_cluster import ClusterError, RayCluster, connection
from sweep.engine.ray_cluster.connection import Connection
from sweep.engine.ray_cluster.session import Session

#: What Ray raises where an actor is gone, what it says then, and what its batch failed by.
DEATHS = [
    ("ActorUnavailableError", ("it does not answer", None), Cause.LOST),
    ("RayActorError", ("", "The actor died because its node has died."), Cause.LOST),
    ("RayActorError", ("", "It was preempted.", False, True), Cause.LOST),
    ("OutOfMemoryError", ("Task was killed due to the node running low on memory.",), Cause.MEMORY),
    ("RayActorError", ("", "It was killed due to memory pressure."), Cause.MEMORY),
    ("RayActorError", ("", "The actor is dead because its worker process has died."), Cause.SIGNAL),
]


@pytest.fixture(scope="module")
def ray() -> Any:
    # Before ray is imported, which else writes a token under HOME.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", "0" * 64)
    return connection._import_ray()


@pytest.mark.parametrize(("name", "words", "cause"), DEATHS)
def test_what_a_worker_died_of_is_read_off_what_ray_says(
    ray: Any, name: str, words: tuple[Any, ...], cause: Cause
) -> None:
    cluster = RayCluster.__new__(RayCluster)
    cluster._errors, cluster._connection = ray.exceptions, not_connected()
    member: Any = SimpleNamespace(node="own")
    assert cluster._death(member, getattr(ray.exceptions, name)(*words)).cause is cause


def not_connected() -> Connection:
    made = Connection.__new__(Connection)
    made._own_node, made._kills = "own", connection.kills_for_memory()
    return made


def test_of_workers_killed_at_once_for_memory_each_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kills = 3
    monkeypatch.setattr(connection, "kills_for_memory", lambda: kills)
    on = not_connected()
    assert not on.was_killed_for_memory("own")
    kills += 2
    assert not on.was_killed_for_memory("another")
    assert [on.was_killed_for_memory("own") for _ in range(3)] == [True, True, False]


def test_a_ray_that_cannot_be_imported_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise ImportError("libstdc++.so.6: version `GLIBCXX_3.4.32' not found")

    monkeypatch.setattr(connection, "_import_ray", refuse)
    cluster = RayCluster(Workloads((), (), ()), 1, None, [])
    cluster._connection._thread.join()
    with pytest.raises(ClusterError, match=r"Ray at local: libstdc\+\+.* run it again to go on"):
        cluster.finished(0.0)
    cluster.close()


def without_shm(path: str) -> os.statvfs_result:
    raise FileNotFoundError(path)


def small_shm(path: str) -> Any:
    return SimpleNamespace(f_bsize=4096, f_bavail=100)


def read_only_shm(path: str, mode: int) -> bool:
    return path != "/dev/shm"


@pytest.mark.parametrize(
    ("function", "says"),
    [("statvfs", without_shm), ("statvfs", small_shm), ("access", read_only_shm)],
)
def test_without_shared_memory_the_object_store_is_in_the_sessions_folder(
    ray: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, says: Any
) -> None:
    assert connection._has_shared_memory(2**20)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    asked: dict[str, Any] = {}
    monkeypatch.setattr(ray, "init", lambda **options: asked.update(options))
    monkeypatch.setattr(os, function, says)
    session = Session()
    connection._start(ray, "local", 1, 2**20, session)
    assert asked["_plasma_directory"] == asked["_temp_dir"] == str(session.folder)
    session.close()

"""Laws of a cluster: who joins works, who is lost costs its batches, and nothing stays behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import pytest
import small_study
from nodes import NODE, one_node
from workers import below

from core.costs import Costs
from core.evaluator import Candidate, Workloads
from core.event_files import read_events
from core.policy import Policy
from sweep.engine.executor import Cause, Failure, Result
from sweep.engine.ray_cluster import ClusterError, RayCluster, connection
from sweep.engine.ray_cluster.session import Session

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster


@pytest.fixture(scope="module")
def workloads() -> Workloads:
    events = read_events(small_study.CAPTURE)
    columns = {name: column[:3000] for name, column in events.columns.items()}
    cut = events._replace(**columns)
    return Workloads((cut,), (cut.page_size,), (cut.data_pages,))


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Cluster]:
    """Yield a cluster of two nodes of one CPU each."""
    with one_node() as cluster:
        cluster.add_node(**NODE)
        yield cluster


class Noted:
    """An executor on a cluster, and what it told the user."""

    def __init__(self, workloads: Workloads, workers: int | None, address: str | None) -> None:
        self.lines: list[str] = []
        self.on = RayCluster(workloads, workers, address, [], note=self.lines.append)

    def __enter__(self) -> Noted:
        return self

    def __exit__(self, *raised: object) -> None:
        self.on.close()

    def until(self, holds: Callable[[], bool], within_s: float) -> None:
        """Look at what ends, all of which is nothing, until something holds."""
        end = monotonic() + within_s
        while not holds():
            assert monotonic() < end, self.lines
            assert self.on.finished(0.2) == []

    def results(self, count: int) -> dict[int, Result]:
        ended: dict[int, Result] = {}
        while len(ended) < count:
            ended |= dict(self.on.finished(5.0))
        return ended


def batches_of(count: int, size: int = 2) -> list[list[Candidate]]:
    orders = [[(first + k) % 10 for k in range(size)] for first in range(count)]
    return [[Candidate(Policy(folio_order=k), 4096, Costs()) for k in each] for each in orders]


def test_tables_of_two_nodes_are_those_of_one_process(
    two_nodes: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", two_nodes.address)
    small_study.write_trace(tmp_path)
    path = small_study.write_study(tmp_path, "nsga2", objectives=small_study.TWO_OBJECTIVES)
    used: list[Noted] = []

    def on_both(workloads: Workloads) -> RayCluster:
        used.append(Noted(workloads, None, "auto"))
        used[0].until(lambda: len(nodes_of(used[0])) == 2, 20)
        assert used[0].on.workers == 2
        return used[0].on

    small_study.run(path, tmp_path / "two_nodes.duckdb", on_both)
    small_study.run(path, tmp_path / "one_process.duckdb")
    expected = small_study.tables(tmp_path / "one_process.duckdb")
    assert len(expected["trials"]) == 32
    assert small_study.tables(tmp_path / "two_nodes.duckdb") == expected
    assert used[0].lines == []


def nodes_of(noted: Noted) -> set[str]:
    return {member.node for member in noted.on._members if member.node}


def test_workers_without_a_place_are_told_of_and_a_node_that_joins_has_them(
    two_nodes: Cluster, workloads: Workloads, capfd: pytest.CaptureFixture[str]
) -> None:
    with Noted(workloads, 3, two_nodes.address) as noted:
        began = monotonic()
        noted.until(lambda: bool(noted.lines), 15)
        assert monotonic() - began < 12  # with the connection itself; the promise is 10
        (line,) = noted.lines
        assert "2 CPUs free, 3 asked" in line
        noted.on.submit(0, batches_of(1)[0])
        assert not isinstance(noted.results(1)[0], Failure)
        joined = two_nodes.add_node(**NODE)
        noted.until(lambda: noted.on.workers == 3, 20)
        # A node that is lost costs its batches only, and nobody an attempt.
        for number, batch in enumerate(batches_of(6, 2000)):
            noted.on.submit(number, batch)
        joined.kill_raylet()
        ended = noted.results(6)
        lost = [result for result in ended.values() if isinstance(result, Failure)]
        assert 1 <= len(lost) <= 2
        assert {failure.cause for failure in lost} == {Cause.LOST}
        two_nodes.remove_node(joined, allow_graceful=False)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_a_worker_that_dies_costs_what_it_worked_on_and_is_replaced(
    two_nodes: Cluster, workloads: Workloads
) -> None:
    with Noted(workloads, 1, two_nodes.address) as noted:
        noted.until(lambda: bool(noted.on._members and noted.on._members[0].node), 20)
        for number, batch in enumerate(batches_of(3, 2000)):
            noted.on.submit(number, batch)
        sleep(0.2)
        (process,) = [pid for pid, name in below(os.getpid()) if "ray::Worker" in name]
        os.kill(process, signal.SIGKILL)
        ended = noted.results(3)
        assert isinstance(ended[0], Failure)
        assert ended[0].cause is Cause.SIGNAL
        assert isinstance(ended[1], Failure)
        assert ended[1].cause is Cause.LOST
        assert not isinstance(ended[2], Failure)  # of the worker that came instead


def test_a_batch_that_is_stopped_is_late_and_the_next_one_comes_back(
    two_nodes: Cluster, workloads: Workloads
) -> None:
    with Noted(workloads, 1, two_nodes.address) as noted:
        noted.until(lambda: bool(noted.on._members and noted.on._members[0].node), 20)
        (large,) = batches_of(1, 20_000)
        noted.on.submit(0, large)
        noted.until(lambda: noted.on.running().get(0, 0) > 0.3, 20)
        noted.on.stop(0)
        noted.on.submit(1, large[:2])
        ended = noted.results(2)
        assert isinstance(ended[0], Failure)
        assert ended[0].cause is Cause.TIME
        assert not isinstance(ended[1], Failure)  # of the worker that came instead


def test_a_head_that_is_lost_ends_a_run_with_one_message(
    workloads: Workloads, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connection, "HEAD_PATIENCE_S", 2.0)
    with one_node() as cluster:
        with Noted(workloads, None, cluster.address) as noted:
            noted.until(lambda: bool(noted.on._members and noted.on._members[0].node), 20)
            cluster.head_node.kill_gcs_server()
            with pytest.raises(ClusterError, match="run it again to go on"):
                noted.until(lambda: False, 10)
            began = monotonic()
        assert monotonic() - began < 5
        noted.on._connection._thread.join(20)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", "nothing answers there"),
        ("somewhere", "an address is HOST:PORT, or auto"),
    ],
)
def test_a_cluster_that_is_not_there_is_told(workloads: Workloads, address: str, said: str) -> None:
    with Noted(workloads, None, address) as noted, pytest.raises(ClusterError, match=said):
        noted.until(lambda: False, 10)


def test_the_folder_of_a_driver_that_was_killed_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "sweep-ray-of-nobody").mkdir()
    (tmp_path / "sweep-ray-file").touch()
    own = Session()
    assert stat.S_IMODE(own.folder.parent.stat().st_mode) == 0o700
    dies = "import os; from sweep.engine.ray_cluster.session import Session; Session(); os.abort()"
    subprocess.run([sys.executable, "-c", dies], capture_output=True)
    left = set(tmp_path.glob("sweep-ray-*/driver.lock"))
    assert len(left) == 2
    other = Session()
    assert set(tmp_path.glob("sweep-ray-*/driver.lock")) & left == {
        own.folder.parent / "driver.lock"
    }
    own.close()
    other.close()
    # One that is being made has no lock yet.
    assert {path.name for path in tmp_path.iterdir()} == {"sweep-ray-of-nobody", "sweep-ray-file"}


#: A driver that starts a cluster of its own, and leaves so many seconds later.
LEAVES = """
import os, signal, sys, time
from core.evaluator import Workloads
from sweep.engine.ray_cluster import RayCluster
began = time.monotonic()
cluster = RayCluster(Workloads((), (), ()), 2, None, [])
assert time.monotonic() - began < 0.5, "it is there at once"
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(1))
sent, end = 0, time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    os.kill(os.getpid(), signal.SIGTERM)
    sent += 1
    time.sleep(0.01)
began = time.monotonic()
cluster.close()
cluster.close()
assert time.monotonic() - began < 5, "it stops soon"
os.kill(os.getpid(), signal.SIGTERM)
assert len(told) == sent + 1, "SIGTERM is the driver's"
"""


def test_nothing_of_a_cluster_of_our_own_stays_behind() -> None:
    before = traces()
    done = subprocess.run([sys.executable, "-c", LEAVES, "6.0"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    end = monotonic() + 70  # Ray's agents try to reach a dead head for a minute
    while traces() - before:
        assert monotonic() < end, traces() - before
        sleep(0.2)


def traces() -> set[Any]:
    """Return the processes, sockets and shared memory of Ray on this machine."""
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout
    words = ("ray::", "/raylet", "/gcs_server", "site-packages/ray/")
    processes = {line for line in listed.splitlines() if any(word in line for word in words)}
    folders = set(Path("/tmp").glob("sweep-ray-*"))
    return processes | folders | set(Path("/dev/shm").iterdir())


#: A driver with a cluster of its own, which says where that is, and ends with its input.
HAS_ONE = """
import sys
from core.evaluator import Workloads
from sweep.engine.ray_cluster import RayCluster
cluster = RayCluster(Workloads((), (), ()), 1, None, [])
while not cluster._connection.ready:
    cluster.finished(0.2)
import ray
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
cluster.close()
"""
#: Somebody who has found it.
JOINS = """
import sys
from ray._raylet import GcsClient
print(GcsClient(sys.argv[1]).internal_kv_keys(b"", None))
"""


def test_a_cluster_of_our_own_hears_nobody_else_and_no_signal_to_its_drivers_group() -> None:
    own = {key: value for key, value in os.environ.items() if not key.startswith("RAY_AUTH_")}
    with subprocess.Popen(
        [sys.executable, "-c", HAS_ONE],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=own, start_new_session=True,
    ) as driver:  # fmt: skip
        assert driver.stdout
        address = driver.stdout.readline().strip()
        of_ray = dict(below(driver.pid))
        assert any("ray::Worker" in name for name in of_ray.values())
        assert driver.pid not in {os.getpgid(process) for process in of_ray}
        assert {host for process in of_ray for host in listens_on(process)} == {"127.0.0.1"}
        for token in ({}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}):
            words = [sys.executable, "-c", JOINS, address]
            joined = subprocess.run(words, capture_output=True, text=True, env=own | token)
            assert joined.returncode == 1
            assert "AuthenticationError" in joined.stderr
            assert joined.stdout == ""
        driver.communicate("")
        assert driver.returncode == 0


def listens_on(process: int) -> set[str]:
    """Return the addresses at which a process takes connections of TCP."""
    sockets = {os.readlink(link) for link in Path(f"/proc/{process}/fd").iterdir()}
    hosts = set()
    for kind in ("tcp", "tcp6"):
        for line in Path(f"/proc/{process}/net/{kind}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
                hosts.add(words[1].partition(":")[0])
    loopback = ("0100007F", "0000000000000000FFFF00000100007F")  # the latter in a socket of IPv6
    return {"127.0.0.1" if host in loopback else host for host in hosts}

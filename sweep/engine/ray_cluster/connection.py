"""The connection to a Ray cluster: started, watched and stopped by a thread of its own.

Ray's start takes seconds, and any question to a head that has gone takes as long as Ray has
patience. So the driver's thread asks the head nothing: it is told what happened, as calls that it
makes when it looks.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import warnings
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from time import monotonic
from typing import Any, NamedTuple

from core.available_memory import kills_for_memory
from core.errors import InputError
from sweep.engine.ray_cluster.session import Session

#: How often the head, its nodes and its workers are looked at.
WATCH_S = 1.0
#: A head that is restarted with its state kept (Ray's fault tolerance) is back before that.
HEAD_PATIENCE_S = 10.0
#: Workers without a place are told of when none became ready for so long: one starts in 1 to 3 s.
PLACE_PATIENCE_S = 6.0
#: The driver waits so long for Ray to stop: that takes 1.1 s, 3.4 s as it has just begun to start.
#: Killed while it starts, it would wait a minute for its dead head.
STOP_S = 4.5


class ClusterError(InputError):
    """A cluster that cannot be started or reached, or whose head has gone."""


class Need(NamedTuple):
    """Memory: of each worker, and of the object store of a cluster of our own."""

    worker_bytes: int
    store_bytes: int


class Connection:
    """A driver's place in a Ray cluster, and the workers it asked the cluster for.

    Parameters
    ----------
    address
        A cluster that runs already; by default that of RAY_ADDRESS, or one of this machine alone.
    workers
        Number of workers; by default one a CPU of the cluster, those of nodes that join too.
    need
        What the study takes of memory.
    begin
        Called once with the ray module, in the connection's thread, when the cluster is there; it
        returns what makes one more worker.
    joined
        Called with each worker that was asked for, by the driver's thread.
    see
        Called with the nodes that are alive, and the actors that are dead for a while, each time
        that they change, by the driver's thread.
    note
        Called with each line that the user should know of, by the driver's thread.

    Attributes
    ----------
    events
        Calls that the driver's thread is to make; one raises `ClusterError` where all is over.
    limit
        Workers at most, whatever was asked for; None: no less than that.
    """

    def __init__(
        self,
        address: str | None,
        workers: int | None,
        need: Need,
        begin: Callable[[Any], Callable[[], Any]],
        joined: Callable[[Any], None],
        see: Callable[[set[str], set[str]], None],
        note: Callable[[str], None],
    ) -> None:
        self.events: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.expected = workers or _own_cpus()
        self.limit: int | None = None
        #: Workers that were lost again, and those that are ready: the driver counts them.
        self.lost = self.ready = 0
        self._address = address or os.environ.get("RAY_ADDRESS") or "local"
        self._workers, self._need = workers, need
        self._begin, self._joined, self._note = begin, joined, note
        self._see = see
        #: Kills of this machine's for want of memory that are old, or were told of.
        self._own_node, self._kills = "", kills_for_memory()
        self._session: Session | None = None
        self._closing = threading.Event()
        # Ray's processes are killed by the kernel when the thread that started them ends: so it
        # lives as long as they do.
        self._thread = threading.Thread(target=self._run, name="ray-connection", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop what was started; what takes longer than `STOP_S` goes on stopping by itself."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._thread.join(STOP_S)

    def was_killed_for_memory(self, node: str) -> bool:
        """Return whether Linux has killed a process for want of memory, of this machine's Ray.

        It is asked when a worker has died: each kill is told of once, as one of several at a time.
        """
        if node != self._own_node or kills_for_memory() <= self._kills:
            return False
        self._kills += 1
        return True

    def _run(self) -> None:
        try:
            if self._address == "local":
                # Without these Ray warns, and writes a token under HOME.
                os.environ.setdefault("RAY_AUTH_MODE", "token")
                os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            ray = _import_ray()
            if self._closing.is_set():
                return
            if self._address == "local":
                self._session = _session()
            _start(ray, self._address, self.expected, self._need.store_bytes, self._session)
        except Exception as error:  # else the driver would wait for ever
            self._remove_session()
            told = error if isinstance(error, ClusterError) else self._ended(_first_line(error))
            self.events.put(partial(_fail, told))
            return
        try:
            if not self._closing.is_set():
                self._watch(ray, self._begin(ray))
        except ClusterError as error:
            self.events.put(partial(_fail, error))
            self._closing.wait()
        except Exception as error:  # else the driver would wait for ever
            self.events.put(partial(_fail, self._ended(_first_line(error))))
            self._closing.wait()
        finally:
            ray.shutdown()
            self._remove_session()

    def _watch(self, ray: Any, make: Callable[[], Any]) -> None:
        """Ask for workers as they are lost and as nodes join, until the driver or the head ends."""
        context = ray.get_runtime_context()
        self._own_node, head = context.get_node_id(), context.gcs_address
        places = _Places(ray, self._need.worker_bytes)
        made, answered = 0, monotonic()
        job = ray.JobID(bytes.fromhex(context.get_job_id()))
        seen: tuple[set[str], set[str]] = (set(), set())
        dead_before: set[str] = set()
        while not self._closing.is_set():
            if _answers(head):
                answered = monotonic()
                nodes = [node for node in ray.nodes() if node["Alive"]]
                alive = {str(node["NodeID"]) for node in nodes}
                if self._own_node not in alive:
                    raise self._ended("the Ray of this machine has ended")
                # What their calls tell of the dead comes first, if it does not come never.
                dead = set(ray._private.state.actors(job_id=job, actor_state_name="DEAD"))
                dead_before, dead = dead, dead & dead_before
                if (alive, dead) != seen:
                    seen = (alive, dead)
                    self.events.put(partial(self._see, alive, dead))
                cpus = int(sum(node["Resources"].get("CPU", 0) for node in nodes))
                wanted = self._workers or max(1, cpus)
                if self.limit is not None:
                    wanted = min(wanted, self.limit)
                while made - self.lost < wanted and not self._closing.is_set():
                    made += 1
                    self.events.put(partial(self._joined, make()))
                line = places.lacking(cpus, wanted, self.ready)
                if line is not None:
                    self.events.put(partial(self._note, f"Ray at {self._address}: {line}"))
            elif monotonic() - answered > HEAD_PATIENCE_S:
                raise self._ended(f"its head has not answered for {HEAD_PATIENCE_S:.0f} s")
            self._closing.wait(WATCH_S)

    def _remove_session(self) -> None:
        if self._session is not None:
            self._session.close()

    def _ended(self, what: str) -> ClusterError:
        return ClusterError(
            f"Ray at {self._address}: {what}; finished trials are kept, run it again to go on"
        )


class _Places:
    """How many workers a cluster has a place for, told to the user where it is too few."""

    def __init__(self, ray: Any, worker_bytes: int) -> None:
        self._ray, self._worker_bytes = ray, worker_bytes
        self._room, self._short_of = self._free()
        self._ready, self._since, self._told = 0, monotonic(), False

    def lacking(self, cpus: int, wanted: int, ready: int) -> str | None:
        """Return what to tell the user of `wanted` workers of which so many are ready, or None."""
        if ready != self._ready:
            self._ready, self._since = ready, monotonic()
        if ready >= wanted:
            self._told = False
        starting = min(self._room, cpus) >= wanted
        waits = monotonic() - self._since < PLACE_PATIENCE_S
        if self._told or ready >= wanted or starting or waits:
            return None
        more, short_of = self._free()
        if more > 0:
            return None
        self._told = True
        then = f"{ready} replay" if ready else "none replays yet"
        return f"{ready} {short_of} free, {wanted} asked: {then}, others join as it can place them"

    def _free(self) -> tuple[int, str]:
        """Return how many more workers have a place, and what a further one lacks."""
        left = self._ray.available_resources()
        cpus = int(left.get("CPU", 0))
        by_memory = int(left.get("memory", 0) // self._worker_bytes)
        if by_memory < cpus:
            return by_memory, f"times {self._worker_bytes / 2**30:.1f} GiB of memory"
        return cpus, "CPUs"


def _fail(error: ClusterError) -> None:
    raise error


def _own_cpus() -> int:
    return len(os.sched_getaffinity(0))


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Else Ray's native part takes SIGTERM from this process: to dump its stack, and abort.
    os.environ.setdefault("RAY_DISABLE_FAILURE_SIGNAL_HANDLER", "1")
    with warnings.catch_warnings():
        # What Ray imports has opinions about proxies of the environment.
        warnings.simplefilter("ignore")
        import ray
    logging.getLogger("ray").setLevel(logging.ERROR)
    # What raylets say of dead workers would go to stdout, which is for data, with pages of logs.
    ray._private.worker._worker_logs_enabled = False
    return ray


def _session() -> Session:
    try:
        return Session()
    except OSError as error:
        what = f"Ray has no folder for its session: {error} (RAY_TMPDIR names another place)"
        raise ClusterError(what) from None


def _start(ray: Any, address: str, cpus: int, store_bytes: int, session: Session | None) -> None:
    """Connect to the cluster at `address`, or start one in a session's folder."""
    options: dict[str, Any] = {}
    # A Ray that cannot be a cluster of several machines listens on the loopback address alone.
    constants = ray._private.ray_constants
    could_be_several = constants.ENABLE_RAY_CLUSTER
    if session is not None:
        options = {
            "num_cpus": cpus,
            "num_gpus": 0,
            "include_dashboard": False,
            "object_store_memory": store_bytes,
            "_temp_dir": str(session.folder),
        }
        if not _has_shared_memory(store_bytes):
            options["_plasma_directory"] = str(session.folder)
    elif address != "auto":
        _probe(address)
    utils = ray._private.utils
    dies_with_driver = utils.set_kill_on_parent_death_linux
    try:
        constants.ENABLE_RAY_CLUSTER = could_be_several and session is None
        utils.set_kill_on_parent_death_linux = partial(_in_own_group, dies_with_driver)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except Exception as error:  # Ray has some of no class of its own
        hint = " (`ray start --head` starts one)" if address == "auto" else ""
        raise ClusterError(f"Ray at {address}: {_first_line(error)}{hint}") from None
    finally:
        constants.ENABLE_RAY_CLUSTER = could_be_several
        utils.set_kill_on_parent_death_linux = dies_with_driver


def _in_own_group(then: Callable[[], None]) -> None:
    """Take a new process of Ray's out of the driver's group, before it begins.

    `timeout` and a closed terminal send a signal to the whole group. A raylet that ends of it while
    the driver connects would end the driver from native code, with exit code 1 and without a line.
    """
    os.setpgrp()
    then()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _has_shared_memory(size: int) -> bool:
    """Return whether the machine has shared memory of a size; some containers have little."""
    try:
        about = os.statvfs("/dev/shm")
    except OSError:
        return False
    return os.access("/dev/shm", os.W_OK) and about.f_bsize * about.f_bavail >= size


def _answers(address: str) -> bool:
    """Return whether something listens at HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=WATCH_S).close()
    except OSError:
        return False
    return True


def _probe(address: str) -> None:
    """Raise `ClusterError` if nothing listens at an address; Ray itself waits for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise ClusterError(f"Ray at {address}: an address is HOST:PORT, or auto")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise ClusterError(f"Ray at {address}: nothing answers there ({error})") from None

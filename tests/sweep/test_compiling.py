"""Loops over lanes are compiled once, by processes that share the work and leave nothing behind."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, perf_counter, sleep

import golden
import pytest
from streams import compiled

from core import jit
from core.backend import compile_loop
from core.costs import Costs
from core.evaluator import Candidate
from core.jit import code_folder
from core.policy import Policy
from core.system.cleancache.entries import entry_name
from core.system.contract import ReplayLoop
from sweep.cli.terminal import LiveProgress
from sweep.engine import compiling
from sweep.engine.compiling import Compiling
from sweep.study.read import load_study

LOOP = ReplayLoop("lru", "single")
#: Compiles the loops that are named, by one process.
COMPILE = """
import sys
from core.system.contract import ReplayLoop
from sweep.engine.compiling import compile_all
print(compile_all([ReplayLoop(*word.split()) for word in sys.argv[1:]], processes=1))
"""
#: Replays golden policies on a capture, and names what it had to compile.
REPLAY = """
import json, sys
sys.path.append(sys.argv[1])
import golden
from core.backend import replay
from core.event_files import read_events
from core.machine import Machine
from core.outcomes import measure
from numba.core.event import Listener, install_listener

class Names(Listener):
    names = []
    def on_start(self, event):
        self.names.append(event.data["dispatcher"].py_func.__qualname__)
    def on_end(self, event):
        pass

events = read_events(golden.TRACES / f"{sys.argv[2]}.parquet")
machine = Machine(events.page_size, events.data_pages, 8192)
with install_listener("numba:compile", Names()):
    outcomes = replay(events, machine, [golden.POLICIES[name] for name in sys.argv[3:]])
columns = {name: column.tolist() for name, column in measure(outcomes).items()}
print(json.dumps([columns, Names.names]))
"""
#: Begins to compile, and waits for that.
WAIT = """
from core.system.contract import ReplayLoop
from sweep.engine.compiling import Compiling
compiling = Compiling([ReplayLoop("lru", "single")], processes=2)
compiling.start()
print("started", flush=True)
compiling.wait()
"""


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder of machine code, of this process and of those that it starts."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "tag-storage-sweep" / code_folder().name
    folder.mkdir(parents=True)
    for module in (jit, compiling):
        monkeypatch.setattr(module, "code_folder", lambda: folder)
    return folder


def locked(folder: Path) -> int:
    """Take the lock of `LOOP`, so that whoever would compile it waits; return its descriptor."""
    lock = os.open(folder / f"{entry_name(*LOOP)}.lock", os.O_CREAT | os.O_WRONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def candidate(policy: Policy) -> Candidate:
    return Candidate(policy, 4096, Costs())


def children_of(process: int) -> list[int]:
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(word) for word in text.split()]


def wait_for_end(processes: list[int], within_s: float) -> bool:
    """Return whether processes that are not this one's children end within a time."""
    end = monotonic() + within_s
    while any(Path(f"/proc/{process}").exists() for process in processes):
        if monotonic() > end:
            return False
        sleep(0.02)
    return True


@compiled
def test_what_two_runs_compile_at_once_is_golden_in_a_third_process(tmp_path: Path) -> None:
    # All but the loops is taken from where this process has it.
    folder = tmp_path / "tag-storage-sweep" / code_folder().name
    shutil.copytree(code_folder(), folder, ignore=shutil.ignore_patterns("jit.*", "*.lock"))
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    words = ["fifo general", "lru general"]
    runs = [
        subprocess.Popen([sys.executable, "-c", COMPILE, *words], env=environment) for _ in range(2)
    ]
    assert [run.wait() for run in runs] == [0, 0]
    names = ["lru folio", "fifo folio"]
    tests = str(golden.FILE.parent)
    done = subprocess.run(
        [sys.executable, "-c", REPLAY, tests, "cache-dbxfs", *names],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    outcomes, compiled_there = json.loads(done.stdout)
    assert not {name for name in compiled_there if name.endswith("_general")}
    expected = json.loads(golden.FILE.read_text())["cache-dbxfs"]
    for lane, name in enumerate(names):
        found = {outcome: column[lane] for outcome, column in outcomes.items()}
        assert found == expected[name], name


@compiled
def test_a_loop_on_disk_is_known_at_once_and_starts_no_process() -> None:
    compile_loop(LOOP)
    taken_s, told = [], []
    for _ in range(20):
        start = perf_counter()
        compiling = Compiling([LOOP], 2, lambda *numbers: told.append(numbers))
        compiling.start()
        assert compiling.wait(0)
        taken_s.append(perf_counter() - start)
        compiling.close()
    assert not children_of(os.getpid())
    assert not told
    assert min(taken_s) < 0.005


@compiled
def test_a_loop_that_another_run_compiles_is_waited_for_and_not_compiled_again(
    empty: Path,
) -> None:
    told: list[tuple[int, int]] = []
    lock = locked(empty)
    compiling = Compiling([LOOP], 1, lambda *numbers: told.append(numbers))
    compiling.start()
    assert not compiling.takes(candidate(Policy(eviction=LOOP.eviction)))
    assert compiling.takes(candidate(Policy(eviction="fifo")))
    assert compiling.takes(candidate(Policy(system="carveout", eviction=LOOP.eviction)))
    assert not compiling.wait(1.5)
    assert told == [(0, 1)]
    kept = empty / f"jit.{entry_name(*LOOP)}-0.code"
    kept.write_bytes(hashlib.sha256().digest())  # as if of no code
    os.close(lock)
    assert compiling.wait(10)
    assert compiling.takes(candidate(Policy(eviction=LOOP.eviction)))
    assert told == [(0, 1), (1, 1)]
    compiling.close()
    assert compiling.failed == {}
    assert list(empty.glob("*.code")) == [kept]


@compiled
def test_where_every_process_has_died_nothing_is_waited_for(empty: Path) -> None:
    lock = locked(empty)
    compiling = Compiling([LOOP], 2)
    compiling.start()
    (child,) = children_of(os.getpid())
    os.kill(child, signal.SIGKILL)
    assert compiling.wait(10)
    compiling.close()
    assert "killed by signal 9" in compiling.failed[LOOP]
    os.close(lock)


@compiled
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_that_ends_leaves_no_process(empty: Path, number: int) -> None:
    lock = locked(empty)
    run = subprocess.Popen(
        [sys.executable, "-c", WAIT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert run.stdout is not None
    assert run.stdout.readline() == b"started\n"
    children = children_of(run.pid)
    assert len(children) == 1
    sleep(0.5 if number == signal.SIGINT else 0)  # it dies while it starts, and at work
    run.send_signal(number)
    run.wait(10)
    run.stdout.close()
    assert wait_for_end(children, within_s=10)
    os.close(lock)


@compiled
def test_a_script_without_a_guard_is_told_why_a_loop_of_its_own_cannot_be_compiled(
    tmp_path: Path,
) -> None:
    (tmp_path / "broken.py").write_text(
        "from core.eviction.lru import LRU\n"
        "from core.jit import kernel\n"
        "print('no answer')\n"
        "@kernel\n"
        "def victim(state, keep):\n"
        "    return state.no_such_array\n"
        "BROKEN = LRU._replace(victim=victim)\n"
    )
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from core.system.contract import ReplayLoop\n"
        "from sweep.engine.compiling import compile_all\n"
        "from sweep.engine.plugins import Plugins\n"
        "word = 'broken:BROKEN'\n"
        "plugins = Plugins((('eviction', word),), Path(__file__).parent)\n"
        "plugins.load()\n"
        "(why,) = compile_all([ReplayLoop(word, 'single')], 2, plugins).values()\n"
        "print(why)\n"
    )
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "TypingError" in done.stdout
    assert "no_such_array" in done.stdout


def test_progress_says_how_many_loops_are_compiled(
    capsys: pytest.CaptureFixture[str],
) -> None:
    study, _ = load_study(golden.TRACES.parent / "quickstart.yaml")
    progress = LiveProgress(study)
    progress.compiling(0, 10)
    progress.compiling(2, 10)  # no other line for some seconds
    told = "study quickstart: compiling 1 of 10, once for this version\n"
    assert capsys.readouterr().err == told

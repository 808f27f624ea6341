"""Traces: damaged ones of every format, tables and archives: taken, or refused in a line."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
if __name__ == "__main__":
    sys.path[:0] = [
        str(HERE), *(str(HERE.parent / name) for name in ("", "..", "simulation", "inputs")),
    ]  # fmt: skip

import typer  # noqa: E402
from command_here import say_here  # noqa: E402
from damaged_tables import damaged_archive, damaged_table, undamaged_tables  # noqa: E402
from format_examples import capture_text  # noqa: E402
from hazard import Counts, Hazard  # noqa: E402
from mutated_traces import bombs, mutant, originals  # noqa: E402
from taken_or_refused import check_said, check_table  # noqa: E402
from typer.main import get_command  # noqa: E402

import sweep.cli.main as command_line  # noqa: E402
from core import backend, event_files, table_files  # noqa: E402
from core.backend import replay  # noqa: E402
from core.errors import InputError  # noqa: E402
from core.event_files import read_events  # noqa: E402
from core.frontend import extents  # noqa: E402
from core.frontend import run as frontend_run  # noqa: E402
from core.machine import Machine  # noqa: E402
from core.policy import Policy  # noqa: E402
from core.workload import kept_tables  # noqa: E402

#: What a case may take: seconds of a processor, and bytes beside those that the process had before.
MOST_S, MOST_BYTES = 10.0, 1 << 30
#: What a case may take by the clock, where others have the processor too, before it is ended; and
#: what the first one may take beside, for all that is compiled once.
_ENDED_S, _COMPILING_S = 100.0, 900.0
#: Of so many seeds one is a small file that becomes a large one.
_BOMB_EVERY = 200
STUDY = """\
study: a
workload: {%s: x.parquet}
policy: {eviction: lru}
n_trials: 1
objectives: [{metric: time_saved_ns, direction: maximize}]
"""
Said = tuple[int, str, str]
#: What a command says while it takes long.
_WAITING = re.compile(r"^(?:\w+: .*\d s so far|compiling what no .*)\n", re.MULTILINE)


def case(seed: int, folder: Path) -> None:
    """Try the damaged file of a seed in an empty folder, and check what came; raise otherwise."""
    rng = random.Random(seed)
    if seed % _BOMB_EVERY == _BOMB_EVERY - 1:
        name, content = rng.choice(list(bombs().items()))
        _import(folder, name, content, ())
    elif (kind := rng.random()) < 0.45:
        damaged = mutant(seed)
        _import(folder, damaged.name, damaged.content, damaged.words)
    elif kind < 0.6:
        (folder / "x.meta.tar").write_bytes(damaged_archive(seed).content)
        _import(folder, "x.ftrace.txt", capture_text(60), ())
    else:
        _use(folder, damaged_table(seed).content, rng)


def _import(folder: Path, name: str, content: bytes, words: tuple[str, ...]) -> None:
    path, archive = folder / name, folder / "x.meta.tar"
    path.write_bytes(content)
    words = tuple(str(folder / word) if word == "accesses.parquet" else word for word in words)
    said = say("trace", "import", path, "-o", folder / "out.parquet", *words)
    if said[0] == 2 and said[2].startswith(f"{archive}: "):
        said = (2, said[1], said[2].replace(str(archive), str(path), 1))
    archive.unlink(missing_ok=True)
    check_said(said, folder, path)


def _use(folder: Path, content: bytes, rng: random.Random) -> None:
    """Give a table to each command that reads one, and replay it if it is taken."""
    path, out = folder / "x.parquet", folder / "out.parquet"
    for words in rng.sample(_commands(folder, content, rng), 3):
        code, said, err = say(*words)
        where = f"{' '.join(map(str, words))}: {code} {err}"
        assert code in (0, 2), where
        assert "Traceback" not in err, where
        assert not set(said + err) & set("\0\x1b\x07"), where
        if code == 2:
            assert said == "", where
            assert len(err.strip().split("\n")) == 1 or words[0] == "validate", where
            assert err.startswith((*map(str, (path, out, folder / "a.yaml")), "--")), where
        if code == 0 and out.exists():
            check_table(out)
    _replay(path)


def _commands(folder: Path, content: bytes, rng: random.Random) -> list[tuple[str | Path, ...]]:
    """Write a table, and return the commands that read it."""
    path, out = folder / "x.parquet", folder / "out.parquet"
    path.write_bytes(content)
    (folder / "a.yaml").write_text(STUDY % rng.choice(("trace", "accesses")))
    return [
        ("trace", "info", path),
        ("trace", "info", path, "--json"),
        ("trace", "repair", path, "-o", out),
        ("trace", "truth", path),
        ("trace", "cut", path, "-o", out, *rng.choice(_CUTS)),
        ("trace", "reclaim", path, "-o", out, *rng.choice(_RECLAIMS)),
        ("validate", folder / "a.yaml"),
    ]


def _replay(path: Path) -> None:
    """Replay a table, unless it is refused."""
    with contextlib.suppress(InputError):
        events = read_events(path)
        replay(events, Machine(events.page_size, events.data_pages), [Policy()])


_CUTS = (("--anonymise",), ("--from", "1ns"), ("--phase", "a"), ("--to", "1ms"))
_RECLAIMS: tuple[tuple[str, ...], ...] = ((), ("--memory", "8MiB"), ("--set", "swap_size=1MiB"))


def say(*words: str | Path) -> Said:
    """Call the command in this process; leave out what it says while it takes long."""
    if isinstance(command_line.app, typer.Typer):  # else every call would build it anew
        command_line.app = get_command(command_line.app)  # type: ignore[assignment]
    code, out, err = say_here(*words)
    return code, out, _WAITING.sub("", err)


def run(first: int, most: int, has_time: Callable[[], bool], counts: Counts) -> None:
    """Try the seeds from `first` on in a process of its own, and another where that has died."""
    seed, end = first, first + most
    while seed < end and (seed == first or has_time()):
        with _Trying() as trying:
            while seed < end and (seed == first or has_time()):
                what, told = trying.one(seed)
                counts.cases += 1
                if what is not None:
                    counts.fault(seed, told, what)
                seed += 1
                if trying.is_over:
                    break


class _Trying:
    """A process that tries the seeds that it is told."""

    def __init__(self) -> None:
        self.is_over = False
        self._takes_s = _ENDED_S + _COMPILING_S
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )

    def __enter__(self) -> _Trying:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()

    def one(self, seed: int) -> tuple[str | None, str]:
        """Try a seed; return which of the counts it adds to, if any, and what went wrong."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{seed}\n".encode())
        if not select.select([self._process.stdout], [], [], self._takes_s)[0]:
            self.is_over = True
            return "hangs", f"no answer within {self._takes_s:.0f} s"
        self._takes_s = _ENDED_S
        line = self._process.stdout.readline()
        if not line:
            self.is_over = True
            return "tracebacks", f"the process died with {self._process.wait()}"
        what, told = json.loads(line)
        return what, told


def _try(seed: int) -> tuple[str | None, str]:
    """Try a seed, and return which count it adds to, if any, and what went wrong."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, start = _peak_bytes(), time.process_time()
    with tempfile.TemporaryDirectory(prefix="sweep-traces-") as name:
        try:
            case(seed, Path(name))
        except BaseException:
            return "tracebacks", traceback.format_exc()[-3000:]
    seconds, grown = time.process_time() - start, _peak_bytes() - before
    if seconds > MOST_S:
        return "hangs", f"took {seconds:.0f} s"
    if grown > MOST_BYTES:
        return "tracebacks", f"took {grown >> 20} MiB"
    return None, ""


def _warm_up(folder: Path) -> None:
    """Do what compiles or loads anything, so that no case has to wait for it."""
    for name, content in originals():
        with contextlib.suppress(AssertionError, ValueError):
            (folder / "warm").mkdir()
            _import(folder / "warm", name, content, ())
        shutil.rmtree(folder / "warm")
    for content in undamaged_tables():
        (folder / "warm").mkdir()
        for words in _commands(folder / "warm", content, random.Random(0)):
            say(*words)
        _replay(folder / "warm" / "x.parquet")
        shutil.rmtree(folder / "warm")


def _peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def main() -> None:
    """Answer each seed on standard input with a line of what came."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(prefix="sweep-kept-") as kept:
        for module in (backend, extents, frontend_run, table_files):
            # What takes more memory is refused, as on a machine with no more.
            module.available_bytes = lambda: MOST_BYTES
        kept_tables.KEPT_FOLDER, event_files.FOUND_GOOD = Path(kept, "events"), Path(kept, "good")
        event_files.FOUND_GOOD.mkdir()
        _warm_up(Path(kept))
        for line in sys.stdin:
            print(json.dumps(_try(int(line))), file=answers, flush=True)


HAZARD = Hazard("traces", run, share=3.0)

if __name__ == "__main__":
    main()

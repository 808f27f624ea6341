"""Studies: mutated ones, each of which is good or refused in lines, soon, in little memory."""

from __future__ import annotations

import contextlib
import io
import re
import resource
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from hazard import Counts, Hazard
from mutated_studies import mutated_study, write_companions

from core.errors import InputError
from core.workload import kept_tables
from sweep.cli import study_commands
from sweep.engine import needs
from sweep.study.yaml_source import SourceError

#: What a study may take: seconds of a processor, or many more where others take it; and bytes
#: beside those that the process has before it.
MOST_S, MOST_WAITED_S, MOST_BYTES = 10.0, 60, 1 << 30
#: No table takes so little time to make: none is made, nor the front end compiled.
_MAKING_S = -1.0
#: Seed 0, which imports what others need.
_GOOD = """\
study: good
workload: {synthetic: zipf, asks: 2000}
parameters: {headroom: {type: float, low: 0.0, high: 0.5}}
objectives: [{metric: time_saved_ns, direction: maximize}]
n_trials: 4
"""
#: How a line of a message begins: with a file, and mostly a line and a column of it.
_PLACE = re.compile(r"[^\n]*study\.yaml:\d+:\d+: .")


def run(first: int, most: int, has_time: Callable[[], bool], counts: Counts) -> None:
    """Validate studies of seeds from `first` on, as `sweep validate` does."""
    with tempfile.TemporaryDirectory(prefix="sweep-studies-") as name, _apart(Path(name)):
        folder = Path(name)
        write_companions(folder)
        _validate(0, folder, Counts())
        before = sorted(folder.iterdir())
        for seed in range(first, first + most):
            if seed > first and not has_time():
                break
            counts.cases += 1
            _validate(seed, folder, counts)
        left = sorted(set(folder.iterdir()) - {*before, folder / "study.yaml", folder / "kept"})
        if left:
            counts.fault(first, f"one of {counts.cases} left {left}", "leftovers", len(left))


class _HungError(BaseException):
    """A study took too long."""


def _hung(*_: object) -> None:
    raise _HungError


@contextlib.contextmanager
def _apart(folder: Path) -> Iterator[None]:
    """Keep tables in a folder of the test, and hold memory within bounds."""
    saved = (kept_tables.KEPT_FOLDER, needs.KEPT_FOLDER, study_commands.VALIDATE_S)
    handler = signal.signal(signal.SIGALRM, _hung)
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    kept_tables.KEPT_FOLDER = needs.KEPT_FOLDER = folder / "kept"
    study_commands.VALIDATE_S = _MAKING_S
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (_data_bytes() + MOST_BYTES, limits[1]))
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_DATA, limits)
        kept_tables.KEPT_FOLDER, needs.KEPT_FOLDER, study_commands.VALIDATE_S = saved


def _data_bytes() -> int:
    """Return what RLIMIT_DATA counts of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    return pages * resource.getpagesize()


def _validate(seed: int, folder: Path, counts: Counts) -> None:
    chance = Random(seed)
    path = folder / "study.yaml"
    path.write_bytes(mutated_study(chance) if seed else _GOOD.encode())
    start, told = time.process_time(), io.StringIO()
    signal.alarm(MOST_WAITED_S)
    try:
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            study_commands.validate_command(path, as_json=chance.random() < 0.5)
    except InputError as error:
        lines = str(error).split("\n")
        if not all(_PLACE.match(line) and line.isprintable() for line in lines):
            counts.fault(seed, f"no place, or no text: {lines[0]!r}")
        if isinstance(error, SourceError) and not _in_text(error, path):
            counts.fault(seed, f"a place that is none: {error.mistakes[0]}")
    except _HungError:
        counts.fault(seed, traceback.format_exc()[-1500:], "hangs")
    except Exception:
        counts.fault(seed, traceback.format_exc()[-1500:], "tracebacks")
    finally:
        signal.alarm(0)
    seconds = time.process_time() - start
    if seconds > MOST_S:
        counts.fault(seed, f"took {seconds:.0f} s", "hangs")


def _in_text(error: SourceError, path: Path) -> bool:
    """Return whether each mistake of a study stands at a line and a column of its text."""
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    # YAML 1.1 has more line breaks than YAML 1.2; a text may say which it is.
    for breaks in ("\r\n|[\n\r]", "\r\n|[\n\r\x85\u2028\u2029]"):
        lengths = [len(line) for line in re.split(breaks, text)]
        places = [(each.line, each.column) for each in error.mistakes if each.file == path]
        if all(
            1 <= line <= len(lengths) and 1 <= column <= lengths[line - 1] + 1
            for line, column in places
        ):
            return True
    return False


HAZARD = Hazard("studies", run, share=4.0)

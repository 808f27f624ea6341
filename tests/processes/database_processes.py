"""Other processes at a database: a client that holds it open, and writers that are killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sweep.results import answer_query

Row = dict[str, Any]

HOLDER = """
import sys, time, duckdb
while True:
    try:
        connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "ro")
        break
    except duckdb.IOException:  # a writer has it for the moment
        time.sleep(0.01)
print("holds", flush=True)
sys.stdin.read()
"""
# Forks a writer for each line "file first step": it adds trials from `first` on, prints each number
# once it is acknowledged, and kills itself where it would take `step`: an operation of Disk, and on
# what.
WRITERS = """
import itertools, os, signal, sys
from fnmatch import fnmatch
from pathlib import Path
import duckdb, pyarrow
from core.files import Disk
from sweep.results import Store

def write(path, first, step):
    name, _, pattern = step.partition(":")
    operation = getattr(Disk, name, None)
    def die(disk, place, *more):
        if fnmatch(place.name, pattern):
            os.kill(os.getpid(), signal.SIGKILL)
        return operation(disk, place, *more)
    if step != "none":
        setattr(Disk, name, die)
    store = Store(Path(path))
    for number in itertools.count(first):
        place = {"study": "s", "role": "trial", "number": number}
        store.add("trials", place | {"state": "complete", "policy_key": "k"})
        store.add("runs", place | {"workload": "w", "replicate": 0})
        store.add("attempts", place | {"number": 0, "attempt": number, "error": "e"})
        store.flush()
        os.write(1, f"{number}{os.linesep}".encode())  # whole or not at all, whenever it is killed

for line in sys.stdin:
    path, first, step = line.split()
    pid = os.fork()
    if pid == 0:
        print("pid", os.getpid(), flush=True)
        write(path, int(first), step)
    os.waitpid(pid, 0)
    print("gone", flush=True)
"""


@contextmanager
def held(path: Path, mode: str = "rw") -> Iterator[subprocess.Popen[str]]:
    """Hold the file open in another process, as a client does that a user forgot."""
    command = [sys.executable, "-c", HOLDER, str(path), mode]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "holds\n"
        yield process
        process.communicate()


class Writers:
    """Writing processes that are killed, and the numbers that each had acknowledged."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", WRITERS]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self.pid, self.runs = 0, False

    def start(self, path: Path, first: int, step: str = "none") -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{path} {first} {step}\n")
        self.process.stdin.flush()
        self.pid = int(self.read().removeprefix("pid "))
        self.runs = True

    def read(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def kill(self) -> list[int]:
        os.kill(self.pid, 9)
        return self.acknowledged()

    def acknowledged(self) -> list[int]:
        acknowledged = [int(line) for line in iter(self.read, "gone")]
        self.runs = False
        return acknowledged


def trial(number: int, **named: Any) -> Row:
    place = {"study": "s", "role": "trial", "number": number}
    return place | {"state": "complete", "policy_key": "k"} | named


def numbers(path: Path, patience_s: float = 0.2) -> list[int]:
    return [
        number for (number,) in answer_query(path, "SELECT number FROM trials", patience_s).rows
    ]


def spool_of(path: Path) -> list[Path]:
    return sorted((path.parent / f"{path.name}.spool").glob("*.arrows"))


def log_of_a_killed_client(path: Path) -> Path:
    """Let a client make a table ``notes`` and be killed; return the log in which it is then."""
    client = (
        "import duckdb, os, sys\n"
        "connection = duckdb.connect(sys.argv[1])\n"
        "connection.execute('CREATE TABLE notes AS SELECT 42 AS note')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", client, path], check=False)
    return Path(f"{path}.wal")

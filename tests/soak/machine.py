"""Anything that people do to a database, in any order: it ends as if nothing had happened."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hazard import Counts, Hazard, each_case
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tiny_runs import Told, leftovers, recorded, run, tables, undisturbed
from watched_disk import watched

from sweep.engine.shards import Shard
from sweep.results import Store
from sweep.results.merging import merge_databases

#: How many trials the study has, and gets in time.
BUDGETS = (3, 6, 9)
STUDY, ANOTHER = "random", "nsga2"
#: Databases of a case. Hypothesis makes the first of the simplest choices alone.
EXAMPLES = 8

_HOLDER = """
import sys, duckdb
for line in sys.stdin:
    path, mode = line.split()
    connection = duckdb.connect(path, read_only=mode == "ro")
    print("holds", flush=True)
    sys.stdin.readline()
    connection.close()
    print("lets go", flush=True)
"""


class Died(BaseException):
    """The end of a process: none of its later operations reaches a file."""


class _Kill:
    """Lets a run die before its operation of a number, if it has so many."""

    def __init__(self, at: int) -> None:
        self._left = at

    def __call__(self, name: str, given: tuple[Any, ...]) -> None:
        self._left -= 1
        if self._left <= 0:
            raise Died


class Client:
    """Another process, which holds a database open for a while."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self.mode = ""

    def hold(self, database: Path, mode: str) -> None:
        """Open the database: ``ro`` to read, ``rw`` to write."""
        if self._process is None:
            command, pipe = [sys.executable, "-c", _HOLDER], subprocess.PIPE
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self._say(f"{database} {mode}", "holds")
        self.mode = mode

    def let_go(self) -> None:
        """Close it."""
        if self.mode:
            self._say("", "lets go")
        self.mode = ""

    def end(self) -> None:
        """End the process."""
        self.let_go()
        if self._process is not None:
            self._process.communicate()
        self._process = None

    def _say(self, line: str, answer: str) -> None:
        process = self._process
        assert process is not None
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        assert process.stdout.readline() == f"{answer}\n"


class Database(RuleBasedStateMachine):
    """A database, what is done to it, and which trials its runs told of."""

    counts = Counts()
    client = Client()

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory(prefix="sweep-soak-")
        self._path = Path(self._folder.name, "results.duckdb")
        self._share = Path(self._folder.name, "share.duckdb")
        self._told, self._budget = Told(), 0
        self._has_another = False

    @initialize()
    def make(self) -> None:
        """Make the database, so that there is something to hold."""
        Store(self._path)

    @rule(operations=st.integers(1, 90))
    def run_and_kill(self, operations: int) -> None:
        """Run the study, and kill the run."""
        self.counts.kills += 1
        with suppress(Died), watched(_Kill(operations)):
            run(STUDY, self._path, self._told, BUDGETS[self._budget])

    @rule()
    def run_to_the_end(self) -> None:
        """Run the study to the end that it has for now."""
        run(STUDY, self._path, self._told, BUDGETS[self._budget])

    @precondition(lambda self: self._budget + 1 < len(BUDGETS))
    @rule()
    def raise_the_budget(self) -> None:
        """Give the study more trials."""
        self._budget += 1

    @precondition(lambda self: not self.client.mode)
    @rule(mode=st.sampled_from(["ro", "rw"]))
    def hold(self, mode: str) -> None:
        """Let a client hold the database."""
        self.client.hold(self._path, mode)

    @rule()
    def let_go(self) -> None:
        """Let the client close the database, if it holds it."""
        self.client.let_go()

    @rule()
    def flush(self) -> None:
        """Bring what is spooled into the database, if nobody holds it."""
        Store(self._path)

    @precondition(lambda self: not self.client.mode)
    @rule(index=st.integers(1, 2))
    def merge_a_share(self, index: int) -> None:
        """Run a share of the study in another database, and merge that into this one."""
        run(STUDY, self._share, None, BUDGETS[self._budget], Shard(index, 2))
        merge_databases(self._path, [self._share], lambda merged: None)

    @rule()
    def run_another_study(self) -> None:
        """Run another study in the same database."""
        self._has_another = True
        run(ANOTHER, self._path)

    @invariant()
    def nothing_told_is_lost(self) -> None:
        """Hold that a reader finds each trial once that was told of."""
        if self._path.exists():
            found = recorded(self._path, STUDY)
            assert len(found) == len(set(found)), "a trial is there twice"
            assert self._told.places <= set(found), "a trial that was told of is lost"

    def teardown(self) -> None:
        """Run the studies to their ends, and hold that they are as if nothing had happened."""
        self.client.let_go()
        self.counts.cases += 1
        with self._folder:
            run(STUDY, self._path, self._told, BUDGETS[-1])
            assert tables(self._path, STUDY) == undisturbed(STUDY, BUDGETS[-1])
            if self._has_another:
                assert tables(self._path, ANOTHER) == undisturbed(ANOTHER)
            assert not leftovers(self._path)


def run_machine(seed: int, examples: int, steps: int) -> None:
    """Do things to databases, which a seed decides, and hold what holds of every one."""
    Database._hypothesis_internal_use_seed = seed
    try:
        run_state_machine_as_test(
            Database,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        Database.client.end()


def _case(seed: int, counts: Counts) -> None:
    Database.counts = counts
    counts.cases -= 1
    run_machine(seed, EXAMPLES, 12)


HAZARD = Hazard("machine", partial(each_case, _case))

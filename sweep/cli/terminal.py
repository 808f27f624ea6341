"""What a terminal shows: tables and summaries on stdout, progress on stderr."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from time import monotonic
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from core.errors import printable
from core.outcomes import UNITS
from sweep.cli.console import SafeConsole
from sweep.cli.waiting import Advance, telling_of_progress
from sweep.results import Answer, Row
from sweep.study.goals import goals_of
from sweep.study.model import Study

#: Shown until the first trial is finished, unless loops are compiled.
STARTING = "starting"
#: Shown while a dry run measures.
SAMPLING = "replaying a few of its policies, and compiling what no run has needed before"
#: Without a terminal, progress is a line every so many seconds.
LINE_INTERVAL_S = 10.0
#: Characters of a value that a table shows at most: to fold 50 MB of text takes a minute.
MOST_SHOWN = 10_000
#: What a rate would say of less time is chance.
FIRST_RATE_S = 0.5


def note(message: str) -> None:
    """Print a line to stderr; a progress bar there would take codes in it for colours."""
    print(printable(message), file=sys.stderr, flush=True)


class LiveProgress:
    """The progress of a run on stderr: trials finished, the best so far, the rate, the time left.

    On a terminal it is a bar, elsewhere a line every `LINE_INTERVAL_S` seconds.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._goal = goals_of(study)[0]
        self._best: Any = None
        self._done = self._recorded = self._total = self._failed = 0
        self._start: float | None = None
        self._last_line = 0.0
        self._bar: Progress | None = None
        self._compiling = ""
        # What shows how the workload is made that is made now.
        self._making = ExitStack()
        self._made = ""
        self._advance: Advance | None = None

    def compiling(self, ended: int, missing: int) -> None:
        """Show that loops are compiled, which no run has needed before.

        Parameters
        ----------
        ended
            How many of them have ended.
        missing
            How many they are.
        """
        left = f"compiling {ended + 1} of {missing}, once for this version"
        self._compiling = left if ended < missing else ""
        if self._bar is not None and self._start is None:
            self._bar.update(self._bar.task_ids[0], description=self._compiling or STARTING)
        elif (
            self._compiling
            and not SafeConsole(stderr=True).is_terminal
            and monotonic() - self._last_line > LINE_INTERVAL_S
        ):
            self._last_line = monotonic()
            note(f"study {self._study.study}: {self._compiling}")

    def making(self, workload: str, done: int, total: int) -> None:
        """Show how many of its accesses a workload is made from so far, and of how many."""
        if workload != self._made:
            self._making.close()
            self._made = workload
            telling = telling_of_progress(f"making {workload}", "accesses")
            self._advance = self._making.enter_context(telling)
        if self._advance is not None:
            self._advance(done, total)

    def began(self, total: int, recorded: int) -> None:
        """Start to show a run.

        Parameters
        ----------
        total
            The number of trials that the study has.
        recorded
            How many of them an earlier run has recorded.
        """
        self._making.close()
        self._total, self._done, self._recorded = total, recorded, recorded
        if recorded:
            note(f"study {self._study.study}: {recorded} of {total} trials are recorded")
        if recorded >= total:
            return
        console = SafeConsole(stderr=True)
        if not console.is_terminal:
            note(f"study {self._study.study}: {STARTING}")
            return
        self._bar = _bar_on(console)
        self._bar.add_task(self._compiling or STARTING, total=total, completed=recorded, rate="")
        self._bar.start()

    def finished(self, row: Row) -> None:
        """Count a finished trial, given as its row; a baseline only starts the clock."""
        if self._start is None:
            # The clock starts here, because the start of the workers would spoil the time left.
            self._start = self._last_line = monotonic()
        if row["role"] != "trial":
            return
        self._done += 1
        value = (row["objectives"] or [None])[0]
        if row["state"] != "complete":
            self._failed += 1
        elif row["feasible"] and row["attainable"] and value is not None:
            self._best = value if self._best is None else self._goal.best([self._best, value])
        seconds = max(monotonic() - self._start, 1e-3)
        per_second = (self._done - self._recorded) / seconds
        rate = f"{per_second:.0f} trials/s" if seconds > FIRST_RATE_S else ""
        best = f"best {self._goal.name} {shown_value(self._goal.metric, self._best)}"
        failed = f", {self._failed} failed" if self._failed else ""
        failed += f"; {self._compiling}" if self._compiling else ""
        if self._bar is not None:
            task = self._bar.task_ids[0]
            self._bar.update(task, completed=self._done, description=best + failed, rate=rate)
        elif monotonic() - self._last_line > LINE_INTERVAL_S:
            self._last_line = monotonic()
            left_s = (self._total - self._done) / per_second
            note(f"{self._done}/{self._total} trials, {best}{failed}, {rate}, {left_s:.0f} s left")

    @property
    def kept(self) -> str:
        """How many trials are safe, in words."""
        return f"{self._done} of {self._total} trials" if self._total else "finished trials"

    def close(self) -> None:
        """Stop showing."""
        self._making.close()
        if self._bar is not None:
            self._bar.stop()


class ReplayProgress:
    """The progress of replaying recorded trials, on stderr, in the forms of `LiveProgress`."""

    def __init__(self, study: str, total: int) -> None:
        self._study, self._total, self._done = study, total, 0
        self._start = self._last_line = monotonic()
        console = SafeConsole(stderr=True)
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = _bar_on(console)
            self._bar.add_task(STARTING, total=total, rate="")
            self._bar.start()
        else:
            note(f"study {study}: {total} trials and baselines to replay")

    def finished(self, row: Row) -> None:
        """Count a trial or baseline that was replayed."""
        self._done += 1
        now = monotonic()
        per_second = self._done / max(now - self._start, 1e-3)
        rate = f"{per_second:.0f} trials/s"
        if self._bar is not None:
            task = self._bar.task_ids[0]
            said = f"replaying {self._study}"
            self._bar.update(task, completed=self._done, description=said, rate=rate)
        elif now - self._last_line > LINE_INTERVAL_S:
            self._last_line = now
            left_s = (self._total - self._done) / per_second
            note(f"{self._done}/{self._total} replayed, {rate}, {left_s:.0f} s left")

    def close(self) -> None:
        """Stop showing."""
        if self._bar is not None:
            self._bar.stop()


def _bar_on(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
    )


def shown_value(name: str, value: Any) -> str:
    """Return a value of the column `name` as a table shows it, in the unit that is stored."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if UNITS.get(name) == "ns" else f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}" if name in UNITS else str(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return printable(str(value))


def print_table(rows: Sequence[Row], title: str | None = None) -> None:
    """Print rows as a table whose values are not cut, but for those beyond `MOST_SHOWN`.

    Without a terminal it is as wide as it needs; on a terminal too narrow for it, every value gets
    a line of its own.

    Parameters
    ----------
    rows
        All with the same columns.
    title
        Printed above the table.
    """
    if not rows:
        print("(no rows)")
        return
    table = Table(title=Text(title) if title else None, title_justify="left", header_style="bold")
    for name, value in rows[0].items():
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_bounded(name, value)) for name, value in row.items()))
    console = SafeConsole()
    wide = SafeConsole(width=10_000)
    if not console.is_terminal:
        console = wide
    elif Measurement.get(wide, wide.options, table).maximum > console.width:
        _print_by_value(console, rows, title)
        return
    console.print(table)


def _bounded(name: str, value: Any) -> str:
    """Return a value as a table shows it: of one that fills many screens, how it begins."""
    shown = shown_value(name, value)
    rest = len(shown) - MOST_SHOWN
    return f"{shown[:MOST_SHOWN]}… and {rest:,} characters more" if rest > 0 else shown


def _print_by_value(console: Console, rows: Sequence[Row], title: str | None) -> None:
    """Print each value of each row on a line of its own."""
    if title:
        console.print(Text(title, style="italic"))
    width = max(len(name) for name in rows[0])
    for row in rows:
        for name, value in row.items():
            console.print(Text(f"{name:{width}}  {_bounded(name, value)}"))
        console.print()


def check_lines(checks: Sequence[Row]) -> list[str]:
    """Return the lines of a table of what an import and the traced kernel counted.

    Parameters
    ----------
    checks
        The `row` of each `core.import_checks.ImportCheck`.
    """
    if not checks:
        return []
    lines = [f"{'checked against the kernel':26} {'theirs':>13} {'ours':>13} {'difference':>11}"]
    for check in checks:
        ratio = check["difference_ratio"]
        difference = "-" if ratio is None else f"{100 * ratio:+.2f} %"
        counts = f"{check['theirs']:>13,} {check['ours']:>13,}"
        lines.append(f"  {check['name']:24} {counts} {difference:>11}")
    return lines


def print_json(value: Any) -> None:
    """Print a value as JSON; what JSON does not know, such as a time, becomes a string."""
    # All that a terminal would obey is an escape of JSON's, but for one sign of ASCII.
    print(json.dumps(value, indent=2, default=str).replace("\x7f", "\\u007f"))


def print_answer(answer: Answer, as_json: bool, as_csv: bool) -> None:
    """Print the answer to a query as a table, JSON or CSV."""
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    if as_json:
        print_json(rows)
    elif as_csv:
        # Data as they are, unless someone looks at them.
        stream: Any = sys.stdout
        if not stream.isatty():
            stream = getattr(stream, "rich_proxied_file", stream)
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(answer.columns)
        writer.writerows(answer.rows)
    else:
        print_table(rows)

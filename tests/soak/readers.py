"""Readers: strangers' databases and questions, asked by every command that reads one."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from unittest.mock import patch

import small_study
from command_here import say_here
from hazard import Counts, Hazard, each_case
from strangers import ENDLESS, HARMLESS, NO_DATABASES, REFUSED, SECRET, mutated, strangers

#: What a user may ask; {file} is a file of the reader's, {path} the database.
QUERIES = (
    *(
        "FROM trials",
        "FROM study_status",
        "FROM best_trials",
        "FROM kept",
        "SHOW TABLES",
        "FROM v8",
    ),
    *("SUMMARIZE trials", "DESCRIBE runs", "FROM duckdb_settings()", "FROM duckdb_columns()"),
    *("FROM read_text('{file}')", "FROM read_blob('{path}')", "FROM '{file}'", "FROM glob('/*')"),
    *("FROM read_csv('{file}')", "FROM read_duckdb('{path}', table_name = 'trials')"),
    *("COPY trials TO '{path}'", "COPY trials TO '{file}'", "EXPORT DATABASE '{path}.new'"),
    *("ATTACH '{path}' AS again", "ATTACH '{path}.new'", "DETACH stored", "USE stored"),
    *("INSTALL httpfs", "LOAD httpfs", "INSTALL sqlite", "PRAGMA database_list", "CHECKPOINT"),
    *("SET enable_external_access = true", "RESET lock_configuration", "SET threads = 64"),
    *("DROP TABLE trials", "DELETE FROM stored.main.trials", "UPDATE trials SET number = 1"),
    *("CREATE TABLE x AS FROM trials", "DROP VIEW trials", "DELETE FROM spooled.trials"),
    *("SELECT getenv('HOME')", "FROM query('FROM read_text(''{file}'')')", "FROM start_ui()"),
    *("WITH x AS (DELETE FROM trials RETURNING *) FROM x", "SELECT 1; SELECT 2", "", "SELECT"),
    *("SELECT sum(a.range * b.range) FROM range(10000000000) a, range(1000) b", ENDLESS),
    *("SELECT count(x) FROM (SELECT 1 AS x)", "SELECT stored.main.count(1)", "FROM stored.v1"),
)
COMMANDS = (
    *("status", "status small", "best small", "best small --json", "figure small"),
    *(
        "report small -o {out}.html",
        "figure small effects -o {out}.csv",
        "bundle small -o {out}.tar",
    ),
    *(
        "compare 1 2 --study small",
        "compare carveout gcma --study small",
        "merge {out}.duckdb {db}",
    ),
    *("merge {db} {good}", "verify small --sample 2 --folder {folder}", "query", "query", "query"),
)


@cache
def _made() -> tuple[Path, tempfile.TemporaryDirectory[str]]:
    """Return a folder with a good database and a secret, which is kept while this process lives."""
    kept = tempfile.TemporaryDirectory(prefix="sweep-readers-")
    folder = Path(kept.name)
    small_study.write_trace(folder)
    study = small_study.write_study(folder, n_trials=8)
    small_study.run(study, folder / "good.duckdb")
    (folder / "secret.txt").write_text(SECRET)
    return folder, kept


def _case(seed: int, counts: Counts) -> None:
    chance = random.Random(seed)
    folder, _ = _made()
    good, secret = folder / "good.duckdb", folder / "secret.txt"
    with _scratch(folder) as scratch:
        path = scratch / "evil.duckdb"
        kind = chance.choice(["stranger", "stranger", "values", "values", "file"])
        if kind == "file":
            make, _ = NO_DATABASES[chance.choice(sorted(NO_DATABASES))]
            make(path)
        elif kind == "values":
            mutated(good, path, chance)
        else:
            parts = HARMLESS | REFUSED
            strangers(good, path, parts[chance.choice(sorted(parts))], secret)
        words = _words(chance, path, scratch, good, secret)
        before = _content(path)
        temporary = scratch / "temporary"
        temporary.mkdir()
        begin = time.monotonic()
        try:
            with patch.object(tempfile, "tempdir", str(temporary)):
                code, out, err = say_here(*words)
        except Exception as error:
            counts.fault(seed, f"{words}: {type(error).__name__}: {error}", "tracebacks")
            return
        seconds, said = time.monotonic() - begin, out + err
        if seconds > 10:
            counts.fault(seed, f"{words} takes {seconds:.0f} s", "hangs")
        if "Traceback" in said:
            counts.fault(seed, f"{words}: {said[-2000:]}", "tracebacks")
        written = [*scratch.glob("out*")]
        if SECRET in said or any(SECRET.encode() in _content(file) for file in written):
            counts.fault(seed, f"{words} shows a file of the reader's", "reader_failures")
        if _content(path) != before and words[0] != "merge":
            counts.fault(seed, f"{words} changes the database", "reader_failures")
        if code not in (0, 1, 2) or (code == 2 and not said.strip()):
            counts.fault(seed, f"{words}: exit code {code}: {said[-200:]}", "reader_failures")
        left = [
            *scratch.glob("out*.partial"),
            *Path(tempfile.gettempdir()).glob("sweep-snapshot-*"),
        ]
        if left:
            counts.fault(seed, f"{words}: left {left}", "leftovers", len(left))


def _words(chance: random.Random, path: Path, scratch: Path, good: Path, secret: Path) -> list[str]:
    """Return the words of a command."""
    chosen = chance.choice(COMMANDS)
    places = {"out": scratch / "out", "db": path, "good": good, "folder": good.parent}
    words = [word.format(**places) for word in chosen.split()]
    if words[0] == "query":
        words.append(
            chance.choice(QUERIES).replace("{file}", str(secret)).replace("{path}", str(path))
        )
    words += [] if words[0] == "merge" else ["--db", str(path)]
    return words + ([] if words[0] in ("merge", "verify") else ["--timeout", "1"])


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        yield Path(scratch)


def _content(path: Path) -> bytes:
    with suppress(OSError):
        if path.is_file():
            return path.read_bytes()
    return b""


HAZARD = Hazard("readers", partial(each_case, _case))

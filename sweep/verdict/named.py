"""Policies by the names users give them: a trial, a baseline, a preset, a system, a study."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from core.errors import InputError
from core.policy import PRESETS
from core.system import SYSTEMS
from sweep.results import Row, read_rows
from sweep.results.questions import best_first
from sweep.results.studies import read_study, study_names
from sweep.results.wording import baseline_labels, label_of, subspace_labels
from sweep.study.model import Study
from sweep.study.wording import suggest
from sweep.verdict.pairs import PolicyKey

if TYPE_CHECKING:
    from sweep.results.reading import Connection

_NUMBERED = re.compile(r"(?:(trial|baseline) *)?(\d+)")


class Database(NamedTuple):
    """A database that names are looked up in: a connection, and the file that an error names."""

    connection: Connection
    path: Path


class StoredStudy(NamedTuple):
    """A study, and its name in the database, which differs from its own once it was set aside."""

    name: str
    study: Study


class Named(NamedTuple):
    """A policy that was named, and its row of `trials`."""

    stored: StoredStudy
    row: Row

    @property
    def key(self) -> PolicyKey:
        """Where it is in the database."""
        return PolicyKey(self.stored.name, self.row["role"], self.row["number"])

    @property
    def label(self) -> str:
        """What it is called within its study, such as ``trial 12`` or ``gcma``."""
        return label_of(self.stored.study, self.row)

    @property
    def is_attainable(self) -> bool:
        """Whether it can be had: it is no bound, and needs no other hardware."""
        return self.row["attainable"] is not False


class Reference(NamedTuple):
    """What a user names: a study, and a policy in it; `policy` is "" for the best of the study."""

    study: str
    policy: str


def references(
    database: Database, names: Sequence[str], study: str | None = None
) -> list[Reference]:
    """Return what each name refers to: ``POLICY``, ``STUDY`` or ``STUDY:POLICY``.

    Parameters
    ----------
    database
        Where they are looked up.
    names
        What the user typed.
    study
        The study of the policies that are named without one. By default it is the one that another
        of the names has, or the only one in the database.

    Raises
    ------
    InputError
        When there is no such study, or it is not clear which is meant.
    """
    known = study_names(database.connection)
    if study is not None and study not in known:
        what = f"no study {study}{suggest(study, known)}"
        raise InputError(what, file=database.path)
    split = [_split(name, known) for name in names]
    others = [given.study for given in split if given.study]
    home = study or next(iter(others), None) or (known[0] if len(known) == 1 else None)
    for given in split:
        if home is None and not given.study:
            if not known:
                raise InputError("it holds no study", file=database.path)
            what = (
                f"{given.policy}: which study is meant? It holds {', '.join(known)}; name one with "
                f"--study, or as {known[0]}:{given.policy}"
            )
            raise InputError(what, file=database.path)
    return [Reference(given.study or str(home), given.policy) for given in split]


def _split(name: str, known: Sequence[str]) -> Reference:
    """Return the study that a name begins with, or is; "" if there is none."""
    study, _, policy = name.partition(":")
    # A user's own system has a colon in its name too: my_module:NAME.
    return Reference(study, policy.strip()) if study in known else Reference("", name.strip())


def find_policy(database: Database, reference: Reference) -> Named:
    """Return the policy that a reference names.

    A preset or a system stands for the baseline of that name, and else for its best trial.

    Raises
    ------
    InputError
        When the study has no such policy, or it was not replayed to its end.
    """
    study = read_study(database.connection, reference.study, database.path)
    stored = StoredStudy(reference.study, study)
    name = reference.policy
    numbered = _NUMBERED.fullmatch(name)
    labels = baseline_labels(study)
    if not name:
        return _best(database, stored)
    if numbered:
        return _at(database, stored, numbered[1] or "trial", int(numbered[2]))
    fitting = [label for label in labels if label == name]
    fitting = fitting or [label for label in labels if label.startswith((f"{name},", f"{name} ("))]
    if len(fitting) == 1:
        return _at(database, stored, "baseline", labels.index(fitting[0]))
    if len(fitting) > 1:
        what = f"{reference.study} has several baselines {name}: {'; '.join(fitting)}"
        raise InputError(f"{what}; name one in full, or by its number: baseline 0", file=None)
    places = [
        place
        for place, (space, label) in enumerate(
            zip(study.subspaces, subspace_labels(study), strict=True)
        )
        if name in (label, space.policy.preset)
    ]
    if places:
        listed = ", ".join(map(str, places))
        return _best(database, stored, f"coalesce(subspace, 0) IN ({listed})", name)
    tried = _systems(database, reference.study)
    if name in tried:
        quoted = name.replace("'", "''")
        return _best(database, stored, f"system = '{quoted}'", name)
    raise InputError(_unknown(database, stored, name, [*labels, *tried]), file=database.path)


def _unknown(database: Database, stored: StoredStudy, name: str, policies: list[str]) -> str:
    """Return what is told of a name that no policy of a study has."""
    exists = name in PRESETS or name in SYSTEMS.places
    what = f"study {stored.name} has not tried {name}" if exists else f"no policy {name}"
    hint = suggest(name, [*policies, *study_names(database.connection)])
    if not exists and hint.startswith(", did you mean"):
        return what + hint
    # Names have commas: gcma, eviction sieve.
    return f"{what}; it has trials, and {'; '.join(dict.fromkeys(policies))}"


def _systems(database: Database, study: str) -> list[str]:
    sql = "SELECT DISTINCT system FROM trials WHERE study = ? AND role = 'trial' ORDER BY system"
    return [row["system"] for row in read_rows(database.connection, sql, [study])]


def _at(database: Database, stored: StoredStudy, role: str, number: int) -> Named:
    """Return a trial or baseline by its number."""
    sql = "SELECT * FROM trials WHERE study = ? AND role = ? AND number = ?"
    rows = read_rows(database.connection, sql, [stored.name, role, number])
    if not rows:
        sql = "SELECT min(number) AS low, max(number) AS high FROM trials WHERE study=? AND role=?"
        (ends,) = read_rows(database.connection, sql, [stored.name, role])
        has = f"{ends['low']} to {ends['high']}" if ends["high"] is not None else f"no {role} yet"
        what = f"study {stored.name} has no {role} {number}; it has {has}"
        raise InputError(what, file=database.path)
    (row,) = rows
    if row["state"] != "complete":
        reason = f": {row['reason']}" if row["reason"] else ""
        what = f"{role} {number} of study {stored.name} failed{reason}; name another one"
        raise InputError(what, file=database.path)
    return Named(stored, row)


def _best(database: Database, stored: StoredStudy, condition: str = "TRUE", of: str = "") -> Named:
    """Return the trial with the best first objective, of those that keep the constraints.

    One that is not attainable is no answer of a study, but it may be asked for by its system.
    """
    sql = (
        "SELECT * FROM trials WHERE study = ? AND role = 'trial' AND state = 'complete' "
        f"AND feasible AND {condition} ORDER BY attainable IS FALSE, {best_first(stored.study)}, "
        "number LIMIT 1"
    )
    rows = read_rows(database.connection, sql, [stored.name])
    if not rows:
        which = f"trial of {of}" if of else "trial"
        what = f"study {stored.name} has no feasible {which} yet; name a baseline or a trial"
        raise InputError(what, file=database.path)
    return Named(stored, rows[0])

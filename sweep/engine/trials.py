"""Trials: what the sampler asks for, as candidates in every world, on their way to their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.evaluator import Candidate
from sweep.engine.inputs import Inputs
from sweep.engine.rows import policy_key
from sweep.results import Row
from sweep.study.model import Study
from sweep.study.worlds import worlds_of


@dataclass
class Trial:
    """A trial, or a baseline, on its way to its row.

    Parameters
    ----------
    role
        ``trial`` or ``baseline``.
    number
        Its number among those of its role.
    candidates
        What is replayed.  # [world]
    asked
        What the sampler asked for, by name; of a baseline nothing.
    key
        What it has in common with trials that would give the same outcomes.
    attempts, error
        How often it was tried alone and failed, and the text of the last error.
    is_retried
        Whether it is recorded as failed, and tried again.
    failed_before
        How often it failed before that: those attempts count no more.
    losses
        How often it was lost with where it was replayed.
    suspected
        Whether it was there when a process died or hung, in a batch or alone.
    row
        What is known of it once it is settled: ``state``, ``objectives``, ``violations``,
        ``feasible`` and more.
    subspace
        The place of its subspace in the study.
    """

    role: str
    number: int
    candidates: list[Candidate]
    asked: Row
    key: str
    attempts: int = 0
    error: str = ""
    is_retried: bool = False
    failed_before: int = 0
    losses: int = 0
    suspected: bool = False
    row: Row | None = None
    subspace: int = 0

    @property
    def place(self) -> tuple[str, int]:
        """Its role and number."""
        return self.role, self.number


class Keys:
    """What makes the key of a trial: beside its policy the events, costs and code that decide.

    Parameters
    ----------
    study, inputs
        The study and its workloads.
    """

    def __init__(self, study: Study, inputs: Inputs) -> None:
        self.worlds = worlds_of(study)
        #: Of the events of each workload in each world.  # [world][workload]
        self.digests = [inputs.digests_of(dict(world.workload)) for world in self.worlds]
        self._beside = f"{inputs.code_digest} {study.warm_up}"

    def trial(
        self,
        role: str,
        number: int,
        candidates: Sequence[Candidate],
        asked: Row | None = None,
        subspace: int = 0,
    ) -> Trial:
        """Return a trial that has no row yet."""
        key = policy_key(candidates, self.worlds, self.digests, self._beside)
        return Trial(role, number, list(candidates), asked or {}, key, subspace=subspace)

"""The verdict: what a study says, in sentences that stand by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from sweep.study.model import Study
from sweep.verdict.against import against
from sweep.verdict.contenders import baselines, policies
from sweep.verdict.effects import effects
from sweep.verdict.facts import Facts, Finding
from sweep.verdict.no_answer import no_answer
from sweep.verdict.on_costs import on_costs
from sweep.verdict.ranking import best, bounds, in_scenarios, ties
from sweep.verdict.reliance import budget, constants, failures, guesses, spread, version, warnings

if TYPE_CHECKING:
    from sweep.results.reading import Connection

#: What is said of a study, in this order.
PARTS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    *(
        version,
        no_answer,
        best,
        against,
        baselines,
        policies,
        ties,
        in_scenarios,
        effects,
        constants,
    ),
    *(bounds, spread, on_costs, guesses, warnings, failures, budget),
)
#: What is said where no workload can tell policies apart: no page was ever offered to a cache.
WITHOUT_ANSWER = (version, no_answer, guesses, warnings, failures, budget)


def verdict_of(connection: Connection, study: Study, name: str) -> list[Finding]:
    """Return what a study says.

    Parameters
    ----------
    connection
        The database, open for reading.
    study
        The study as it was stored.
    name
        Its name in the database.
    """
    facts = Facts(connection, study, name)
    parts = WITHOUT_ANSWER if facts.offers_nothing else PARTS
    return [finding for part in parts for finding in part(facts)]

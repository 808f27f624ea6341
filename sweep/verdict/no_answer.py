"""What a study cannot answer: workloads in which no page is ever offered to a cache."""

from __future__ import annotations

from collections.abc import Iterator

from sweep.verdict.facts import Facts, Finding, listed


def no_answer(facts: Facts) -> Iterator[Finding]:
    """Yield from which workloads nothing follows, and why."""
    empty = facts.without_offers
    reasons = facts.reasons_against
    numbers = {"workloads": empty}
    why = "".join(f" {reason}." for reason in reasons)
    if facts.offers_nothing:
        text = (
            "No answer: no page was ever offered to a cache in these workloads, so no policy can "
            f"save anything, nor is that a reason to leave tag storage as it is.{why}"
        )
        yield Finding("no_answer", text, numbers)
    elif empty or reasons:
        of = f"no page was ever offered to a cache in {listed(empty)}." if empty else ""
        text = f"No answer from a part of the workloads: {of}{why}".replace(":  ", ": ")
        yield Finding("no_answer", text, numbers)

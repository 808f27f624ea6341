"""What a verdict rests on: workloads, guesses, failures, the budget, and goals without effect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from sweep.results import MODEL_VERSION
from sweep.results.questions import model_version_sql, of_another_version
from sweep.results.wording import label_of, percent, plain_goal
from sweep.verdict.against import WAIT, signed
from sweep.verdict.facts import Facts, Finding, listed
from sweep.verdict.pairs import Paired, over_scenarios, saved_pairs_of

#: Reasons of failed trials that are told.
REASONS = 3


def version(facts: Facts) -> Iterator[Finding]:
    """Yield that another version of the model ran the study, if one did."""
    number = facts.read(model_version_sql())[0]["model_version"]
    if number != MODEL_VERSION:
        yield Finding("version", of_another_version(number), {"model_version": number})


def spread(facts: Facts) -> Iterator[Finding]:
    """Yield how far what the best trial saves differs over workloads, and over seeds."""
    if facts.chosen is None:
        return
    label = label_of(facts.study, facts.chosen)
    pairs = saved_pairs_of(facts.connection, facts.study, facts.key(facts.chosen), WAIT)
    over_all = over_scenarios(pairs)
    names = _shortened([str(pair.workload) for pair in over_all])
    shares = {
        names[str(pair.workload)]: pair.interval.mean / pair.all_missed_ns
        for pair in over_all
        if pair.interval is not None and pair.all_missed_ns
    }
    if len(shares) > 1:
        least, most = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
        lost = [name for name, share in shares.items() if share < 0]
        loses = f"; it loses on {listed(lost)}" if lost else ""
        text = (
            f"By workload {label} spares {signed(shares[least])} ({least}) to "
            f"{signed(shares[most])} ({most}) of the wait{loses}. The answer holds "
            "for the workloads named, which are no sample of others."
        )
        yield Finding("spread", text, {"wait_saved_share": shares})
    elif shares:
        (name,) = shares
        text = f"The answer holds for {name} alone: no other workload was tried."
        yield Finding("spread", text, {"wait_saved_share": shares})
    seeds = [range_ for pair in over_all if (range_ := _over_seeds(pair))]
    if seeds:
        text = f"From seed to seed the wait spared goes {listed(seeds, 4)}."
        yield Finding("seeds", text, {"seeds": facts.study.replicates})


def _over_seeds(pair: Paired) -> str:
    """Return how far what is saved differs between the seeds of a workload."""
    units = pair.differences
    if units.size < 2 or pair.interval is None or not pair.all_missed_ns:
        return ""
    if pair.interval.kind != "replicates":
        return ""
    least, most = (units.min() / pair.all_missed_ns, units.max() / pair.all_missed_ns)
    return f"from {signed(least)} to {signed(most)} on {_short(pair.workload)}"


def _shortened(workloads: list[str]) -> dict[str, str]:
    """Return the names of workloads without folder and ending, where these differ."""
    short = {workload: _short(workload) for workload in workloads}
    unique = len(set(short.values())) == len(short)
    return short if unique else {workload: workload for workload in workloads}


def _short(workload: str | None) -> str:
    return PurePath(workload or "").name.removesuffix(".parquet")


def constants(facts: Facts) -> Iterator[Finding]:
    """Yield which goals were the same in all trials, so that they told no policies apart."""
    rows = facts.ranked
    if len(rows) < 2:
        return
    for place, goal in enumerate(facts.goals):
        values = {row["objectives"][place] for row in rows}
        if len(values) == 1:
            (value,) = values
            text = (
                f"{plain_goal(goal)} was {facts.valued(place, value)} in all {len(rows):,} "
                "trials that may be the answer: it told no policies apart."
            )
            yield Finding("constant", text, {"goal": goal.name, "value": value})


def failures(facts: Facts) -> Iterator[Finding]:
    """Yield how many trials failed, and why."""
    if not facts.counts["failed"]:
        return
    rows = facts.read(
        "SELECT reason, count(*) AS trials FROM trials WHERE study = $1 AND role = 'trial' "
        "AND state = 'fail' GROUP BY reason ORDER BY trials DESC, reason"
    )
    parts = [f"{row['trials']:,}: {row['reason']}" for row in rows[:REASONS]]
    more = f"; and {len(rows) - REASONS} more reasons" if len(rows) > REASONS else ""
    failed = facts.counts["failed"]
    text = f"{failed:,} {'trial' if failed == 1 else 'trials'} failed ({'; '.join(parts)}{more})."
    yield Finding("failed", text, {"failed": failed, "reasons": rows})


def budget(facts: Facts) -> Iterator[Finding]:
    """Yield how many policies were tried, when the best was found, and what is still to run."""
    counts = facts.counts
    done = counts["complete"] + counts["failed"]
    if counts["n_trials"] and done < counts["n_trials"]:
        ((stopped,),) = (
            row.values()
            for row in facts.read("SELECT any_value(stopped) FROM studies WHERE study = $1")
        )
        begin = f"Stopped, as the study says ({stopped})" if stopped else "Unfinished"
        text = f"{begin}: {done:,} of {counts['n_trials']:,} trials are done."
        yield Finding("unfinished", text, {"done": done, "n_trials": counts["n_trials"]})
    if counts["complete"] < 2:
        return
    last = _last_improvement(facts)
    found = "" if last is None else f"; the last improvement at trial {last}"
    text = (
        f"{counts['distinct_policies']:,} distinct policies in {counts['complete']:,} "
        f"trials{found}."
    )
    numbers = {"distinct_policies": counts["distinct_policies"], "last_improvement": last}
    yield Finding("budget", text, numbers)


def _last_improvement(facts: Facts) -> int | None:
    """Return the trial that was the last to be better than all before it, by a goal's value.

    Of several goals, the last that entered the Pareto set with values of its own.
    """
    if len(facts.goals) > 1:
        rows = facts.read(
            "SELECT max(first) AS last FROM (SELECT min(number) AS first FROM best_trials "
            "WHERE study = $1 GROUP BY objectives)"
        )
        return rows[0]["last"]  # type: ignore[no-any-return]
    return None if facts.chosen is None else min(
        row["number"] for row in facts.ranked
        if row["objectives"] == facts.ranked[0]["objectives"]
    )  # fmt: skip


def guesses(facts: Facts) -> Iterator[Finding]:
    """Yield what of the traces was guessed and not recorded."""
    rows = facts.read(
        "SELECT DISTINCT workload, requests, workingset, mapped, workingset_inferred_ratio "
        "FROM runs WHERE study = $1 ORDER BY workload"
    )
    said: dict[str, list[str]] = {}
    for row in rows:
        share = row["workingset_inferred_ratio"]
        if row["requests"] == "guessed":
            said.setdefault("read requests are guessed", []).append(_short(row["workload"]))
        if row["workingset"] == "inferred":
            part = "" if share is None else f" for {percent(share)} of folios"
            said.setdefault(f"the workingset bit is inferred{part}", []).append(
                _short(row["workload"])
            )
        if row["mapped"] == "unknown" and _offers_mapped(facts):
            said.setdefault("what is mapped to disk is unknown", []).append(_short(row["workload"]))
    if said:
        parts = [
            f"{what} in {listed(list(dict.fromkeys(names)), 4)}" for what, names in said.items()
        ]
        text = f"It rests on guesses: {'; '.join(parts)}."
        yield Finding("guesses", text, dict(said))


def warnings(facts: Facts) -> Iterator[Finding]:
    """Yield what was told of the study's traces when it was run."""
    for warning in facts.warnings:
        if warning in facts.reasons_against:  # said first
            continue
        yield Finding("warning", f"Mind: {warning}", {})


def _offers_mapped(facts: Facts) -> bool:
    sql = "SELECT count(*) AS policies FROM trials WHERE study = $1 AND offer = 'mapped'"
    return bool(facts.read(sql)[0]["policies"])

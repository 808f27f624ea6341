"""The glossary: what every name of a study means, from where the name is declared.

`sweep explain`, the hover texts of an editor and of a report, and the comments on the columns of
the database all take their words from here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from core.cost_presets import COST_PRESETS, SOURCED_PRESETS
from core.costs import DECLARED_COSTS, Costs
from core.declaration import BELOW_ONE, Declaration
from core.errors import InputError
from core.eviction import EVICTIONS
from core.frontend.run import SETTINGS, FrontEnd
from core.outcome_declarations import DECLARED_OUTCOMES
from core.policy import DECLARED, POLICY_FIELDS, SOURCED_POLICIES, Policy, reads
from core.system import SYSTEMS
from core.system.contract import costs_paid
from core.workload.synthetic import GENERATORS, PARAMETERS, parameters_of
from sweep.study.model import SECTIONS
from sweep.study.samplers import ABOUT_AUTO, AUTO, SAMPLERS
from sweep.study.wording import nearest

#: What is declared of all that a search or scenarios vary, but for sizes of the machine.
_FIELDS: dict[str, Declaration] = {**DECLARED, **DECLARED_COSTS, **PARAMETERS, **SETTINGS}
_BETTER = {"maximize": "more is better", "minimize": "less is better", "": "neither more nor less"}


class Entry(NamedTuple):
    """What is told of a name that means one thing; a name of several kinds has several entries.

    Parameters
    ----------
    name
        The name, as a study or a query has it.
    kind
        What it is a name of, such as metric or policy field.
    meaning
        One line: what it is.
    facts
        What else there is to know, by what it is: numbers, words, and what words mean.
    """

    name: str
    kind: str
    meaning: str
    facts: dict[str, Any]

    def as_text(self) -> str:
        """Return the entry as lines that a person reads."""
        width = max(map(len, self.facts), default=0)
        lines = [f"{self.name} ({self.kind}): {self.meaning}"]
        for label, fact in self.facts.items():
            first, *more = _fact_lines(fact)
            lines.append(f"  {label:{width}}  {first}")
            lines += [f"  {'':{width}}  {line}" for line in more]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return the entry as an object of JSON."""
        return {"name": self.name, "kind": self.kind, "meaning": self.meaning, **self.facts}


def _fact_lines(fact: Any) -> list[str]:
    if isinstance(fact, dict):
        return [f"{name}: {_fact_text(value)}" for name, value in fact.items()]
    return [_fact_text(fact)]


def _fact_text(fact: Any) -> str:
    if isinstance(fact, dict):
        return ", ".join(f"{name} {_fact_text(value)}" for name, value in fact.items())
    if isinstance(fact, tuple):
        return range_text(*fact)
    if isinstance(fact, list):
        return ", ".join(map(str, fact))
    return str(fact) if isinstance(fact, str) else number_text(fact)


def number_text(number: float) -> str:
    """Return a number as a person writes it: 0.03125, 10,000, 10^10, 2^31 - 1."""
    if isinstance(number, float):
        return f"{number:g}"
    if number < 1_000_000:
        return f"{number:,}"
    zeros, bits = len(str(number)) - 1, number.bit_length()
    powers = {
        10**zeros: f"10^{zeros}",
        2 ** (bits - 1): f"2^{bits - 1}",
        2**bits - 1: f"2^{bits} - 1",
    }
    return powers.get(number, f"{number:,}")


def range_text(least: float, most: float) -> str:
    """Return a range in words: ``0 to below 1``."""
    end = "below 1" if most == BELOW_ONE else number_text(most)
    return f"{number_text(least)} to {end}"


def with_unit(meaning: str, unit: str) -> str:
    """Return a meaning with its unit behind it, if it has one."""
    return f"{meaning} ({unit})" if unit else meaning


def short_meaning(name: str) -> str | None:
    """Return the meaning of an outcome, or of what a study can vary; None of another name.

    It is the line that a comment or a hover text has room for.
    """
    declared = DECLARED_OUTCOMES.get(name) or _FIELDS.get(name)
    if declared is not None:
        return with_unit(declared.meaning, declared.unit)
    keys = {**SECTIONS[""].model_fields, **SECTIONS["machine"].model_fields}
    return keys[name].description if name in keys else None


def vocabularies() -> list[dict[str, str]]:
    """Return the sets of words that one place of a study may have, each word with its meaning."""
    fields = [*DECLARED.values(), *SETTINGS.values()]
    return [
        {name: short_meaning(name) or "" for name in DECLARED_OUTCOMES},
        {name: preset.meaning for name, preset in SOURCED_POLICIES.items()},
        {name: preset.machine for name, preset in SOURCED_PRESETS.items()},
        {name: generator.meaning for name, generator in GENERATORS.items()},
        {AUTO: ABOUT_AUTO} | {name: sampler.summary for name, sampler in SAMPLERS.items()},
        *(declared.word_meanings for declared in fields if declared.words is not None),
    ]


@cache
def glossary() -> tuple[Entry, ...]:
    """Return an entry for every name of a study, kind by kind."""
    kinds = (
        *(_metrics, _policy_fields, _systems, _evictions, _words, _policy_presets),
        *(_costs, _cost_presets, _generators, _parameters, _settings, _samplers, _keys),
    )
    return tuple(entry for entries_of in kinds for entry in entries_of())


def explained(name: str, entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries of a name.

    Raises
    ------
    InputError
        When there is none, with the name that was meant.
    """
    found = [entry for entry in entries if entry.name == name]
    if not found:
        meant = nearest(name, (entry.name for entry in entries))
        hint = f", did you mean {meant}?" if meant else "; sweep explain alone lists all names"
        raise InputError(f"unknown name {name}{hint}")
    return found


def names_by_kind(entries: Iterable[Entry]) -> dict[str, list[str]]:
    """Return the names of each kind."""
    names: dict[str, list[str]] = {}
    for entry in entries:
        names.setdefault(entry.kind, []).append(entry.name)
    return names


def _told(**facts: Any) -> dict[str, Any]:
    """Return the facts that there is something to tell of; ``read_by`` is told as ``read by``."""
    return {
        name.replace("_", " "): fact
        for name, fact in facts.items()
        if fact is not None and fact not in ("", (), [], {})
    }


def _metrics() -> Iterator[Entry]:
    for name, declared in DECLARED_OUTCOMES.items():
        facts = _told(
            unit=declared.unit,
            formula=declared.formula,
            better=_BETTER[declared.better],
            several_workloads=declared.combined.meaning,
            source="docs/model.md, section 5",
        )
        yield Entry(name, "metric", declared.meaning, facts)


def _domain(declared: Declaration, default: Any = None) -> dict[str, Any]:
    """Return what is told of the values of a field."""
    return _told(
        unit=declared.unit,
        words=declared.word_meanings,
        range=declared.bounds,
        default=getattr(default, "value", default),
        varied="over scenarios" if declared.is_world else "by the search",
    )


def _policy_fields() -> Iterator[Entry]:
    for name, declared in DECLARED.items():
        readers = [system for system in SYSTEMS if name in reads(system)]
        needs = {
            f"{need.value or 'any value'} needs {need.other}": f"else {need.why}"
            for need in declared.needs
        }
        facts = _domain(declared, getattr(Policy, name))
        facts |= _told(
            read_by=readers or "every study", needs=needs, source="docs/model.md, sections 3 and 4"
        )
        yield Entry(name, "policy field", declared.meaning, facts)


def _systems() -> Iterator[Entry]:
    paid = {name: costs_paid(SYSTEMS[name]) for name in SYSTEMS}
    for name in SYSTEMS:
        system = SYSTEMS[name]
        facts = _told(
            reads=[field for field in POLICY_FIELDS if field in reads(name)],
            pays={outcome: list(costs) or "nothing" for outcome, costs in paid[name].items()},
            needs_accesses=system.needs_accesses,
            cannot_be=[each.why for each in system.contradictions],
            never_the_answer=system.beyond,
        )
        yield Entry(name, "system", system.meaning, facts)


def _evictions() -> Iterator[Entry]:
    readers = [system for system in SYSTEMS if "eviction" in reads(system)]
    for name in EVICTIONS:
        eviction = EVICTIONS[name]
        draws = "it draws: seed changes what it does" if eviction.draws else ""
        yield Entry(name, "eviction", eviction.meaning, _told(read_by=readers, seed=draws))


def _words() -> Iterator[Entry]:
    for field, declared in {**DECLARED, **SETTINGS}.items():
        if declared.words in (SYSTEMS, EVICTIONS):
            continue
        for word, meaning in declared.word_meanings.items():
            needs = [
                f"{need.other}: else {need.why}" for need in declared.needs if need.value == word
            ]
            yield Entry(
                word, f"word of {field}", meaning, _told(field=declared.meaning, needs=needs)
            )


def _policy_presets() -> Iterator[Entry]:
    for name, preset in SOURCED_POLICIES.items():
        changed = {
            field: getattr(value, "value", value)
            for field, value in vars(preset.policy).items()
            if value != getattr(Policy, field)
        }
        facts = _told(source=preset.source, fields=changed, other_fields="at their defaults")
        yield Entry(name, "policy preset", preset.meaning, facts)


def _costs() -> Iterator[Entry]:
    paid = {system: costs_paid(SYSTEMS[system]) for system in SYSTEMS}
    for name, declared in DECLARED_COSTS.items():
        payers = [system for system in paid if name in sum(paid[system].values(), ())]
        counts_in = [
            outcome
            for outcome, of in DECLARED_OUTCOMES.items()
            if re.search(rf"\b{name}\b", of.formula)
            or any(name in costs.get(outcome, ()) for costs in paid.values())
        ]
        presets = {
            preset: known.own[name]._asdict()
            for preset, known in SOURCED_PRESETS.items()
            if name in known.own
        }
        facts = _told(
            unit=declared.unit,
            default=getattr(Costs, name),
            plausible=declared.plausible,
            source=declared.source,
            varied="over scenarios",
            paid_by=payers or "every read",
            counts_in=counts_in,
            presets=presets,
        )
        yield Entry(name, "cost", declared.meaning, facts)


def _cost_presets() -> Iterator[Entry]:
    for name, preset in SOURCED_PRESETS.items():
        facts = _told(sources_looked_up=preset.date, costs=vars(COST_PRESETS[name]))
        yield Entry(name, "cost preset", preset.machine, facts)


def _generators() -> Iterator[Entry]:
    for name, generator in GENERATORS.items():
        facts = _told(parameters=parameters_of(name))
        yield Entry(name, "synthetic workload", generator.meaning, facts)


def _parameters() -> Iterator[Entry]:
    for name, declared in PARAMETERS.items():
        defaults = {
            generator: parameters_of(generator)[name]
            for generator in GENERATORS
            if name in parameters_of(generator)
        }
        facts = _domain(declared) | _told(defaults=defaults)
        yield Entry(name, "workload parameter", declared.meaning, facts)


def _settings() -> Iterator[Entry]:
    for name, declared in SETTINGS.items():
        facts = _domain(declared, getattr(FrontEnd, name))
        facts |= _told(read_by="the page cache under accesses and synthetic workloads")
        yield Entry(name, "kernel setting", declared.meaning, facts)


def _samplers() -> Iterator[Entry]:
    yield Entry(AUTO, "sampler", ABOUT_AUTO, {})
    for name, sampler in SAMPLERS.items():
        lacks = {"several objectives": sampler.takes_several_objectives}
        lacks |= {"constraints": sampler.takes_constraints}
        facts = _told(
            takes_no=[what for what, taken in lacks.items() if not taken],
            needs=f"{sampler.package}: pip install 'tag-storage-sweep[{sampler.extra}]'"
            if sampler.package
            else "",
            generation=f"at least {sampler.min_generation}",
        )
        yield Entry(name, "sampler", sampler.summary, facts)


def _keys() -> Iterator[Entry]:
    """Yield the keys of a study that are no field, cost, parameter or setting."""
    for section, model in SECTIONS.items():
        kind = f"key of {section or 'a study'}"
        if "type" in model.model_fields:
            kind = f"key of a parameter of type {section}"
            meaning = (model.__doc__ or "").splitlines()[0].rstrip(".")
            yield Entry(section, "type of a parameter", meaning[:1].lower() + meaning[1:], {})
        for name, key in model.model_fields.items():
            if name in _FIELDS and key.description == _FIELDS[name].meaning:
                continue
            default = key.default if isinstance(key.default, int | float | str) else None
            facts = _told(default=default, required="yes" if key.is_required() else "")
            yield Entry(name, kind, key.description or "", facts)

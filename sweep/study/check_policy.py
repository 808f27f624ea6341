"""What is wrong with the policies of a study: fields that act on nothing, and contradictions."""

from __future__ import annotations

from collections.abc import Iterator

from core.eviction import EVICTIONS
from core.policy import DECLARED, POLICY_FIELDS, Policy, reads
from core.policy_words import Anonymous
from core.system import SYSTEMS
from core.system.contract import System
from sweep.study.space import Space, baseline_spaces_of, spaces_of, systems_of
from sweep.study.values import is_size
from sweep.study.workloads import kind_of, own_parameters, title_of
from sweep.study.worlds import POLICY_WORLD, varied_in
from sweep.study.yaml_source import Mistake, Section


def check_policies(data: Section) -> Iterator[Mistake]:
    """Yield policy fields that act on nothing, and systems that a workload cannot have."""
    spaces = [*spaces_of(data), *baseline_spaces_of(data)]
    # What one policy says of the world is so for all of them.
    world = {name for space in spaces for name in POLICY_WORLD if _is_given(space, name)}
    for space in spaces:
        yield from _check_space(data, space, world | set(varied_in(data)))


def _check_space(data: Section, space: Space, world: set[str]) -> Iterator[Mistake]:
    systems = systems_of(space)
    if not systems:
        return
    read = {"system", *(name for system in systems for name in reads(system))}
    fields = [((*space.fixed_place, name), name) for name in space.fixed]
    fields += [((*space.searched_place, name), name) for name in space.searched]
    for place, name in fields:
        if name in POLICY_FIELDS and name not in read:
            yield Mistake(place, _unread(name, systems), about_key=True)
    yield from _check_seed(space, systems, world)
    yield from _check_needs(space, read, world)
    yield from _check_contradictions(space, systems)
    for system in systems:
        yield from _check_accesses(data, system)
    if "anonymous" in read:
        yield from _check_swap(data, space)


def _traits_of(systems: list[str]) -> list[System]:
    """Return what the systems are; of a user's own that is not imported it is not known."""
    traits = [SYSTEMS.known(system) for system in systems]
    return [known for known in traits if known is not None]


def _unread(name: str, systems: list[str]) -> str:
    if not any(reads(system) for system in systems):
        return f"a {systems[0]} caches nothing: {name} would change nothing"
    readers = [system for system in SYSTEMS if name in reads(system)]
    under = " and ".join(systems)
    return f"{name} is read by {', '.join(readers)} alone: it would change nothing under {under}"


def _check_seed(space: Space, systems: list[str], world: set[str]) -> Iterator[Mistake]:
    """Check that something is drawn where a seed is given."""
    readers = [traits for traits in _traits_of(systems) if traits.draws is not None]
    if len(readers) < len(systems) or not any("seed" in reads(system) for system in systems):
        return  # One of them always draws, or is not known; or none reads a seed at all.
    drawing = [name for name in EVICTIONS if EVICTIONS[name].draws]
    evicts = [system for system in systems if "eviction" in reads(system)]
    given = space.choices_of("eviction")
    if evicts and (space.has("eviction") and not given):
        return  # What is wrong with the evictions is told elsewhere.
    if evicts and any(word in drawing or word not in list(EVICTIONS) for word in given):
        return
    fields = list(dict.fromkeys(field for traits in readers for field in traits.draws or ()))
    if any(field in world or _is_given(space, field) for field in fields):
        return
    needed = [f"eviction: {name}" for name in drawing if evicts] + fields
    alone = " alone" if len(needed) == 1 else ""
    message = f"seed is read by {' and by '.join(needed)}{alone}"
    if "seed" in space.fixed:
        yield Mistake((*space.fixed_place, "seed"), message, about_key=True)


def _is_given(space: Space, field: str) -> bool:
    """Return whether a field is searched, or fixed at another value than its default."""
    default = getattr(Policy, field)
    return field in space.searched or space.fixed.get(field, default) != default


def _check_needs(space: Space, read: set[str], world: set[str]) -> Iterator[Mistake]:
    """Check that a field stands beside the other one without which it changes nothing."""
    for field in (name for name in POLICY_FIELDS if name in read):
        for other, why, value in DECLARED[field].needs:
            if other in world or _is_given(space, other):
                continue
            if space.has(field) if value is None else value in space.choices_of(field):
                what = f"{field}: {value}" if value else field
                yield Mistake(space.place_of(field), f"{what} needs {other}: {why}")


def _check_contradictions(space: Space, systems: list[str]) -> Iterator[Mistake]:
    """Check that no two words are given that a system cannot both mean."""
    for traits in _traits_of(systems):
        for field, word, other, other_word, why in traits.contradictions:
            if word in space.choices_of(field) and other_word in space.choices_of(other):
                yield Mistake(space.place_of(field), why)


def _check_swap(data: Section, space: Space) -> Iterator[Mistake]:
    """Check that pages are swapped to a device where `anonymous` says what becomes of them."""
    words = space.choices_of("anonymous")
    written = [word for word in words if word != Anonymous.NONE.value]
    section = data.get("workload")
    workloads = section if isinstance(section, list) else []
    workloads = [workload for workload in workloads if isinstance(workload, dict)]
    kinds = {kind_of(workload) for workload in workloads}
    if not written or not workloads or "trace" in kinds:
        return  # Which pages a trace has is known when it is read.
    place, what = space.place_of("anonymous"), f"anonymous: {written[0]}"
    varied = varied_in(data)
    machine = data.get("machine")
    machine = machine if isinstance(machine, dict) else {}
    if "accesses" not in kinds and not any(
        "anonymous_ratio" in own_parameters(workload) for workload in workloads
    ):
        names = " and ".join(dict.fromkeys(title_of(workload) for workload in workloads))
        yield Mistake(place, f"{what} would change nothing: {names} has no anonymous pages")
    elif "swap_size" not in varied and not is_size(machine.get("swap_size")):
        yield Mistake(place, f"{what} needs machine.swap_size: nothing is swapped to a device")
    elif "swappiness" not in varied and machine.get("swappiness") == 0:
        yield Mistake(place, f"{what} would change nothing: with swappiness 0 nothing is swapped")


def _check_accesses(data: Section, system: str) -> Iterator[Mistake]:
    """Check that no workload is mm events where the system cannot replay them."""
    workloads = data.get("workload")
    needs = [traits.needs_accesses for traits in _traits_of([system]) if traits.needs_accesses]
    for i, workload in enumerate(workloads if isinstance(workloads, list) else ()):
        if needs and isinstance(workload, dict) and kind_of(workload) == "trace":
            message = (
                f"{system} {needs[0]}: it needs accesses or a synthetic workload "
                "(sweep trace import --accesses)"
            )
            yield Mistake(("workload", i, "trace"), message)
            return

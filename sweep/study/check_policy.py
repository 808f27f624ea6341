"""What is wrong with the policies of a study: fields that act on nothing, and contradictions."""

from __future__ import annotations

from collections.abc import Iterator

from core.policy import POLICY_FIELDS, PRESETS, READS, Anonymous, System
from sweep.study.space import Space, baseline_spaces_of, spaces_of
from sweep.study.values import is_size
from sweep.study.workloads import kind_of, own_parameters, title_of
from sweep.study.yaml_source import Mistake, Section

#: Fields that act only beside another one: (field, the value that does, or None for any of them,
#: the other field, and why).
_NEEDS = (
    ("headroom_mode", "dynamic", "headroom", "there is no headroom to keep empty"),
    ("tagged_placement", "headroom_first", "headroom", "there is no headroom to fill first"),
    ("guests", None, "guest_ratio", "there are no guests"),
    ("tmem_period_ns", None, "tmem_swing", "the region keeps its size"),
    ("pin_duration_ns", None, "pinned_ratio", "nothing is pinned"),
)


def check_policies(data: Section) -> Iterator[Mistake]:
    """Yield policy fields that act on nothing, and systems that a workload cannot have."""
    for space in (*spaces_of(data), *baseline_spaces_of(data)):
        yield from _check_space(data, space)


def _check_space(data: Section, space: Space) -> Iterator[Mistake]:
    systems = _systems_of(space)
    if not systems:
        return
    read = {"system", *(name for system in systems for name in READS[system])}
    fields = [((*space.fixed_place, name), name) for name in space.fixed]
    fields += [((*space.searched_place, name), name) for name in space.searched]
    for place, name in fields:
        if name in POLICY_FIELDS and name not in read:
            yield Mistake(place, _unread(name, systems), about_key=True)
    yield from _check_seed(space, systems)
    yield from _check_needs(space, read)
    if System.MIGRATE_CMA in systems:
        yield from _check_accesses(data)
    if System.ZSWAP in systems:
        yield from _check_swap(data, space)


def _systems_of(space: Space) -> list[System]:
    """Return the systems that a space may have; none, if one of them is no system."""
    system, preset = space.fixed.get("system"), space.fixed.get("preset")
    searched = space.searched.get("system")
    if isinstance(searched, dict):
        words = searched.get("choices")
        words = words if isinstance(words, list) else []
    elif system is not None:
        words = [system]
    elif preset is not None:
        known = isinstance(preset, str) and preset in PRESETS
        words = [PRESETS[preset].system] if known else []
    else:
        words = [System.CLEANCACHE]
    systems = [System(word) for word in words if word in list(System)]
    return systems if len(systems) == len(words) else []


def _unread(name: str, systems: list[System]) -> str:
    if systems == [System.CARVEOUT]:
        return f"a carveout caches nothing: {name} would change nothing"
    readers = [system.value for system, fields in READS.items() if name in fields]
    under = " and ".join(system.value for system in systems)
    return f"{name} is read by {', '.join(readers)} alone: it would change nothing under {under}"


def _check_seed(space: Space, systems: list[System]) -> Iterator[Mistake]:
    """Check that something is drawn where a seed is given."""
    searched = space.searched.get("eviction", {})
    choices = searched.get("choices") if isinstance(searched, dict) else None
    random = space.fixed.get("eviction") == "random" or not isinstance(choices, list | None)
    random = random or (isinstance(choices, list) and "random" in choices)
    drawn = {
        System.ZSWAP: True,
        System.TMEM: random or _is_given(space, "discard_ratio"),
        System.MIGRATE_CMA: _is_given(space, "pinned_ratio"),
    }
    if any(drawn.get(system, random) for system in systems):
        return
    message = "seed is read by eviction: random alone"
    if systems == [System.MIGRATE_CMA]:
        message = "seed draws what is pinned: it needs pinned_ratio"
    if systems == [System.TMEM]:
        message = "seed is read by eviction: random and by discard_ratio"
    for place, section in (
        (space.fixed_place, space.fixed),
        (space.searched_place, space.searched),
    ):
        if "seed" in section and systems != [System.CARVEOUT] and systems != [System.IDEAL]:
            yield Mistake((*place, "seed"), message, about_key=True)


def _is_given(space: Space, field: str) -> bool:
    """Return whether a field is searched, or fixed at another number than 0."""
    return field in space.searched or bool(space.fixed.get(field))


def _check_needs(space: Space, read: set[str]) -> Iterator[Mistake]:
    """Check that a field has the other one without which it does not act."""
    for field, value, other, why in _NEEDS:
        if field not in read or _is_given(space, other):
            continue
        if space.has(field) if value is None else value in space.choices_of(field):
            what = f"{field}: {value}" if value else field
            yield Mistake(space.place_of(field), f"{what} needs {other}: {why}")
    dynamic = "dynamic" in space.choices_of("headroom_mode")
    if dynamic and "headroom_first" in space.choices_of("tagged_placement"):
        message = "headroom_first fills the first blocks: a dynamic headroom has none of its own"
        yield Mistake(space.place_of("tagged_placement"), message)


def _check_swap(data: Section, space: Space) -> Iterator[Mistake]:
    """Check that pages go to a swap device where they are to be compressed before it."""
    words = space.choices_of("anonymous")
    written = [word for word in words if word != Anonymous.NONE.value]
    section = data.get("workload")
    workloads = section if isinstance(section, list) else []
    workloads = [workload for workload in workloads if isinstance(workload, dict)]
    kinds = {kind_of(workload) for workload in workloads}
    if not written or not workloads or "trace" in kinds:
        return  # Which pages a trace has is known when it is read.
    place, what = space.place_of("anonymous"), f"anonymous: {written[0]}"
    machine = data.get("machine")
    machine = machine if isinstance(machine, dict) else {}
    if "accesses" not in kinds and not any(
        "anonymous_ratio" in own_parameters(workload) for workload in workloads
    ):
        names = " and ".join(dict.fromkeys(title_of(workload) for workload in workloads))
        yield Mistake(place, f"{what} would change nothing: {names} has no anonymous pages")
    elif "swap_size" not in space.searched and not is_size(machine.get("swap_size")):
        yield Mistake(place, f"{what} needs machine.swap_size: nothing is swapped to a device")
    elif "swappiness" not in space.searched and machine.get("swappiness") == 0:
        yield Mistake(place, f"{what} would change nothing: with swappiness 0 nothing is swapped")


def _check_accesses(data: Section) -> Iterator[Mistake]:
    """Check that no workload is mm events where the system gives programs more memory."""
    workloads = data.get("workload")
    for i, workload in enumerate(workloads if isinstance(workloads, list) else ()):
        if isinstance(workload, dict) and kind_of(workload) == "trace":
            message = (
                "migrate_cma gives programs more memory, and mm events do not say what they would "
                "do with it: it needs accesses or a synthetic workload (sweep trace import "
                "--accesses)"
            )
            yield Mistake(("workload", i, "trace"), message)
            return

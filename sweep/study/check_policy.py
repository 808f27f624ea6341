"""What is wrong with the policies of a study: fields that act on nothing, and contradictions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from core.policy import POLICY_FIELDS, PRESETS, READS, Anonymous, System
from sweep.study.values import is_size
from sweep.study.workloads import kind_of, own_parameters, title_of
from sweep.study.yaml_source import Place, Source

Mapping = dict[str, Any]

#: What a field needs of another to act: (field, value or None for any, the other, why).
_NEEDS = (
    ("headroom_mode", "dynamic", "headroom", "there is no headroom to keep empty"),
    ("tagged_placement", "headroom_first", "headroom", "there is no headroom to fill first"),
    ("guests", None, "guest_ratio", "there are no guests"),
    ("tmem_period_ns", None, "tmem_swing", "the region keeps its size"),
    ("pin_duration_ns", None, "pinned_ratio", "nothing is pinned"),
)


class Space(NamedTuple):
    """A mapping of policy fields in the study, and what is searched beside it."""

    place: Place  # of the fields
    fixed: Mapping
    searched_place: Place
    searched: Mapping


def spaces_of(data: Mapping) -> Iterator[Space]:
    """Yield the policies of a study's raw data, as far as they are mappings."""
    policies = data.get("policies")
    if isinstance(policies, list):
        for i, one in enumerate(policies):
            if isinstance(one, dict):
                place: Place = ("policies", i)
                yield _space(one, (*place, "policy"), (*place, "parameters"))
        return
    yield _space(data, ("policy",), ("parameters",))


def _space(data: Mapping, place: Place, searched_place: Place) -> Space:
    fixed, searched = data.get("policy"), data.get("parameters")
    return Space(
        place,
        fixed if isinstance(fixed, dict) else {},
        searched_place,
        searched if isinstance(searched, dict) else {},
    )


def check_policies(source: Source, data: Mapping) -> None:
    """Note policy fields that act on nothing, and systems that a workload cannot have."""
    for space in spaces_of(data):
        _check_space(source, data, space)
    baselines = data.get("baselines")
    for i, one in enumerate(baselines if isinstance(baselines, list) else ()):
        if isinstance(one, dict):
            _check_space(source, data, Space(("baselines", i), one, (), {}))


def _check_space(source: Source, data: Mapping, space: Space) -> None:
    systems = _systems(space)
    if not systems:
        return
    read = {"system", *(name for system in systems for name in READS[system])}
    given = [(space.place, name) for name in space.fixed]
    given += [(space.searched_place, name) for name in space.searched]
    for place, name in given:
        if name in POLICY_FIELDS and name not in read:
            source.complain((*place, name), _unread(name, systems), key=True)
    _check_seed(source, space, systems)
    _check_needs(source, space, read)
    if System.MIGRATE_CMA in systems:
        _check_accesses(source, data, space)
    if System.ZSWAP in systems:
        _check_swap(source, data, space)


def _systems(space: Space) -> list[System]:
    """Return the systems of a space; none, if what it says of them is wrong."""
    said = space.fixed.get("system")
    preset = space.fixed.get("preset")
    searched = space.searched.get("system")
    if isinstance(searched, dict):
        words = searched.get("choices")
        words = words if isinstance(words, list) else []
    elif said is not None:
        words = [said]
    elif preset is not None:
        known = isinstance(preset, str) and preset in PRESETS
        words = [PRESETS[preset].system] if known else []
    else:
        words = [System.CLEANCACHE]
    good = [System(word) for word in words if word in list(System)]
    return good if len(good) == len(words) else []


def _unread(name: str, systems: list[System]) -> str:
    if systems == [System.CARVEOUT]:
        return f"a carveout caches nothing: {name} would change nothing"
    readers = [system.value for system, fields in READS.items() if name in fields]
    under = " and ".join(system.value for system in systems)
    return f"{name} is read by {', '.join(readers)} alone: it would change nothing under {under}"


def _check_seed(source: Source, space: Space, systems: list[System]) -> None:
    """Check that something is drawn where a seed is given."""
    searched = space.searched.get("eviction", {})
    choices = searched.get("choices") if isinstance(searched, dict) else None
    random = space.fixed.get("eviction") == "random" or not isinstance(choices, list | None)
    random = random or (isinstance(choices, list) and "random" in choices)
    drawn = {
        System.ZSWAP: True,
        System.TMEM: random or _given(space, "discard_ratio"),
        System.MIGRATE_CMA: _given(space, "pinned_ratio"),
    }
    if any(drawn.get(system, random) for system in systems):
        return
    message = "seed is read by eviction: random alone"
    if systems == [System.MIGRATE_CMA]:
        message = "seed draws what is pinned: it needs pinned_ratio"
    if systems == [System.TMEM]:
        message = "seed is read by eviction: random and by discard_ratio"
    for place, keys in ((space.place, space.fixed), (space.searched_place, space.searched)):
        if "seed" in keys and systems != [System.CARVEOUT] and systems != [System.IDEAL]:
            source.complain((*place, "seed"), message, key=True)


def _given(space: Space, name: str) -> bool:
    """Return whether a space says a number other than 0 for a field, or searches it."""
    return name in space.searched or bool(space.fixed.get(name))


def _check_needs(source: Source, space: Space, read: set[str]) -> None:
    for name, value, other, why in _NEEDS:
        if name not in read or _given(space, other):
            continue
        said = name in space.fixed or name in space.searched
        if (said and value is None) or (value is not None and value in _values(space, name)):
            what = f"{name}: {value}" if value else name
            source.complain(_place(space, name), f"{what} needs {other}: {why}")
    dynamic = "dynamic" in _values(space, "headroom_mode")
    if dynamic and "headroom_first" in _values(space, "tagged_placement"):
        message = "headroom_first fills the first blocks: a dynamic headroom has none of its own"
        source.complain(_place(space, "tagged_placement"), message)


def _values(space: Space, name: str) -> list[Any]:
    """Return the words that a field may have, as far as they are said."""
    searched = space.searched.get(name)
    choices = searched.get("choices") if isinstance(searched, dict) else None
    if isinstance(choices, list):
        return choices
    return [space.fixed[name]] if name in space.fixed else []


def _place(space: Space, name: str) -> Place:
    return (*(space.place if name in space.fixed else space.searched_place), name)


def _check_swap(source: Source, data: Mapping, space: Space) -> None:
    """Check that pages go to a swap device where they are to be compressed before it."""
    written = [word for word in _values(space, "anonymous") if word != Anonymous.NONE.value]
    given = data.get("workload")
    workloads = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    if not written or not workloads or any(kind_of(one) == "trace" for one in workloads):
        return  # What a trace holds is known when it is read.
    place, what = _place(space, "anonymous"), f"anonymous: {written[0]}"
    machine = data.get("machine")
    machine = machine if isinstance(machine, dict) else {}
    if not any(
        kind_of(one) == "accesses" or "anonymous_ratio" in own_parameters(one) for one in workloads
    ):
        names = " and ".join(dict.fromkeys(title_of(one) for one in workloads))
        source.complain(place, f"{what} would change nothing: {names} has no anonymous pages")
    elif "swap_size" not in space.searched and not is_size(machine.get("swap_size")):
        source.complain(place, f"{what} needs machine.swap_size: nothing is swapped to a device")
    elif "swappiness" not in space.searched and machine.get("swappiness") == 0:
        source.complain(place, f"{what} would change nothing: with swappiness 0 nothing is swapped")


def _check_accesses(source: Source, data: Mapping, space: Space) -> None:
    """Check that a system that is memory has accesses to be memory for."""
    workloads = data.get("workload")
    for i, one in enumerate(workloads if isinstance(workloads, list) else ()):
        if isinstance(one, dict) and kind_of(one) == "trace":
            message = (
                "migrate_cma gives programs more memory, and mm events do not say what they would "
                "do with it: it needs accesses or a synthetic workload (sweep trace import "
                "--accesses)"
            )
            source.complain(("workload", i, "trace"), message)
            return

"""What is wrong with the costs of a study: reads in parallel that are slower than the first one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeGuard

from core.cost_presets import COST_PRESETS, DEFAULT_PRESET
from sweep.study.space import Space, spaces_of
from sweep.study.yaml_source import Mistake, Place, Section

_FIRST, _PARALLEL = "read_random_ns", "read_parallel_ns"


class _Extreme(NamedTuple):
    """The least or the most that a cost can be, where that stands, and what says so."""

    value_ns: int
    place: Place | None
    said_by: str


class _Known(NamedTuple):
    """Costs that are known without a search, where they stand in the study, and what says them."""

    costs: Section
    place: Place | None
    said_by: str


def check_costs(data: Section, measured: Section) -> Iterator[Mistake]:
    """Yield the first place where `read_parallel_ns` can come out above `read_random_ns`.

    Parameters
    ----------
    data
        The raw data of the study, in its long form.
    measured
        The costs in the file of measured ones that it names.
    """
    section = data.get("costs")
    costs = section if isinstance(section, dict) else {}
    if "measured" in costs and not measured:
        return  # The file isn't read, or what is wrong with it is told elsewhere.
    preset = costs.get("preset", measured.get("preset", DEFAULT_PRESET))
    if not isinstance(preset, str) or preset not in COST_PRESETS:
        return
    known = [
        _Known(costs, ("costs",), ""),
        _Known(measured, None, f" (of {costs.get('measured')})"),
        _Known(vars(COST_PRESETS[preset]), None, f" (of {preset})"),
    ]
    no_search = Space((), {}, (), {})
    for space in (no_search, *spaces_of(data)):
        first = _extreme(_FIRST, known, space, most=False)
        parallel = _extreme(_PARALLEL, known, space, most=True)
        if first is None or parallel is None or parallel.value_ns <= first.value_ns:
            continue
        nearer = next((end for end in (parallel, first) if end.place), None)
        place = nearer.place if nearer and nearer.place else ("costs",)
        yield Mistake(place, _told(parallel, first))
        return


def _told(parallel: _Extreme, first: _Extreme) -> str:
    what = (
        f"{_PARALLEL} can be {parallel.value_ns}{parallel.said_by}, above {_FIRST} "
        f"{first.value_ns}{first.said_by}; a command in parallel is no slower than the first: "
    )
    if parallel.place is None:
        return what + f"give {_PARALLEL} too, {first.value_ns} at most"
    return what + f"let {_PARALLEL} be {first.value_ns} at most, or {_FIRST} larger"


def _extreme(name: str, known: list[_Known], space: Space, most: bool) -> _Extreme | None:
    """Return the end of a cost's range in a space; None if it cannot be told."""
    if name in space.searched:
        ends = _ends_of(space.searched[name])
        if not ends:
            return None
        value_ns, end = (max if most else min)(ends)
        return _Extreme(value_ns, (*space.searched_place, name, *end), "")
    said = next(said for said in known if name in said.costs)
    place = None if said.place is None else (*said.place, name)
    value = said.costs[name]
    return _Extreme(value, place, said.said_by) if _is_whole(value) else None


def _ends_of(parameter: Any) -> list[tuple[int, Place]]:
    """Return the ends of what a cost may be, or all its choices, each with its place."""
    if not isinstance(parameter, dict):
        return []
    choices = parameter.get("choices")
    ends: list[tuple[Any, Place]] = [(parameter.get(end), (end,)) for end in ("low", "high")]
    if isinstance(choices, list):
        ends = [(choice, ("choices", i)) for i, choice in enumerate(choices)]
    return [(value, place) for value, place in ends if _is_whole(value)]


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)

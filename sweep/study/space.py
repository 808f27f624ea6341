"""The spaces of a study: which policy fields each holds fixed, and which it searches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from core.policy import PRESETS, Policy
from core.system import SYSTEMS
from sweep.study.yaml_source import Place, Section


class Space(NamedTuple):
    """Policy fields that are held fixed, what is searched beside them, and where both stand."""

    fixed_place: Place
    fixed: Section
    searched_place: Place
    searched: Section

    def has(self, field: str) -> bool:
        """Return whether a field is fixed or searched."""
        return field in self.fixed or field in self.searched

    def place_of(self, field: str) -> Place:
        """Return where a field of the space stands."""
        return (*(self.fixed_place if field in self.fixed else self.searched_place), field)

    def choices_of(self, field: str) -> list[Any]:
        """Return the values that a field may have, as far as they are listed.

        Those of ``parameters: {eviction: {type: categorical, choices: [fifo, lru]}}`` are fifo and
        lru, those of ``policy: {eviction: fifo}`` fifo alone; a range lists none.
        """
        parameter = self.searched.get(field)
        choices = parameter.get("choices") if isinstance(parameter, dict) else None
        if isinstance(choices, list):
            return choices
        return [self.fixed[field]] if field in self.fixed else []


def spaces_of(data: Section) -> Iterator[Space]:
    """Yield what is searched in a study's raw data, as far as it has the form of a space.

    A study has one space, of `policy` and `parameters`, or one for each entry of `policies`.
    """
    policies = data.get("policies")
    if not isinstance(policies, list):
        yield _space(data, ())
        return
    for i, policy in enumerate(policies):
        if isinstance(policy, dict):
            yield _space(policy, ("policies", i))


def _space(section: Section, place: Place) -> Space:
    fixed, searched = section.get("policy"), section.get("parameters")
    return Space(
        (*place, "policy"),
        fixed if isinstance(fixed, dict) else {},
        (*place, "parameters"),
        searched if isinstance(searched, dict) else {},
    )


def baseline_spaces_of(data: Section) -> Iterator[Space]:
    """Yield the baselines in a study's raw data as spaces that search nothing."""
    baselines = data.get("baselines")
    for i, baseline in enumerate(baselines if isinstance(baselines, list) else ()):
        if isinstance(baseline, dict):
            yield Space(("baselines", i), baseline, (), {})


def systems_of(space: Space) -> list[str]:
    """Return the systems that a space may have; none, if one of them is no system."""
    preset = space.fixed.get("preset")
    if space.has("system"):
        words = space.choices_of("system")
    elif preset is not None:
        known = isinstance(preset, str) and preset in PRESETS
        words = [PRESETS[preset].system] if known else []
    else:
        words = [Policy.system]
    return words if all(word in SYSTEMS for word in words) else []

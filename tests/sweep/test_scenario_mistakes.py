"""Scenarios that cannot be tried, and the world among decisions, are refused by place."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from commands import say
from hypothesis import given, settings
from hypothesis import strategies as st
from study_mistakes import GOOD, STUDIES, TRACE, changed, mistakes

from sweep.study.goals import goals_of
from sweep.study.read import validate_source
from sweep.study.worlds import MAX_SCENARIOS, WORLD_FIELDS, worlds_of
from sweep.study.yaml_source import parse_source

ORDER = "folio_order: {type: int, low: 0, high: 3}"
FORMS = (
    "scenarios are a mapping of lists such as {read_random_ns: [52000, 250000]}, or a list of "
    "named ones such as [{name: slow, read_random_ns: 250000}]"
)
NAMELESS = "a scenario of a list has a name: {name: slow, read_random_ns: 250000}"
FIELDS = f"; expected one of {', '.join(WORLD_FIELDS)}"
AS_CAPTURED = (
    f"cannot vary over {TRACE}: what its kernel evicted was decided by the memory that it was "
    "captured with; take its accesses (sweep trace import --accesses), and each memory has a front "
    "end of its own"
)
DECISION = "is what a designer decides: it stands under policy, or under parameters"


def on_zipf(more: str, parameters: str = "") -> str:
    """Return the good study on a synthetic workload."""
    return changed((f"trace: {TRACE}", f"synthetic: zipf{parameters}")) + more


@pytest.mark.parametrize(
    ("scenarios", "expected"),
    [
        # Forms
        ("3", ["12: " + FORMS]),
        ("a", ["12: " + FORMS]),
        ("true", ["12: " + FORMS]),
        ("[]", ["12: " + FORMS]),
        ("[a]", ["13: " + FORMS]),
        ("[[]]", ["13: " + FORMS]),
        ("~", ["12: scenarios has no value"]),
        ("[~]", ["13: scenarios[0] has no value"]),
        ("[{}]", ["13: " + NAMELESS]),
        ("[{lookup_ns: 1}]", ["13: " + NAMELESS]),
        ("[{name: 3}]", ["20: " + NAMELESS]),
        ("[{name: ' '}]", ["20: " + NAMELESS]),
        ('[{name: "a\\nb"}]', ["20: " + NAMELESS]),
        ("[{name: a}, {name: b}, {name: a}]", ["42: a is the name of two scenarios"]),
        ("{[a]: 3}", ["13: a key is a word, not a list or a mapping"]),
        ("{lookup_ns: [1], lookup_ns: [2]}",
         ["29: duplicate key lookup_ns; it stands on line 10 too"]),
        # Fields
        ("{lokup_ns: [1, 2]}", ["13: unknown field lokup_ns, did you mean lookup_ns?"]),
        ("[{name: a, lokup_ns: 1}]", ["23: unknown field lokup_ns, did you mean lookup_ns?"]),
        ("{name: [a, b]}", ["13: unknown field name" + FIELDS]),
        ("{n_trials: [4, 8]}", ["13: unknown field n_trials" + FIELDS]),
        ("{headroom: [0, 0.1]}", ["13: headroom " + DECISION]),
        ("[{name: a, headroom: 0.1}]", ["23: headroom " + DECISION]),
        ("{measured: [a.yaml]}",
         ["13: measured cannot vary: scenarios take costs: a preset, and single costs"]),
        ("{ufs_phone: [1]}",
         ["13: ufs_phone cannot vary: scenarios take costs: a preset, and single costs"]),
        # Values
        ("{lookup_ns: []}", ["24: lookup_ns should have a value or more"]),
        ("{lookup_ns: ~}", ["24: lookup_ns has no value"]),
        ("{lookup_ns: [~]}", ["25: lookup_ns[0] has no value"]),
        ("{lookup_ns: [[1]]}", ["25: lookup_ns should be a whole number, not [1]"]),
        ("{lookup_ns: {low: 1}}", ['24: lookup_ns should be a whole number, not {"low": 1}']),
        ("{lookup_ns: [1, x, -3, 1.5, true]}",
         ['28: lookup_ns should be a whole number, not "x"',
          "31: lookup_ns should be at least 0, not -3",
          "35: lookup_ns should be a whole number, not 1.5",
          "40: lookup_ns should be a whole number, not true"]),
        ("{lookup_ns: [90, 80, 90]}", ["33: lookup_ns: 90 is a value twice"]),
        ("{tag_block_size: [4096, 4KiB]}", ["36: tag_block_size: 4KiB is a value twice"]),
        ("{tag_block_size: [4KB, 2GiB]}",
         ["30: tag_block_size: 4KB: no unit KB (there are B, KiB, MiB, GiB, TiB), did you mean "
          "4KiB?", '35: tag_block_size should be at most 1073741824, not "2GiB"']),
        ("{costs: [ufs, emmc_phone]}",
         ["21: costs: unknown cost preset ufs, did you mean ufs_phone?"]),
        ("[{name: a, costs: 3}]", ["30: costs should be text (in quotes), not 3"]),
        ("{guest_ratio: [0, 1.5]}", ["30: guest_ratio should be below 1, not 1.5"]),
        (f"{{lookup_ns: {list(range(MAX_SCENARIOS + 1))}}}",
         [f"12: there are more than {MAX_SCENARIOS} scenarios"]),
        # What changes nothing, or cannot be
        ("{tmem_ratio: [0.1, 0.2]}",
         ["26: tmem_ratio is read by tmem alone: it would change nothing here"]),
        ("{guests: [pkvm]}", ["22: guests needs guest_ratio: there are no guests"]),
        ("{zram_size: [1MiB]}", ["25: zram_size acts on accesses and synthetic workloads; a trace "
                                 "is as it was captured"]),
        ("{skew: [1.0, 2.0]}", ["20: no workload of the study has skew"]),
        ("{data_memory: [64MiB, 128MiB]}", ["13: data_memory " + AS_CAPTURED]),
        ("{page_size: [4KiB, 16KiB]}", ["13: page_size " + AS_CAPTURED]),
        ("[{name: a, data_memory: 64MiB}]", ["13: data_memory " + AS_CAPTURED]),
    ],
)  # fmt: skip
def test_scenarios_that_cannot_be_are_told_where_they_stand(
    scenarios: str, expected: list[str]
) -> None:
    told = mistakes(f"{GOOD}scenarios: {scenarios}\n")
    assert told == [f"10:{line}" for line in expected]


@pytest.mark.parametrize(
    "scenarios",
    ["{}", "{lookup_ns: 90}", "{lookup_ns: [90]}", "{costs: [ufs_phone, emmc_phone]}",
     "[{name: as given}]", "[{name: a, costs: emmc_phone, lookup_ns: 3}, {name: b}]",
     "{seed: [1, 2], tag_block_size: [4KiB, 32KiB]}"],
)  # fmt: skip
def test_scenarios_have_two_forms(scenarios: str) -> None:
    assert mistakes(f"{GOOD}scenarios: {scenarios}\n") == []


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("lookup_ns: {type: int, low: 0, high: 9}", "lookup_ns: [0, 9]"),
        ("tag_block_size: {type: categorical, choices: [4KiB, 8KiB]}",
         "tag_block_size: [4KiB, 8KiB]"),
        ("costs: {type: categorical, choices: [ufs_phone]}", "costs: [ufs_phone]"),
        ("tmem_ratio: {type: float}", "tmem_ratio: […]"),
    ],
)  # fmt: skip
def test_the_world_is_no_parameter(parameter: str, expected: str) -> None:
    name = expected.split(":")[0]
    assert (
        f"5:3: {name} is what the world is, not what a designer decides: let it vary under "
        f"scenarios (scenarios: {{{expected}}})"
    ) in mistakes(changed((ORDER, parameter)))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("costs: {lookup_ns: 3}\nscenarios: {lookup_ns: [1, 2]}",
         ["10:9: lookup_ns is both fixed and varied (scenarios.lookup_ns)"]),
        ("machine: {tag_block_size: 4KiB}\nscenarios: {tag_block_size: [4KiB, 8KiB]}",
         ["10:11: tag_block_size is both fixed and varied (scenarios.tag_block_size)"]),
        ("policy: {guests: pkvm, guest_ratio: 0.5}\nscenarios: {guest_ratio: [0, 0.5]}",
         ["10:24: guest_ratio is both fixed and varied (scenarios.guest_ratio)"]),
        ("baselines: [{system: tmem, tmem_ratio: 0.1}]\nscenarios: {tmem_ratio: [0.1, 0.2]}",
         ["10:28: tmem_ratio is both fixed and varied (scenarios.tmem_ratio)"]),
        # One of a list says what differs from what is fixed.
        ("costs: {lookup_ns: 3}\nscenarios: [{name: a}, {name: b, lookup_ns: 2}]", []),
        ("machine: {tag_block_size: 4KiB}\nscenarios: [{name: a, tag_block_size: 8KiB}]", []),
        ("policy: {guests: pkvm, guest_ratio: 0.5}\nscenarios: [{name: a, guest_ratio: 0}]", []),
        # A preset is a whole table: what a study says of a cost would be lost in it.
        ("costs: ufs_phone\nscenarios: {costs: [ufs_phone, emmc_phone]}", []),
        ("costs: {lookup_ns: 3}\nscenarios: {costs: [ufs_phone, emmc_phone]}",
         ["10:9: lookup_ns would be lost: the scenarios vary all costs by the name of a preset "
          "(scenarios.costs); say single costs there too"]),
        ("costs: {lookup_ns: 3}\nscenarios: [{name: a, costs: emmc_phone}]",
         ["10:9: lookup_ns would be lost: the scenarios vary all costs by the name of a preset "
          "(scenarios.costs); say single costs there too"]),
        # The hardware is no policy's.
        ("policy: {tag_block_size: 4KiB}",
         ["10:10: unknown key tag_block_size; it is a key of machine, baselines"]),
        ("baselines: [{preset: gcma, tag_block_size: 8KiB}]",
         ["10:28: tag_block_size is the hardware's: it stands under machine, or scenarios"]),
        # All policies live in one world.
        ("baselines: [{system: tmem, tmem_ratio: 0.1}, {system: tmem, tmem_ratio: 0.2}]",
         ["10:73: tmem_ratio is 0.1 in another policy: it is what the world is, the same for all "
          "policies, unless it varies (scenarios.tmem_ratio)"]),
        ("policy: {guests: pkvm, guest_ratio: 0.5}\nbaselines: [{preset: gcma, guests: kvm}]",
         ["11:36: guests is pkvm in another policy: it is what the world is, the same for all "
          "policies, unless it varies (scenarios.guests)"]),
        ("policy: {guests: pkvm, guest_ratio: 0.5}\nbaselines: [{preset: gcma, guests: pkvm}]", []),
        ("baselines: [{system: tmem, tmem_ratio: 0.1}, {system: tmem, tmem_ratio: 0.1}]", []),
        # What scenarios give is there for all that needs it.
        ("baselines: [{system: tmem, seed: 3}]\nscenarios: {discard_ratio: [0.1, 0.2]}", []),
        ("policy: {guests: pkvm}\nscenarios: {guest_ratio: [0.1, 0.2]}", []),
    ],
)  # fmt: skip
def test_what_is_fixed_and_what_varies_is_said_once(more: str, expected: list[str]) -> None:
    assert mistakes(GOOD + more) == expected


@pytest.mark.parametrize(
    ("parameters", "more", "expected"),
    [
        ("", "machine: {data_memory: 64MiB}\nscenarios: {data_memory: [64MiB, 128MiB]}",
         ["10:11: data_memory is both fixed and varied (scenarios.data_memory)"]),
        ("", "scenarios: {page_size: [4KiB, 5000]}",
         ["10:31: page_size: 5000 is not a power of two from 4KiB to 1GiB"]),
        ("", "scenarios: {zram_size: [1MiB], swap_size: [0, 1MiB]}",
         ["10:1: swap goes to memory or to a device: zram_size or swap_size"]),
        ("", "machine: {zram_size: 1MiB}\nscenarios: {swap_size: [0, 1MiB]}",
         ["11:1: swap goes to memory or to a device: zram_size or swap_size"]),
        (", tagged_ratio: 0.1", "scenarios: {tagged_ratio: [0.1, 0.2]}",
         ["2:30: tagged_ratio is both fixed and varied (scenarios.tagged_ratio)"]),
        (", tagged_ratio: 0.1", "scenarios: [{name: a}, {name: b, tagged_ratio: 0.2}]", []),
        ("", "scenarios: {apps: [2, 4]}", ["10:20: no workload of the study has apps"]),
        ("", "scenarios: {data_memory: [64MiB, 128MiB], page_size: [4KiB, 16KiB]}", []),
    ],
)  # fmt: skip
def test_machines_and_workloads_vary_as_far_as_they_are_made(
    parameters: str, more: str, expected: list[str]
) -> None:
    assert mistakes(on_zipf(more, parameters)) == expected


def objectives(*overs: str) -> tuple[str, str]:
    """Return a change to the good study: objectives over its scenarios, each in its own way."""
    metrics = ("time_saved_ns", "restored", "stored", "missed", "read_ns")
    lines = [
        f"  - {{metric: {metric}, direction: maximize{over and f', over: {over}'}}}"
        for metric, over in zip(metrics, overs, strict=False)
    ]
    return "  - {metric: time_saved_ns, direction: maximize}", "\n".join(lines)


@pytest.mark.parametrize(
    ("overs", "scenarios", "expected"),
    [
        (["", "mean", "worst", ""], "{lookup_ns: [1, 2, 3, 4, 5]}", []),
        (["each"], "{lookup_ns: [1, 2, 3, 4]}", []),
        (["each", ""], "{lookup_ns: [1, 2, 3]}", []),
        (["each", "", ""], "{}", []),
        (["", "", "", "", ""], "{}", ["there are 5 objectives, 4 at most"]),
        (["each"], "{lookup_ns: [1, 2, 3, 4, 5]}",
         ["there are 5 objectives over 5 scenarios, 4 at most: over: worst, or over: mean"]),
        (["each", "mean"], "{lookup_ns: [1, 2], tag_block_size: [4KiB, 8KiB]}",
         ["there are 5 objectives over 4 scenarios, 4 at most: over: worst, or over: mean"]),
        (["wurst"], "{}", ['over cannot be "wurst", did you mean worst?']),
    ],
)  # fmt: skip
def test_there_are_four_goals_at_most(
    overs: list[str], scenarios: str, expected: list[str]
) -> None:
    told = mistakes(changed(objectives(*overs)) + f"scenarios: {scenarios}\n")
    assert [line.split(": ", 1)[1] for line in told] == expected
    assert all(line.startswith("7:") for line in told)


def test_a_sampler_of_one_objective_takes_one_goal() -> None:
    text = changed(
        ("random", "cmaes"),
        (ORDER, f"{ORDER}\n  headroom: {{type: float, low: 0, high: 0.5}}"),
    )
    one, several = (
        text.replace("maximize", f"maximize, over: {over}") for over in ("mean", "each")
    )
    scenarios = "scenarios: {lookup_ns: [1, 2]}\n"
    assert mistakes(one + scenarios) == []
    assert mistakes(several) == []
    assert mistakes(several + scenarios) == ["9:17: cmaes takes one objective, did you mean nsga2?"]


@pytest.mark.parametrize(
    ("scenarios", "what"),
    [
        ("{data_memory: [64MiB, 6KiB]}",
         "data_memory is not a whole number of 4096-byte pages in the scenario data_memory 6KiB"),
        ("[{name: a}, {name: huge, data_memory: 64TiB}]",
         "machine: data_pages 17179869184 is not between 1 and 2**31 - 1 in the scenario huge"),
    ],
)  # fmt: skip
def test_a_machine_that_is_none_is_one_line_of_the_command(
    tmp_path: Path, scenarios: str, what: str
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(on_zipf(f"scenarios: {scenarios}\n"))
    assert say("validate", path) == (2, "", f"{path}:10:12: {what}\n")


# What a hand may write in the place of a scenario, or of something in it.
ANYTHING: list[Any] = [
    None, True, 0, -1, 2**70, 0.5, float("nan"), "", "4KiB", "4GB", "emmc_phone", "é\n\u2028\ud83d",
    [], {}, [[]], [1, "x"], [4096, 4096], {"a": 1}, {"type": "int", "low": 5, "high": 1},
    "name", "each", "pkvm", "1e400",
]  # fmt: skip


def anything_in(chance: random.Random, depth: int = 2) -> Any:
    """Return a value, or a list or mapping of such."""
    kind = chance.randrange(4) if depth else 0
    if kind == 1:
        return [anything_in(chance, depth - 1) for _ in range(chance.randrange(4))]
    if kind == 2:
        keys = [*WORLD_FIELDS, "name", "headroom", "measured", "", "costs", "tag_block_size"]
        chosen = [chance.choice(keys) for _ in range(chance.randrange(4))]
        return {key: anything_in(chance, depth - 1) for key in chosen}
    return chance.choice(ANYTHING)


@settings(max_examples=150)
@given(st.randoms(use_true_random=True), st.booleans())
def test_scenarios_that_are_anything_are_read_or_refused(
    chance: random.Random, synthetic: bool
) -> None:
    scenarios = anything_in(chance, 3)
    if isinstance(scenarios, list):
        for number, entry in enumerate(scenarios):
            if isinstance(entry, dict) and chance.random() < 0.8:
                entry["name"] = str(number)
    text = on_zipf("") if synthetic else GOOD
    lines = f"{text}scenarios: {json.dumps(scenarios)}\n".splitlines()
    path, told = STUDIES / "s.yaml", mistakes("\n".join(lines))
    if not told:
        study = validate_source(parse_source(path, "\n".join(lines)))
        names = [world.name for world in worlds_of(study)]
        assert len(names) == len(set(names)) <= MAX_SCENARIOS
        assert len(goals_of(study)) == 1
        return
    for mistake in told:
        line, column = (int(number) for number in mistake.split(":")[:2])
        assert 1 <= line <= len(lines)
        assert 1 <= column <= len(lines[line - 1]) + 1
        assert "\n" not in mistake
        assert "Input should" not in mistake  # the words of pydantic

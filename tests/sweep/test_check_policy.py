"""Policies, systems and machines that do not go together are refused, with the reason."""

from __future__ import annotations

import pytest
from test_study import mistakes

POLICIES = """\
study: s
workload: [{synthetic: zipf}]
policies:
  - {policy: {system: SYSTEM, FIELD}, parameters: {}}
objectives: [{metric: time_saved_ns, direction: maximize}]
sampler: {name: random, seed: 1}
n_trials: 4
"""


@pytest.mark.parametrize(
    ("system", "field", "told"),
    [
        ("ideal", "eviction: lru", "4:30: eviction is read by cleancache, tmem alone: it would "
         "change nothing under ideal"),
        ("carveout", "headroom: 0.1", "4:33: a carveout caches nothing: headroom would change "
         "nothing"),
        ("migrate_cma", "drop: page", "4:36: drop is read by cleancache, tmem alone: it would "
         "change nothing under migrate_cma"),
        ("cleancache", "headroom_mode: dynamic", "4:50: headroom_mode: dynamic needs headroom: "
         "there is no headroom to keep empty"),
        ("cleancache", "guests: pkvm", "4:43: guests needs guest_ratio: there are no guests"),
        ("tmem", "tmem_period_ns: 1000000000", "4:45: tmem_period_ns needs tmem_swing: the region "
         "keeps its size"),
        ("tmem", "seed: 3", "4:29: seed is read by eviction: random and by discard_ratio"),
        ("migrate_cma", "seed: 3", "4:36: seed is read by pinned_ratio alone"),
        ("cleancache", "headroom: 0.1, tagged_placement: headroom_first, headroom_mode: dynamic",
         "4:68: headroom_first fills the first blocks: a dynamic headroom has none of its own"),
        ("tmem", "tmem_ratio: 2", "4:41: tmem_ratio should be at most 1, not 2"),
        ("zswap", "anonymous: write_back", "4:41: anonymous: write_back would change nothing: zipf "
         "has no anonymous pages"),
        ("zswap", "eviction: fifo", "4:30: eviction is read by cleancache, tmem alone: it would "
         "change nothing under zswap"),
        ("tmem", "anonymous: write_back", "4:29: anonymous is read by zswap alone: it would "
         "change nothing under tmem"),
        ("tmen", "seed: 1", '4:23: system cannot be "tmen", did you mean tmem?'),
    ],
)  # fmt: skip
def test_a_system_and_a_policy_that_do_not_go_together_are_refused(
    system: str, field: str, told: str
) -> None:
    assert mistakes(POLICIES.replace("SYSTEM", system).replace("FIELD", field)) == [told]


def test_a_system_that_is_memory_is_refused_on_mm_events() -> None:
    text = POLICIES.replace("synthetic: zipf", "trace: t.parquet").replace(
        "FIELD", "pinned_ratio: 0"
    )
    found = mistakes(text.replace("SYSTEM", "migrate_cma"))
    why = "2:20: migrate_cma gives programs more memory, and mm events do not say"
    assert [one for one in found if one.startswith(why)]
    found = mistakes(text.replace("SYSTEM, pinned_ratio: 0", "ideal"))
    assert not [one for one in found if one.startswith(why)]


def test_swap_goes_to_memory_or_to_a_device() -> None:
    text = POLICIES.replace("SYSTEM, FIELD", "zswap, anonymous: write_back")
    nothing = "4:41: anonymous: write_back would change nothing"
    assert mistakes(text + "machine: {swap_size: 64MiB}") == [
        f"{nothing}: zipf has no anonymous pages"
    ]
    text = text.replace("zipf", "app_launch")
    assert mistakes(text + "machine: {swap_size: 64MiB, swappiness: 0}") == [
        f"{nothing}: with swappiness 0 nothing is swapped"
    ]
    for none in ("0", "0KiB"):
        assert mistakes(text + f"machine: {{swap_size: {none}}}") == [
            "4:41: anonymous: write_back needs machine.swap_size: nothing is swapped to a device"
        ]
    assert mistakes(text + "machine: {zram_size: 0, swap_size: 64MiB}") == []
    assert mistakes(text + "machine: {swap_size: 64MiB}") == []
    assert mistakes(text + "machine: {zram_size: 64MiB, swap_size: 64MiB}") == [
        "8:29: swap goes to memory or to a device: zram_size or swap_size"
    ]
    searched = text.replace("anonymous: write_back", "seed: 1")
    choices = "{anonymous: {type: categorical, choices: [none, write_through]}}"
    searched = searched.replace("parameters: {}", f"parameters: {choices}")
    assert [one for one in mistakes(searched) if "needs machine.swap_size" in one]


def test_policies_take_the_place_of_policy_and_parameters() -> None:
    text = POLICIES.replace("SYSTEM, FIELD", "ideal")
    assert mistakes(
        text + "policy: {}\nparameters: {headroom: {type: float, low: 0, high: 0.5}}"
    ) == [
        "8:1: policy stands in each of the policies, where there are policies",
        "9:1: parameters stands in each of the policies, where there are policies",
    ]
    one = "{headroom: {type: float, low: 0, high: 2}}"
    assert mistakes(text.replace("ideal}, parameters: {}", "cleancache}, parameters: " + one)) == [
        "4:87: headroom should be below 1, not 2"
    ]
    assert mistakes(text.replace("parameters: {}", "parameter: {}")) == [
        "4:31: unknown key parameter, did you mean parameters?"
    ]


@pytest.mark.parametrize(
    ("memory", "told"),
    [("6KiB", "data_memory is not a whole number of 4096-byte pages"),
     ("100TiB", "machine: data_pages 26843545600 is not between 1 and 2**31 - 1")],
)  # fmt: skip
def test_a_memory_that_no_machine_has_is_told_at_its_place(memory: str, told: str) -> None:
    text = POLICIES.replace("SYSTEM, FIELD", "ideal") + f"machine: {{data_memory: {memory}}}"
    assert mistakes(text) == [f"8:24: {told}"]

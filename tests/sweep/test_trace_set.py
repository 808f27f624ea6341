"""What `--set NAME=VALUE` of the trace commands takes, and what it says of anything else."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import CommandInThisProcess

from core.policy import DECLARED
from core.workload.text import TraceError
from sweep.cli.trace_commands import changed_values

TRUTH = Path(__file__).parents[2] / "studies" / "traces" / "cache-db-tags.parquet"
SHOWN = "what no event of the trace shows differs"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ("headroom=1", "headroom is at least 0 and below 1, not 1"),
        ("tmem_swing=2", "tmem_swing is from 0 to 1, not 2"),
        ("headroom=nan", "headroom is at least 0 and below 1, not nan"),
        ("headroom", "headroom has no value; give one as in headroom=0"),
        ("folio_order=", "folio_order has no value; give one as in folio_order=0"),
        ("admission", "admission has no value; give one as in admission=all"),
        ("eviction=", "eviction has no value; give one as in eviction=fifo"),
    ],
)
def test_a_value_that_a_field_cannot_have_is_told_with_those_that_it_can(
    changed: str, told: str
) -> None:
    with pytest.raises(TraceError) as refused:
        changed_values(DECLARED, [changed], "there is no field")
    assert str(refused.value) == f"--set: {told}"


@pytest.fixture
def say_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandInThisProcess:
    """Return `say` in this process: the commands that are refused are many."""
    return CommandInThisProcess(monkeypatch, capsys)


@pytest.mark.parametrize(
    "field",
    ["headroom=0.5", "placement=spread", "guest_ratio=0.5", "seed=3", "metadata=memmap"],
)
def test_a_kernel_is_compared_with_no_replay_of_a_policy_that_it_cannot_have(
    say_here: CommandInThisProcess, field: str
) -> None:
    code, out, err = say_here("trace", "truth", TRUTH, "--set", field)
    name = field.partition("=")[0]
    assert (code, out) == (2, "")
    assert err == (
        f"--set: a kernel with a cleancache has no policy field {name}; expected one of admission, "
        "restore, offer, lookup, large_folios, eviction, slot_reclaim, slot_reclaim_batch, drop, "
        "folio_order\n"
    )


def test_a_field_that_changes_nothing_beside_the_others_is_refused(
    say_here: CommandInThisProcess,
) -> None:
    code, out, err = say_here("trace", "truth", TRUTH, "--set", "slot_reclaim_batch=4")
    told = "--set: slot_reclaim_batch needs slot_reclaim: no worker makes room\n"
    assert (code, out, err) == (2, "", told)


def test_differences_are_explained_only_under_the_policy_of_the_kernel(
    say_here: CommandInThisProcess,
) -> None:
    code, out, err = say_here("trace", "truth", TRUTH)
    assert (code, "overwritten" in out, SHOWN in err) == (0, True, True), err
    changed = ("--set", "admission=all", "--set", "slot_reclaim=background")
    code, out, err = say_here("trace", "truth", TRUTH, *changed, "--set", "slot_reclaim_batch=4")
    assert (code, "overwritten" in out, SHOWN in err) == (0, True, False), err

"""Costs in a study: the ones that were measured, and reads in parallel that cannot be slower."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import small_study
from block_events import Device, Truth
from commands import say
from study_mistakes import STUDIES, TRACE, changed, mistakes

from core.cost_presets import COST_PRESETS
from core.costs import Costs
from sweep.study.model import Study
from sweep.study.read import parse_study, validate_source
from sweep.study.worlds import worlds_of
from sweep.study.yaml_source import parse_source

PHONE = Truth(110_000, 10_000, 2_800)
ABOVE = "a command in parallel is no slower than the first: let read_parallel_ns be "


def with_costs(costs: str, *more: tuple[str, str]) -> str:
    return changed(("study: s", f"study: s\ncosts: {costs}"), *more)


def study_in(folder: Path, costs: str, measured: str) -> Study:
    (folder / "phone.yaml").write_text(measured)
    text = with_costs(costs).replace(TRACE, str(STUDIES / TRACE))
    return validate_source(parse_source(folder / "s.yaml", text))


def costs_of(study: Study) -> Costs:
    """Return the costs of a study without scenarios."""
    (world,) = worlds_of(study)
    return world.costs


@pytest.mark.parametrize(
    ("costs", "scenarios", "expected"),
    [
        ("{read_random_ns: 5000}", "", "2:25: read_parallel_ns is 10000, above read_random_ns "
         f"5000; {ABOVE}5000 at most"),
        ("{read_random_ns: 5000, read_parallel_ns: 6000}", "", "2:49: read_parallel_ns is 6000, "
         f"above read_random_ns 5000; {ABOVE}5000 at most"),
        ("{preset: nvme_server, read_parallel_ns: 78001}", "", "2:48: read_parallel_ns is 78001, "
         f"above read_random_ns 78000; {ABOVE}78000 at most"),
        ("emmc_phone", "{read_random_ns: [250000, 90908]}", "3:12: read_parallel_ns is 90909 in "
         f"the scenario read_random_ns 90908, above read_random_ns 90908; {ABOVE}90908 at most"),
        ("ufs_phone", "{read_random_ns: [20000, 90000], read_parallel_ns: [1000, 30000]}",
         "3:12: read_parallel_ns is 30000 in the scenario read_random_ns 20000, read_parallel_ns "
         f"30000, above read_random_ns 20000; {ABOVE}20000 at most"),
        ("ufs_phone", "[{name: good}, {name: bad, costs: nvme_server, read_parallel_ns: 80000}]",
         "3:12: read_parallel_ns is 80000 in the scenario bad, above read_random_ns 78000; "
         f"{ABOVE}78000 at most"),
    ],
)  # fmt: skip
def test_reads_in_parallel_that_can_be_slower_are_refused(
    costs: str, scenarios: str, expected: str
) -> None:
    more = [("workload:", f"scenarios: {scenarios}\nworkload:")] if scenarios else []
    assert mistakes(with_costs(costs, *more)) == [expected]


@pytest.mark.parametrize(
    "costs",
    ["{read_random_ns: 10000}", "{read_random_ns: 9, read_parallel_ns: 9}", "nvme_server",
     "{preset: gcma_v2_board, read_random_ns: 666667}"],
)  # fmt: skip
def test_reads_in_parallel_may_be_as_slow_as_the_first(costs: str) -> None:
    assert mistakes(with_costs(costs)) == []


@pytest.mark.parametrize("costs", ["{preset: [a], read_random_ns: 1}", "{read_random_ns: x}", "[]"])
def test_wrong_values_are_told_once(costs: str) -> None:
    assert len(mistakes(with_costs(costs))) == 1


def test_what_is_nearer_counts_the_study_then_the_file_then_the_preset(tmp_path: Path) -> None:
    measured = "costs: {preset: nvme_server, read_random_ns: 91000, copy_in_ns: 400}"
    study = study_in(tmp_path, "{measured: phone.yaml, copy_in_ns: 300}", measured)
    table = costs_of(study)
    assert (table.read_random_ns, table.copy_in_ns) == (91_000, 300)
    assert table.copy_out_ns == COST_PRESETS["nvme_server"].copy_out_ns
    varied = study.model_copy(update={"scenarios": {"read_random_ns": [50_000, 91_000]}})
    assert [world.costs.read_random_ns for world in worlds_of(varied)] == [50_000, 91_000]
    assert [world.costs.copy_in_ns for world in worlds_of(varied)] == [300, 300]
    other = study_in(tmp_path, "{measured: phone.yaml, preset: ufs_phone}", measured)
    assert costs_of(other).copy_out_ns == COST_PRESETS["ufs_phone"].copy_out_ns
    assert costs_of(other).read_random_ns == 91_000


def test_a_study_keeps_the_measured_costs_and_the_name_of_their_file(tmp_path: Path) -> None:
    study = study_in(tmp_path, "{measured: phone.yaml}", "costs: {read_random_ns: 91000}")
    kept = {"measured": "phone.yaml", "read_random_ns": 91_000}
    assert study.identity()["costs"] == kept
    # Its text can be read when the file is gone, whatever its costs then are.
    text = with_costs("{measured: gone.yaml, read_random_ns: 5000}")
    assert parse_study(text, tmp_path / "s.yaml").costs.measured == "gone.yaml"


def test_a_measured_cost_can_be_varied_as_one_of_a_preset_can(tmp_path: Path) -> None:
    (tmp_path / "phone.yaml").write_text("costs: {read_random_ns: 91000}")
    more = ("workload:", "scenarios: {read_random_ns: [10000, 90000]}\nworkload:")
    text = with_costs("{measured: phone.yaml}", more).replace(TRACE, str(STUDIES / TRACE))
    assert mistakes(text, tmp_path / "s.yaml") == []


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ("costs: {read_randm_ns: 9}", ["phone.yaml:1:9: unknown key read_randm_ns, did you mean "
         "read_random_ns?"]),
        ("# x\ncosts: {read_random_ns: 1.5}\nx: 3", ["phone.yaml:2:25: read_random_ns should be a "
         "whole number, not 1.5", "phone.yaml:3:1: unknown key x; expected costs"]),
        ("costs: {preset: ufs_fone}", ["phone.yaml:1:17: unknown cost preset ufs_fone, did you "
         "mean ufs_phone?"]),
        ("costs: {measured: phone.yaml}", ["phone.yaml:1:9: a file of measured costs names no "
         "other one"]),
        ("costs: [", ["phone.yaml:1:9: not YAML: expected a value, but found the end of the file"]),
        ("read_random_ns: 9", ["phone.yaml:1:1: measured costs are a mapping such as {costs: "
         "{preset: ufs_phone, read_random_ns: 9}}"]),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_told_by_both_places(
    measured: str, expected: list[str], tmp_path: Path
) -> None:
    (tmp_path / "phone.yaml").write_text(measured)
    text = with_costs("{measured: phone.yaml}").replace(TRACE, str(STUDIES / TRACE))
    told = mistakes(text, tmp_path / "s.yaml")
    assert told == [f"2:19: {tmp_path}/{line}" for line in expected]


def test_a_file_that_is_not_there_is_told_with_the_one_that_is(tmp_path: Path) -> None:
    (tmp_path / "phone.yaml").write_text("costs: {read_random_ns: 9}")
    text = with_costs("{measured: fone.yaml}").replace(TRACE, str(STUDIES / TRACE))
    what = "2:19: fone.yaml: no such file, did you mean phone.yaml?"
    assert mistakes(text, tmp_path / "s.yaml") == [what]


def test_costs_are_measured_from_a_trace_and_used_by_a_study(tmp_path: Path) -> None:
    device = Device(PHONE, 1)
    device.alone(500)
    device.parallel(800, 8)
    (tmp_path / "phone.txt").write_bytes(device.text(priority="none,0,0 "))
    code, out, err = say("trace", "costs", "phone.txt", "-o", "phone.yaml", cwd=tmp_path)
    assert (code, "measured: phone.yaml" in out) == (0, True), err
    code, printed, err = say("trace", "costs", "phone.txt", cwd=tmp_path)
    assert (code, printed, err.strip()) == (0, (tmp_path / "phone.yaml").read_text(), "")
    code, out, _ = say("trace", "costs", "phone.txt", "--json", cwd=tmp_path)
    said = json.loads(out)
    assert (code, said["device"], said["emulated"], said["depth"]) == (0, "8:0", None, 6)
    study = study_in(tmp_path, "{measured: phone.yaml}", printed)
    for name, true_ns in PHONE._asdict().items():
        assert getattr(costs_of(study), name) == said["costs"][name]["cost_ns"]
        assert said["costs"][name]["cost_ns"] == pytest.approx(true_ns, rel=0.1)
    path = small_study.write_study(tmp_path, n_trials=2)
    path.write_text(path.read_text() + "\ncosts: {measured: phone.yaml, copy_in_ns: 300}\n")
    small_study.write_trace(tmp_path, 1000)
    code, _, err = say("run", path, "--executor", "in-process", cwd=tmp_path)
    assert code == 0, err
    columns = "read_random_ns, copy_in_ns, identity"
    sql = f"SELECT DISTINCT {columns} FROM scenarios JOIN studies USING (study)"
    code, out, err = say("query", sql, "--json", cwd=tmp_path)
    (row,) = json.loads(out)
    assert row["read_random_ns"] == said["costs"]["read_random_ns"]["cost_ns"]
    assert row["copy_in_ns"] == 300
    assert json.loads(row["identity"])["costs"]["measured"] == "phone.yaml"


def test_what_lacks_samples_is_left_out_and_said(tmp_path: Path) -> None:
    device = Device(PHONE, 1, number="254,0")
    device.alone(500)
    (tmp_path / "guest.txt").write_bytes(device.text())
    code, out, err = say("trace", "costs", "guest.txt", cwd=tmp_path)
    assert code == 2
    assert "emulated (major number 254" in out
    assert "  # read_parallel_ns: 0 of 320 samples; that of the preset holds" in out
    assert "read_parallel_ns: 0 completions" in err
    assert "320 are needed; sweep trace record" in err
    # Where that of the preset cannot hold, the file says one that can.
    slow = Device(Truth(5_000, 1_000, 100), 1)
    slow.alone(500)
    (tmp_path / "fast.txt").write_bytes(slow.text())
    code, out, _ = say("trace", "costs", "fast.txt", cwd=tmp_path)
    assert (code, "as read_random_ns, which it cannot be above" in out) == (2, True)
    assert costs_of(study_in(tmp_path, "{measured: phone.yaml}", out)).read_random_ns < 10_000


def test_a_trace_that_tells_no_cost_is_one_error(tmp_path: Path) -> None:
    device = Device(PHONE, 1)
    device.alone(5)
    (tmp_path / "short.txt").write_bytes(device.text())
    (tmp_path / "none.txt").write_text("# tracer: nop\n")
    for words, told in (
        (["short.txt"], "device 8:0 has too few reads for any cost"),
        (["none.txt"], "has no block_rq_issue and block_rq_complete; sweep trace record"),
        (["short.txt", "--device", "8:1"], "--device: no read of 8:1; there are 8:0"),
        (["gone.txt"], "No such file"),
        (["short.txt", "-o", "no/x.yaml"], "there is no folder"),
    ):
        code, out, err = say("trace", "costs", *words, cwd=tmp_path)
        assert (code, out, told in err, "Traceback" in err) == (2, "", True, False), err

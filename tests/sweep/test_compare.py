"""`sweep compare`: what it names, what it says of a difference, and with which doubt."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import small_study
from commands import CommandInThisProcess
from paired_runs import CAPTURE, PARTS, SEEDED, Made, Waits, evenly, write

NOISE = np.random.default_rng(7).integers(-500, 500, (3, 100))


def waiting(total_ns: int, noise: int = 0) -> Waits:
    """Return a wait about `total_ns` that a seed, and each part, makes longer or shorter."""

    def waits(scenario: str, workload: str, replicate: int) -> list[int]:
        if workload == CAPTURE:
            return [total_ns // PARTS + int(part) // 10 for part in NOISE[noise][:PARTS]]
        return evenly(total_ns + int(NOISE[noise][replicate]))

    return waits


#: Of a carve-out's 64,000 ns, trial 0 waits 10 % less than trial 1; gcma as long as trial 0 but for
#: noise; the bound least of all. The fourth baseline equals the first.
WAITS: dict[tuple[str, int], Waits] = {
    ("trial", 0): waiting(32_000),
    ("trial", 1): waiting(38_400, 1),
    ("trial", 2): waiting(38_400, 1),
    ("baseline", 0): waiting(32_000, 2),
    ("baseline", 1): waiting(64_000),
    ("baseline", 2): waiting(6_400),
    ("baseline", 3): waiting(32_000, 2),
}
WAITED = ["--metric", "wait_saved_ns"]


class Compare:
    """The command on a database of one folder."""

    def __init__(self, folder: Path, command: CommandInThisProcess) -> None:
        self.database, self._command = folder / "results.duckdb", command

    def write(self, *studies: Made) -> None:
        for made in studies:
            write(self.database, made)

    def said(self, *words: str) -> list[str]:
        """Return the sentences below the tables."""
        code, out, err = self._command("compare", *words, "--db", self.database)
        assert (code, err) == (0, "")
        return out.rpartition("\n\n")[2].splitlines()

    def refused(self, *words: str) -> str:
        code, out, err = self._command("compare", *words, "--db", self.database)
        assert (code, out) == (2, "")
        assert len(err.splitlines()) == 1
        return err.removeprefix(f"{self.database}: ").strip()


@pytest.fixture
def compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Compare:
    return Compare(tmp_path, CommandInThisProcess(monkeypatch, capsys))


def test_a_difference_is_told_with_its_interval_and_units(compare: Compare) -> None:
    compare.write(Made("one", WAITS, workloads=[SEEDED]))
    first, *_, differ, policy, other, holds = compare.said("0", "trial 1", *WAITED)
    assert first.startswith("trial 0 waits less than trial 1, by 9.6 % of what a carve-out waits (")
    assert first.endswith(" %, 95 %, over 8 seeds of kasan).")
    assert differ.startswith("trial 0 and trial 1 differ in 6 of ")
    assert (policy, other) == ("trial 0: cleancache, eviction fifo.",
                               "trial 1: cleancache, eviction lru.")  # fmt: skip
    assert holds == (
        "An answer holds for the workloads named: kasan. They are fixed, and no sample of others."
    )
    turned, *_ = compare.said("1", "0", *WAITED)
    assert turned.startswith("trial 1 waits longer than trial 0, by 9.6 % ")


def test_where_0_is_in_the_interval_no_difference_is_told(compare: Compare) -> None:
    compare.write(Made("one", WAITS, workloads=[SEEDED]))
    first, *_ = compare.said("0", "baseline 0", *WAITED)
    assert first.startswith("No difference in waiting can be told between trial 0 and gcma (\u2212")
    assert first.endswith(" % of what a carve-out waits, 95 %, over 8 seeds of kasan).")


def test_an_answer_of_one_capture_is_within_it_only(compare: Compare) -> None:
    compare.write(Made("one", WAITS, workloads=[CAPTURE]))
    first, *_ = compare.said("0", "1", *WAITED)
    assert first.startswith("Within this capture only: trial 0 waits less than trial 1, by ")
    assert first.endswith(f"95 %, over 64 parts of {CAPTURE}).")


def test_seeds_and_a_capture_are_told_apart_in_one_total(compare: Compare) -> None:
    compare.write(Made("one", WAITS))
    first, by_workload, *_ = compare.said("0", "1", *WAITED)
    assert first.endswith(f"over 8 seeds of kasan and 64 parts of {CAPTURE}, within it only).")
    assert by_workload.startswith("By workload: waits less on kasan (")


def test_fewer_than_5_seeds_are_too_few_to_say(compare: Compare) -> None:
    compare.write(Made("one", WAITS, workloads=[SEEDED], replicates=1))
    first, *_ = compare.said("0", "1", *WAITED)
    assert first.startswith(
        "trial 0 against trial 1 in waiting: too few to say, since 5 seeds are "
    )
    assert first.endswith("; 1 seed).")


def test_equal_policies_are_equal_in_every_outcome(compare: Compare) -> None:
    compare.write(Made("one", WAITS))
    equal, *_ = compare.said("1", "2")
    assert equal == "trial 1 and trial 2 are equal in every outcome."


def test_an_equal_metric_is_a_tie(compare: Compare) -> None:
    compare.write(Made("one", WAITS, workloads=[SEEDED]), Made("two", WAITS, restored=1))
    first, *_ = compare.said("one:0", "two:0", *WAITED)
    assert first == "one:trial 0 waits as long as two:trial 0: a tie over 8 seeds of kasan."


def test_a_bound_is_named_as_such(compare: Compare) -> None:
    compare.write(Made("one", WAITS, workloads=[SEEDED]))
    said = compare.said("ideal", "0", *WAITED)
    assert said[0].startswith("ideal waits less than trial 0")
    assert "ideal is a bound, or needs other hardware: it is never an answer." in said
    # The best of a study is no bound, though it waits the least.
    assert compare.said("one", "carveout", *WAITED)[0].startswith(
        "trial 0 waits less than carveout"
    )


def test_scenarios_are_averaged_and_told_one_by_one(compare: Compare) -> None:
    def shorter_if_slow(scenario: str, workload: str, replicate: int) -> list[int]:
        of = WAITS["trial", 0 if scenario == "slow" else 1]
        return of(scenario, workload, replicate)

    waits = {**WAITS, ("trial", 0): shorter_if_slow}
    scenarios = {"slow": 2_000, "fast": 1_000}
    compare.write(Made("one", waits, workloads=[SEEDED], scenarios=scenarios))
    first, by_scenario, *_ = compare.said("0", "1", *WAITED)
    assert first.startswith(
        "In the mean over 2 scenarios: trial 0 waits less than trial 1, by 4.80 %"
    )
    assert by_scenario.startswith("By scenario: waits less in slow (")
    assert by_scenario.endswith("; a tie in fast.")


def test_names_are_trials_baselines_systems_and_studies(compare: Compare) -> None:
    compare.write(Made("one", WAITS, workloads=[SEEDED]), Made("two", WAITS, workloads=[SEEDED]))
    both = ["--study", "one", "--metric", "restored", "--json"]

    def labels(a: str, b: str) -> tuple[str, str]:
        code, out, _ = compare._command("compare", a, b, "--db", compare.database, *both)
        assert code == 0
        told = json.loads(out)
        return told["a"]["label"], told["b"]["label"]

    assert labels("2", "trial 1") == ("trial 2", "trial 1")
    assert labels("gcma", "carveout") == ("gcma", "carveout")
    assert labels("gcma, drop folio", "baseline 1") == ("gcma, drop folio", "carveout")
    assert labels("cleancache", "one") == ("trial 0", "trial 0")
    assert labels("two:gcma", "two: trial 1") == ("gcma", "trial 1")
    assert labels("two", "1") == ("two:trial 0", "one:trial 1")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["gcmaa", "0"], "no policy gcmaa, did you mean gcma?"),
        (["zswap", "0"], "study one has not tried zswap; it has trials, and gcma; carveout; ideal; "
                         "gcma, drop folio; cleancache"),
        (["0", "99"], "study one has no trial 99; it has 0 to 2"),
        (["0", "1", "--study", "onr"], "no study onr, did you mean one?"),
        (["0", "1", "--metric", "restord"],
         "--metric: unknown metric restord, did you mean restored?"),
    ],
)  # fmt: skip
def test_a_bad_name_is_told_in_a_line(compare: Compare, words: list[str], told: str) -> None:
    compare.write(Made("one", WAITS, workloads=[SEEDED]))
    assert compare.refused(*words) == told


def test_a_policy_without_a_study_needs_one_where_there_are_several(compare: Compare) -> None:
    compare.write(Made("one", WAITS), Made("two", WAITS, events="others"))
    assert compare.refused("0", "1").startswith("0: which study is meant? It holds one, two; name ")
    assert compare.refused("one", "two:1").startswith("one:trial 0 and two:trial 1 share no run: ")


def test_a_study_under_two_simulators_is_compared_policy_by_policy(compare: Compare) -> None:
    compare.write(Made("one", WAITS), Made("one~1", WAITS, simulator="an earlier one"))
    paired, equal = compare.said("one", "one~1")
    assert paired == (
        "3 trials and 4 baselines of one and one~1 are paired, in 63 runs "
        "(simulator a simulator and an earlier one)."
    )
    assert equal == "one and one~1 are equal in every outcome."
    changed = {**WAITS, ("trial", 2): waiting(32_000)}
    del changed["baseline", 3]
    compare.write(Made("one~2", changed, simulator="another", restored=10))
    said = compare.said("one", "one~2")
    assert said[1:] == [
        "Policies only in one: 1; only in one~2: 0.",
        "one and one~2 differ in 7 of 55 outcomes: restored, read_ns, wait_ns, time_saved_ns and 3 "
        "more.",
        said[-1],
    ]
    assert said[-1].startswith("The most in proportion: ")
    longer, *_ = compare.said("one:2", "one~2:2")
    assert longer.startswith("one:trial 2 waits longer than one~2:trial 2")


def test_json_has_every_number(compare: Compare) -> None:
    compare.write(Made("one", WAITS))
    code, out, _ = compare._command("compare", "0", "1", "--db", compare.database, "--json")
    told = json.loads(out)
    assert code == 0
    assert [metric["metric"] for metric in told["metrics"]] == ["wait_saved_ns", "time_saved_ns"]
    seeded, capture, total = told["metrics"][0]["pairs"]
    assert (seeded["workload"], capture["workload"], total["workload"]) == (SEEDED, CAPTURE, None)
    # Of all runs: eight seeds of one workload, and a capture.
    assert total["all_missed_ns"] == 9 * 64_000
    for pair in (seeded, capture, total):
        difference, effect = pair["difference"], pair["effect_ratio"]
        assert difference["low"] < difference["mean"] < difference["high"]
        assert difference["mean"] == pytest.approx(pair["a"] - pair["b"])
        assert effect["mean"] == pytest.approx(difference["mean"] / pair["all_missed_ns"])
    assert told["a"] == {
        "label": "trial 0", "study": "one", "role": "trial", "number": 0, "attainable": True,
    }  # fmt: skip
    assert told["sentences"]


def test_the_first_objective_is_compared_too(compare: Compare) -> None:
    compare.write(Made("one", WAITS, objective="restored"))
    _, out, _ = compare._command("compare", "0", "1", "--db", compare.database, "--json")
    metrics = [metric["metric"] for metric in json.loads(out)["metrics"]]
    assert metrics == ["wait_saved_ns", "time_saved_ns", "restored"]


def test_a_real_study_is_compared(compare: Compare, tmp_path: Path) -> None:
    small_study.write_trace(tmp_path)
    small_study.run(small_study.write_study(tmp_path, n_trials=8), compare.database)
    first, *_ = compare.said("small", "carveout", *WAITED)
    assert first.startswith("Within this capture only: ")
    assert first.endswith("over 64 parts of small.parquet).")
    assert compare.said("3", "3")[0] == "trial 3 and trial 3 are equal in every outcome."

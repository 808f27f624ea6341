"""What a verdict says: of losses, ties, constants, worlds and doubt."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.cost_presets import SOURCED_PRESETS
from core.costs import COST_FIELDS, Costs
from sweep.cli.answer import answer_of, show
from sweep.study.read import parse_study
from sweep.verdict.on_costs import swings
from tests.inputs.judged_studies import Given, findings_of, store_study

TEXT = """\
study: judged
workload: [{trace: a.parquet}, {trace: b.parquet}]
policy: {system: cleancache}
parameters:
  eviction: {type: categorical, choices: [fifo, lru, clock, sieve]}
  headroom: {type: float, low: 0.0, high: 0.5, step: 0.25}
baselines: [{system: carveout}, {preset: gcma}]
objectives: [{metric: wait_saved_ratio, direction: maximize}]
sampler: {name: grid}
"""
AS_GIVEN = "as given"
CARVEOUT = Given({}, {AS_GIVEN: 0.0})
SCENARIOS = "scenarios: [{name: kind, read_random_ns: 440000}, {name: harsh}]\n"


def _trial(eviction: str, wait: float, headroom: float = 0.0, **more: object) -> Given:
    asked = {"eviction": eviction, "headroom": headroom}
    return Given(asked, {AS_GIVEN: wait}, **more)  # type: ignore[arg-type]


def _gcma(wait: float) -> Given:
    return Given({}, {AS_GIVEN: wait})


def test_where_every_policy_loses_it_says_that_doing_nothing_is_better(tmp_path: Path) -> None:
    path = tmp_path / "r.duckdb"
    store_study(path, TEXT, [_trial("fifo", -0.02), _trial("lru", -0.05)], [CARVEOUT, _gcma(0.01)])
    (said,) = findings_of(path, TEXT)["carve_out"]
    assert said.numbers["beats"] is False
    assert said.text.startswith(
        "None of 2 policies saves more than the carve-out of today. Trial 0"
    )
    assert "Leave tag storage alone" in said.text
    assert "makes tasks wait 2 % longer" in said.text


def test_where_all_lose_by_what_is_asked_for_it_says_so_whatever_else_is_gained(
    tmp_path: Path,
) -> None:
    path = tmp_path / "r.duckdb"
    text = TEXT.replace("wait_saved_ratio", "time_saved_ns")
    trial = Given({"eviction": "fifo", "headroom": 0.0}, {AS_GIVEN: 0.01}, {AS_GIVEN: -0.03})
    store_study(path, text, [trial], [CARVEOUT])
    (said,) = findings_of(path, text)["carve_out"]
    assert said.numbers["beats"] is False
    assert said.text.startswith("By time_saved, which is asked for and is 0 of the carve-out")


def test_what_wins_says_by_how_much_of_the_wait_and_of_the_disk_time(tmp_path: Path) -> None:
    path = tmp_path / "r.duckdb"
    best = Given({"eviction": "lru", "headroom": 0.0}, {AS_GIVEN: 0.04}, {AS_GIVEN: 0.03})
    store_study(path, TEXT, [best, _trial("fifo", 0.01)], [CARVEOUT, _gcma(0.01)])
    found = findings_of(path, TEXT)
    (said,) = found["carve_out"]
    assert said.numbers["beats"] is True
    assert "makes tasks wait 4 % less for the disk" in said.text
    assert "takes 3 % less of disk and CPU time" in said.text
    assert "within these captures only" in said.text
    (posted,) = found["gcma"]
    assert "makes tasks wait 3 % less for the disk" in posted.text
    assert "takes 2 % less of disk and CPU time" in posted.text


def test_a_policy_that_loses_to_gcma_is_not_said_to_beat_it(tmp_path: Path) -> None:
    path = tmp_path / "r.duckdb"
    store_study(path, TEXT, [_trial("lru", 0.02)], [CARVEOUT, _gcma(0.05)])
    (posted,) = findings_of(path, TEXT)["gcma"]
    assert posted.text.startswith("Trial 0 loses to gcma as posted: it makes tasks wait 3 % longer")
    assert posted.numbers["beats"] is False
    (baseline,) = findings_of(path, TEXT)["baseline"]
    assert baseline.numbers["baselines"] == ["gcma"]


def test_where_gcma_did_not_run_it_says_so(tmp_path: Path) -> None:
    path = tmp_path / "r.duckdb"
    text = TEXT.replace("baselines: [{system: carveout}, {preset: gcma}]\n", "")
    store_study(path, text, [_trial("lru", 0.02)])
    (posted,) = findings_of(path, text)["gcma"]
    assert posted.numbers == {"ran": False}
    assert "not known" in posted.text


def test_policies_that_are_equal_are_a_tie_and_all_are_named(tmp_path: Path) -> None:
    path = tmp_path / "r.duckdb"
    trials = [_trial(word, 0.03) for word in ("fifo", "lru", "clock", "sieve")]
    store_study(path, TEXT, trials, [CARVEOUT])
    found = findings_of(path, TEXT)
    (tie,) = found["tie"]
    assert tie.numbers == {"trials": [0, 1, 2, 3], "equal_in": "every outcome"}
    assert "eviction (fifo, lru, clock and sieve)" in tie.text
    (effects,) = found["effects"]
    assert effects.text.startswith("No parameter moves the best")


def test_trials_that_repeat_one_policy_are_no_tie(tmp_path: Path) -> None:
    path = tmp_path / "r.duckdb"
    store_study(path, TEXT, [_trial("lru", 0.03), _trial("lru", 0.03)], [CARVEOUT])
    found = findings_of(path, TEXT)
    assert "tie" not in found
    (budget,) = found["budget"]
    assert budget.text == "1 distinct policies in 2 trials; the last improvement at trial 0."


def test_a_constant_goal_is_called_one(tmp_path: Path) -> None:
    path = tmp_path / "r.duckdb"
    text = TEXT.replace(
        "maximize}]", "maximize}, {metric: reservation_p99_ns, direction: minimize}]"
    )
    p99 = {"reservation_p99_ns": 2734}
    trials = [_trial("lru", 0.03, outcomes=p99), _trial("fifo", 0.01, outcomes=p99)]
    store_study(path, text, trials, [CARVEOUT])
    (constant,) = findings_of(path, text)["constant"]
    assert constant.numbers == {"goal": "reservation_p99_ns", "value": 2734.0}
    assert "told no policies apart" in constant.text


def test_within_the_noise_of_the_parts_no_policy_is_called_better(tmp_path: Path) -> None:
    path = tmp_path / "r.duckdb"
    trials = [_trial("lru", 0.0301, noise=0.05), _trial("fifo", 0.03, noise=0.05),
              _trial("clock", -0.5, noise=0.05)]  # fmt: skip
    store_study(path, TEXT, trials, [CARVEOUT])
    (noise,) = findings_of(path, TEXT)["noise"]
    assert noise.numbers["trials"] == [1]


def test_what_the_noise_hides_is_not_said_to_beat_or_to_lose(tmp_path: Path) -> None:
    path = tmp_path / "r.duckdb"
    for number, wait in enumerate((0.01, -0.01)):
        text = TEXT.replace("judged", f"judged-{number}")
        store_study(path, text, [_trial("lru", wait, noise=0.5)], [CARVEOUT])
        (said,) = findings_of(path, text)["carve_out"]
        assert "cannot be told from the carve-out of today" in said.text
        assert "Leave tag storage alone" not in said.text
        assert said.numbers["beats"] is False


def test_of_few_seeds_a_policy_seems_ahead_in_every_scenario(tmp_path: Path) -> None:
    path = tmp_path / "r.duckdb"
    text = TEXT.replace("[{trace: a.parquet}, {trace: b.parquet}]", "[{synthetic: zipf}]")
    text += SCENARIOS
    trial = Given({"eviction": "lru", "headroom": 0.0}, {"kind": 0.10, "harsh": 0.05})
    store_study(path, text, [trial], [Given({}, {"kind": 0.0, "harsh": 0.0})] * 2)
    (said,) = findings_of(path, text)["carve_out"]
    assert said.text.startswith("Trial 0 seems ahead of the carve-out of today in 2 of 2 scenarios")
    assert "one seed is too few to say" in said.text


def test_a_share_is_that_of_all_runs_as_the_objective_is(tmp_path: Path) -> None:
    # Six seeds of one workload, and one capture: seven runs, as in the trial's own ratio.
    path = tmp_path / "r.duckdb"
    text = TEXT.replace("[{trace: a.parquet}, {trace: b.parquet}]", "[{synthetic: zipf}]")
    text += "replicates: 6\n"
    best = Given({"eviction": "lru", "headroom": 0.0}, {AS_GIVEN: [0.1, 0.2, 0.3, 0.1, 0.2, 0.3]})
    store_study(path, text, [best], [Given({}, {AS_GIVEN: [0.0] * 6})])
    found = findings_of(path, text)
    share = found["carve_out"][0].numbers["scenarios"][AS_GIVEN]["wait_saved_share"]["mean"]
    assert abs(share - found["best"][0].numbers["objectives"][0]) < 1e-12


def test_only_feasible_policies_are_counted_among_those_that_lose(tmp_path: Path) -> None:
    path = tmp_path / "r.duckdb"
    text = TEXT + "constraints: [{metric: stored, upper: 5}]\n"
    beyond = _trial("lru", 0.5, outcomes={"stored": 9})
    store_study(path, text, [_trial("fifo", -0.2), beyond], [CARVEOUT])
    (said,) = findings_of(path, text)["carve_out"]
    assert "None of" not in said.text
    assert "Trial 0 loses to the carve-out of today" in said.text
    store_study(path, text.replace("judged", "none"), [beyond], [CARVEOUT])
    (best,) = findings_of(path, text.replace("judged", "none"))["best"]
    assert best.text.startswith("None of 1 complete trial keeps every constraint (on stored)")
    assert "nearest is trial 0, 4 beyond" in best.text


def test_a_tie_in_the_goal_alone_tells_how_other_outcomes_differ(tmp_path: Path) -> None:
    path = tmp_path / "r.duckdb"
    text = TEXT.replace("wait_saved_ratio, direction: maximize", "stored, direction: minimize")
    store_study(path, text, [_trial("lru", 0.02), _trial("fifo", 0.05)], [CARVEOUT])
    (tie,) = findings_of(path, text)["tie"]
    assert tie.numbers["equal_in"] == "every goal"
    assert "wait_saved_ratio 0.02 to 0.05" in tie.text
    assert "no difference" not in tie.text


def test_effects_are_among_the_policies_that_search_a_parameter(tmp_path: Path) -> None:
    path = tmp_path / "r.duckdb"
    head, tail = TEXT.split("policy: ", 1)
    rest = tail[tail.index("baselines") :]
    text = head + (
        "policies:\n"
        "  - {policy: {system: cleancache}, parameters: "
        "{eviction: {type: categorical, choices: [fifo, lru]}}}\n"
        "  - {policy: {system: cleancache}, parameters: "
        "{eviction: {type: categorical, choices: [clock, sieve]}}}\n"
        "  - {policy: {system: cleancache, eviction: none}}\n"
    ) + rest  # fmt: skip
    waits = {"fifo": (0.1, 0), "lru": (0.2, 0), "clock": (0.3, 1), "sieve": (0.4, 1)}
    trials = [
        Given({"eviction": word}, {AS_GIVEN: wait}, subspace=place)
        for word, (wait, place) in waits.items()
    ]
    trials.append(Given({}, {AS_GIVEN: 0.9}, subspace=2))
    store_study(path, text, trials, [CARVEOUT])
    found = findings_of(path, text)
    assert "eviction (0.4 at sieve, 0.1 at fifo)" in found["effects"][0].text
    assert found["policies"][0].numbers["trials"] == [4, 3, 1]


def test_each_scenario_has_its_best_and_the_least_regret_is_told(tmp_path: Path) -> None:
    path = tmp_path / "r.duckdb"
    text = TEXT + SCENARIOS
    trials = [
        Given({"eviction": "fifo", "headroom": 0.0}, {"kind": 0.10, "harsh": -0.05}),
        Given({"eviction": "lru", "headroom": 0.0}, {"kind": 0.03, "harsh": 0.02}),
        Given({"eviction": "clock", "headroom": 0.0}, {"kind": 0.09, "harsh": 0.015}),
    ]
    store_study(path, text, trials, [Given({}, {"kind": 0.0, "harsh": 0.0})] * 2)
    found = findings_of(path, text)
    (scenario,) = found["scenario"]
    assert {name: best["trial"] for name, best in scenario.numbers["best"].items()} == {
        "kind": 0,
        "harsh": 1,
    }
    (regret,) = found["regret"]
    assert regret.numbers["trial"] == 2
    assert abs(regret.numbers["regret"] - 0.01) < 1e-9
    (best,) = found["best"]
    assert best.numbers["trial"] == 1, "the worst scenario counts"


def test_a_policy_that_wins_in_one_world_only_is_said_to(tmp_path: Path) -> None:
    path = tmp_path / "r.duckdb"
    text = TEXT + SCENARIOS
    trial = Given({"eviction": "lru", "headroom": 0.0}, {"kind": 0.10, "harsh": -0.05})
    nothing = Given({}, {"kind": 0.0, "harsh": 0.0})
    store_study(path, text, [trial], [nothing, nothing])
    (said,) = findings_of(path, text)["carve_out"]
    assert said.numbers["beats"] is False
    assert "beats the carve-out of today in 1 of 2 scenarios (kind)" in said.text
    assert "loses to it in 1 of 2 scenarios (harsh)" in said.text


def test_bounds_and_other_hardware_are_never_the_answer(tmp_path: Path) -> None:
    path = tmp_path / "r.duckdb"
    head, tail = TEXT.split("policy: ", 1)
    rest = tail[tail.index("baselines") :]
    text = head + (
        "policies: [{policy: {system: ideal}}, {policy: {system: tmem}}, "
        "{policy: {system: cleancache}}]\n"
    ) + rest  # fmt: skip
    trials = [Given({}, {AS_GIVEN: wait}, subspace=place) for place, wait in
              enumerate((0.5, 0.4, 0.1))]  # fmt: skip
    store_study(path, text, trials, [CARVEOUT])
    found = findings_of(path, text)
    assert found["best"][0].numbers["trial"] == 2
    assert [each.numbers["system"] for each in found["beyond"]] == ["ideal", "tmem"]
    assert all("it is no answer" in each.text for each in found["beyond"])


def test_failed_trials_are_told_with_their_reasons(tmp_path: Path) -> None:
    path = tmp_path / "r.duckdb"
    text = TEXT.replace("wait_saved_ratio", "share_of_ideal")
    none = {"share_of_ideal": None}
    trials = [_trial("lru", 0.1, outcomes={"share_of_ideal": 0.3}),
              _trial("fifo", 0.1, outcomes=none), _trial("clock", 0.1, outcomes=none)]  # fmt: skip
    store_study(path, text, trials, [CARVEOUT])
    (failed,) = findings_of(path, text)["failed"]
    assert failed.text == "2 trials failed (2: share_of_ideal has no value (NULL))."


def test_one_seed_is_too_few_to_say(tmp_path: Path) -> None:
    path = tmp_path / "r.duckdb"
    text = TEXT.replace("[{trace: a.parquet}, {trace: b.parquet}]", "[{synthetic: zipf}]")
    store_study(path, text, [_trial("lru", 0.1)], [CARVEOUT])
    (said,) = findings_of(path, text)["carve_out"]
    assert "one seed is too few to say" in said.text
    assert "95 %" not in said.text


def test_seeds_give_an_interval_and_a_spread(tmp_path: Path) -> None:
    path = tmp_path / "r.duckdb"
    text = TEXT.replace("[{trace: a.parquet}, {trace: b.parquet}]", "[{synthetic: zipf}]")
    text += "replicates: 6\n"
    waits = [0.05, 0.06, 0.04, 0.05, 0.07, 0.03]
    best = Given({"eviction": "lru", "headroom": 0.0}, {AS_GIVEN: waits})
    store_study(path, text, [best], [Given({}, {AS_GIVEN: [0.0] * 6})])
    found = findings_of(path, text)
    (said,) = found["carve_out"]
    assert "95 % intervals over 6 seeds" in said.text
    interval = said.numbers["scenarios"][AS_GIVEN]["wait_saved_share"]
    assert interval["low"] < 0.05 < interval["high"]
    (seeds,) = found["seeds"]
    assert "from 3 % to 7 %" in seeds.text


def test_a_verdict_says_which_cost_would_turn_it(tmp_path: Path) -> None:
    path = tmp_path / "r.duckdb"
    by_cost = {"read_random_ns": 1000, "lookup_ns": -500_000}
    store_study(path, TEXT, [_trial("lru", 0.1, by_cost=by_cost)], [CARVEOUT])
    (costs,) = findings_of(path, TEXT)["costs"]
    assert "turns at read_random_ns" in costs.text
    assert costs.numbers["against"] is None


@settings(max_examples=200)
@given(
    st.dictionaries(st.sampled_from(COST_FIELDS), st.integers(-(10**6), 10**6)),
    st.sampled_from(sorted(SOURCED_PRESETS)),
)
def test_at_the_cost_that_turns_it_nothing_is_saved(by_cost: dict[str, int], preset: str) -> None:
    world = vars(SOURCED_PRESETS[preset].costs)
    saved_ns = sum(times * world[cost] for cost, times in by_cost.items())
    for swing in swings(by_cost, world, preset):
        times = by_cost[swing.cost]
        ends = (swing.at_least_ns, swing.at_most_ns)
        assert ends[0] == saved_ns + times * (swing.least_ns - swing.value_ns)
        if swing.turns_ns is not None:
            left = saved_ns + times * (swing.turns_ns - swing.value_ns)
            assert abs(left) <= abs(times) * 1e-3
            assert min(ends) <= 0 <= max(ends)
        elif saved_ns:
            assert min(ends) > 0 or max(ends) < 0


def test_costs_of_the_default_are_plausible_in_their_preset() -> None:
    swung = {
        swing.cost for swing in swings(dict.fromkeys(COST_FIELDS, 1), vars(Costs()), "ufs_phone")
    }
    assert swung == set(COST_FIELDS)


def test_a_name_with_brackets_is_shown_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.duckdb"
    text = TEXT.replace("maximize}", "maximize, over: each}")
    text += 'scenarios: [{name: "a[/b]"}, {name: "[red]x", read_random_ns: 440000}]\n'
    trial = Given({"eviction": "lru", "headroom": 0.0}, {"a[/b]": 0.1, "[red]x": 0.2})
    name = store_study(path, text, [trial])
    study = parse_study(text, path)
    show(study, name, answer_of(study, name, path, 5), as_json=False)
    shown = capsys.readouterr().out
    assert "wait_saved_ratio in a[/b]" in shown
    assert "wait_saved_ratio in [red]x" in shown


def test_a_cost_beyond_its_plausible_range_is_told_where_it_turns_the_sign() -> None:
    # A loss of 1,930 ns, which the study's own lookup of 3 us makes: it turns at 1.07 us.
    world = vars(Costs()) | {"lookup_ns": 3000}
    times = {"lookup_ns": -1, "copy_in_ns": 0, "read_random_ns": 0, "slot_drop_ns": 0}
    times["reserve_base_ns"] = 1
    world["reserve_base_ns"] = 1070
    (swing,) = (each for each in swings(times, world, "ufs_phone") if each.cost == "lookup_ns")
    assert swing.most_ns == 3000
    assert swing.turns_ns == 1070

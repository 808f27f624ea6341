"""A study with a mistake is refused by place, with what was meant, and never by a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from study_mistakes import GOOD, STUDIES, TRACE, changed, mistakes

from core.policy import POLICY_FIELDS
from sweep.study.model import Study
from sweep.study.read import load_study, parse_study, validate_source
from sweep.study.yaml_source import SourceError, parse_source

EVICTION = "{type: categorical, choices: [fifo, lru]}"


ORDER = "{type: int, low: 0, high: 3}"


TOP = ", ".join(Study.model_fields)


def test_the_study_that_the_mistakes_are_made_in_is_good() -> None:
    assert mistakes(GOOD) == []
    # A grid has an end by itself.
    assert mistakes(changed(("random", "grid"), ("n_trials: 4\n", ""))) == []


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_study_of_the_project_validates(path: Path) -> None:
    study, source = load_study(path)
    assert parse_study(source.text, Path("elsewhere.yaml")) == study


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # Keys
        ("sampler:", "sampller:", ["8:1: unknown key sampller, did you mean sampler?"]),
        ("study: s", "study: s\nhue: 3", [f"2:1: unknown key hue; expected one of {TOP}"]),
        ("{name: random}", "{name: random, n_trials: 4}",
         ["8:25: unknown key n_trials; it is a key of the study itself"]),
        ("study: s", "study: s\nseed: 3",
         ["2:1: unknown key seed; it is a key of workload, policy, baselines, sampler"]),
        ("study: s", "study: s\n12: 3", [f"2:1: unknown key 12; expected one of {TOP}"]),
        ("study: s", "study: s\n[a]: 3", ["2:1: a key is a word, not a list or a mapping"]),
        ("n_trials: 4", "n_trials: 4\nn_trials: 5",
         ["10:1: duplicate key n_trials; it stands on line 9 too"]),
        ("low: 0,", "low: 0, low: 1,", ["5:36: duplicate key low; it stands on line 5 too"]),
        ("direction: maximize", "diretcion: maximize", ["7:5: key direction is missing",
         "7:29: unknown key diretcion, did you mean direction?"]),
        # Words
        ("time_saved_ns", "time_saved", ["7:14: unknown metric time_saved, did you mean "
         "time_saved_ns?"]),
        ("maximize", "max", ['7:40: direction cannot be "max", did you mean maximize?']),
        ("random", "annealing", ['8:17: name cannot be "annealing"; expected one of auto, grid, '
         "random, qmc, tpe, nsga2, nsga3, cmaes, gp"]),
        ("[fifo, lru]", "[FIFO, lru]", ['4:43: eviction cannot be "FIFO", did you mean fifo?']),
        ("int,", "integer,", ['5:23: unknown type "integer", did you mean int?']),
        ("study: s", "study: a/b", ["1:8: study should be of letters, digits, '.', '_' and '-', "
         'and begin with a letter or a digit, not "a/b"']),
        # Types
        ("study: s", "study: 12", ["1:8: study should be text (in quotes), not 12"]),
        ("n_trials: 4", "n_trials: four", ['9:11: n_trials should be a whole number, not "four"']),
        ("n_trials: 4", "n_trials: 4.0", ["9:11: n_trials should be a whole number, not 4.0"]),
        ("n_trials: 4", "n_trials: true", ["9:11: n_trials should be a whole number, not true"]),
        ("n_trials: 4", "n_trials: 0", ["9:11: n_trials should be at least 1, not 0"]),
        ("n_trials: 4", "n_trials: 1" + "0" * 5000, ["9:11: n_trials: a number beyond 64 bits"]),
        ("n_trials: 4", "n_trials: 0x" + "f" * 999, ["9:11: n_trials: a number beyond 64 bits"]),
        ("n_trials: 4", "n_trials: .nan", ["9:11: n_trials should be a whole number, not NaN"]),
        ("low: 0", "low: true", ["5:33: low should be a whole number, not true"]),
        ("high: 3", "high: 3, log: yes", ['5:50: log should be true or false, not "yes"']),
        (EVICTION, "[fifo, lru]", ["4:13: eviction should be a mapping such as {type: categorical, "
         'choices: […]}, not ["fifo", "lru"]']),
        ("[fifo, lru]", "[fifo, 3, true, ~, [a]]",
         ["4:49: eviction cannot be 3; expected one of fifo, lru, clock, sieve, s3fifo, random, "
          "none", "4:52: choices[2] should be text or a number, not true",
          "4:58: choices[3] has no value",
          '4:61: choices[4] should be text or a number, not ["a"]']),
        # Ranges
        ("high: 3", "high: 12", ["5:42: folio_order should be at most 9, not 12"]),
        ("low: 0", "low: 4", ["5:33: folio_order: low 4 is above high 3"]),
        ("high: 3", "high: 3, step: 9", ["5:51: folio_order: step 9 is wider than from 0 to 3"]),
        ("high: 3", "high: 3, step: 2",
         ["5:42: folio_order: steps of 2 from 0 miss 3, did you mean 2?"]),
        ("high: 3", "high: 3, log: true",
         ["5:33: folio_order: a log range begins above 0, not at 0"]),
        ("low: 0, high: 3", "low: 1, high: 3, log: true, step: 2",
         ["5:62: folio_order: a log range has no step"]),
        ("type: int", "type: float", ["5:23: folio_order is a whole number: type int"]),
        (EVICTION, ORDER,
         ["4:20: eviction is a word, not a number: type categorical, with choices"]),
        ("[fifo, lru]", "[fifo, lru, fifo]", ["4:54: eviction: fifo is a choice twice"]),
        ("eviction", "evictoin", ["4:3: unknown parameter evictoin, did you mean eviction?"]),
        # YAML
        ("study: s", "study: *s", ["1:8: not YAML: found undefined alias 's'"]),
        ("study: s", "study: s\n\tx: 1", ["2:1: not YAML: a tab; YAML is indented with spaces"]),
        ("study: s", "study: why: so", ["1:11: not YAML: a ':' out of place (quote the text, or "
         "mind the indentation?)"]),
        ("n_trials: 4\n", "n_trials: [4\n\n", ["9:13: not YAML: expected ',' or ']', but got the "
         "end of the file, while parsing a flow sequence that begins on line 9"]),
        ("n_trials: 4", "n_trials: 4\n---\na: b", ["10:1: not YAML: a second document begins; a "
         "study is one"]),
        ("study: s", "study: \a", ["1:8: not YAML: a control character, 0x07"]),
        ("study: s", "study: !!python/name:os.system s",
         ["1:8: a study has no tags such as !!python/name:os.system"]),
        ("[fifo, lru]", "&a [*a]", ["4:42: an alias of what it stands in"]),
        ("study: s", r'study: "\ud800"', [r"1:8: study: half a character ('\ud800')"]),
        # In a message, a line stays a line
        ("study: s", 'study: s\n"a\\nb": 3', [rf"2:1: unknown key a\nb; expected one of {TOP}"]),
    ],
)  # fmt: skip
def test_a_mistake_is_told_where_it_is_with_what_was_meant(
    old: str, new: str, expected: list[str]
) -> None:
    assert mistakes(changed((old, new))) == expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("machine: {tag_block_size: 4GB}", "10:27: tag_block_size: 4GB: no unit GB (there are B, "
         "KiB, MiB, GiB, TiB), did you mean 4GiB?"),
        ("machine: {data_memory: 4.5GiB}",
         "10:24: data_memory: '4.5GiB' is not a size such as 4KiB"),
        ("machine: {tag_block_size: 2GiB}",
         '10:27: tag_block_size should be at most 1073741824, not "2GiB"'),
        ("machine: {page_size: 5000}",
         "10:22: page_size: 5000 is not a power of two from 4KiB to 1GiB"),
        ("machine: {data_memory: 4097}",
         "10:24: data_memory is not a whole number of 4096-byte pages"),
        ("machine: {page_size: true}", "10:22: page_size should be a size such as 4KiB, not true"),
        ("costs: ufs", "10:8: unknown cost preset ufs, did you mean ufs_phone?"),
        ("costs: {lookup_ns: -1}", "10:20: lookup_ns should be at least 0, not -1"),
        ("policy: {headroom: 1}", "10:20: headroom should be below 1, not 1"),
        ("policy: {headroom: .nan}", "10:20: headroom should be a finite number, not NaN"),
        ("policy: {headroom: 5%}", '10:20: headroom should be a number, not "5%"'),
        ("policy: {preset: gcm}", "10:18: unknown preset gcm, did you mean gcma?"),
        ("policy: {eviction: lru}",
         "10:10: eviction is both fixed and searched (parameters.eviction)"),
        ("policy: {seed: 4}", "10:10: seed is read by eviction: random alone"),
        ("policy:", "10:1: policy has no value"),
        ("policy: [lru]", "10:9: policy should be a mapping with the keys "
         f'{", ".join(POLICY_FIELDS)}, preset, not ["lru"]'),
        ("baselines: {preset: gcma}", '10:12: baselines should be a list, not {"preset": "gcma"}'),
        ("constraints: [{metric: restored}]",
         "10:15: a constraint has the key lower or upper, or both"),
        ("constraints: [{metric: restored, lower: 2, upper: 1}]",
         "10:41: lower 2 is above upper 1"),
        ("generation: 1", "10:13: generation should be at least 2, not 1"),
    ],
)  # fmt: skip
def test_a_mistake_in_what_may_be_left_out_is_told_too(more: str, expected: str) -> None:
    assert mistakes(GOOD + more) == [expected]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([("random", "cmaes"), (ORDER, ORDER + "\n  headroom: {type: float, low: 0, high: 0.5}"),
          ("maximize}", "maximize}\n  - {metric: stored, direction: minimize}")],
         ["10:17: cmaes takes one objective, did you mean nsga2?"]),
        ([("{name: random}", "{name: cmaes}\nconstraints: [{metric: stored, upper: 0}]")],
         ["8:17: cmaes does not see constraints, did you mean tpe?",
          "8:17: cmaes needs two parameters of type int or float, did you mean tpe?"]),
        ([("maximize}", "maximize}\n  - {metric: time_saved_ns, direction: minimize}")],
         ["8:14: time_saved_ns is an objective twice"]),
        ([("random", "cmaes"), (ORDER, ORDER + "\n  headroom: {type: float, low: 0, high: 0.5}"),
          ("4\n", "4\ngeneration: 2\n")], ["11:13: cmaes needs a generation of at least 4"]),
        ([("random", "grid"), (ORDER, ORDER + "\n  headroom: {type: float, low: 0, high: 0.5}")],
         ["6:13: grid: headroom needs a step, or it has points without end"]),
        ([("random", "grid"), ("4\n", "9\n")], ["9:11: grid: there are 8 points, not 9"]),
        ([("random", "grid"), (ORDER, ORDER + "\n  headroom: "
          "{type: float, low: 0, high: 0.5, step: 0.0000001}")],
         ["9:17: grid: there are more than 10000000 points, did you mean random?"]),
        ([("4\n", "4\npolicy: {system: carveout}\n")],
         ["4:3: a carveout caches nothing: eviction would change nothing",
          "5:3: a carveout caches nothing: folio_order would change nothing"]),
        ([("n_trials: 4\n", "")], ["1:1: key n_trials is missing"]),
        ([("[{", "[{trace: traces/database-mglru-256w.parquet}, {")],
         [f"2:57: {TRACE} is a workload twice"]),
    ],
)  # fmt: skip
def test_what_makes_no_sense_together_is_refused(
    changes: list[tuple[str, str]], expected: list[str]
) -> None:
    assert mistakes(changed(*changes)) == expected


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = changed(("s\n", "s/\n"), ("mglru", "mglr"), ("fifo", "fifa"), ("high: 3", "hihg: 3"),
                   ("time_saved_ns", "ns"), ("random", "rnd"), ("4\n", "4KB\n"))  # fmt: skip
    places = [line.rsplit(": ", 1)[0].split(":")[:2] for line in mistakes(text)]
    assert [(int(line), int(column)) for line, column in places] == [
        (1, 8), (2, 20), (4, 43), (5, 16), (5, 36), (7, 14), (8, 17), (9, 11),
    ]  # fmt: skip


def test_each_mistake_is_an_item_and_the_error_stands_for_the_first() -> None:
    path = STUDIES / "s.yaml"
    with pytest.raises(SourceError) as raised:
        validate_source(parse_source(path, changed(("s\n", "s/\n"), ("4\n", "0\n"))))
    error = raised.value
    assert [(item.file, item.line, item.column) for item in error.mistakes] == [
        (path, 1, 8), (path, 9, 11),
    ]  # fmt: skip
    assert error.mistakes[1].what == "n_trials should be at least 1, not 0"
    first = (error.mistakes[0].what, path, 1, 8)
    assert (error.what, error.file, error.line, error.column) == first
    assert str(error).splitlines() == [str(item) for item in error.mistakes]


@pytest.mark.parametrize("nothing", ["", "[]", "{}", "0", "a", "[~]", "[[]]", "[{}]", "{a: b}"])
@pytest.mark.parametrize("section", Study.model_fields)
def test_a_section_of_the_wrong_form_is_refused_at_its_place(section: str, nothing: str) -> None:
    data = parse_source(Path("s"), GOOD).data | {section: "THIS"}
    if section == "policies":
        # They take the place of what a study of one policy has.
        data = {name: data[name] for name in data if name not in ("policy", "parameters")}
    # JSON is YAML, and puts each section on one line.
    lines = [f"{key}: {json.dumps(value)}" for key, value in data.items()]
    text = "\n".join(lines).replace('"THIS"', nothing)
    fine = {("study", "a"), ("question", "a"), *[(name, "{}") for name in ("machine", "costs")]}
    fine |= {("policy", "{}"), ("baselines", "[]"), ("baselines", "[{}]"), ("constraints", "[]")}
    fine |= {("policies", "[{}]"), ("scenarios", "{}"), ("warm_up", "0")}
    fine |= {("sampler", "{}"), ("stop", "{}")}
    messages = mistakes(text)
    assert bool(messages) == ((section, nothing) not in fine)
    line = next(i for i, text in enumerate(lines, 1) if text.startswith(f"{section}:"))
    assert all(message.startswith(f"{line}:") for message in messages)


@pytest.mark.parametrize(
    "text", [changed(("random", "rndom"), ("4\n", "4KB\n")), "a: &a [*a]", "["]
)
def test_the_command_tells_mistakes_on_stderr_and_exits_with_2(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text.replace(TRACE, str(STUDIES / TRACE)))
    command = [sys.executable, "-m", "sweep", "validate", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()
    assert all(line.startswith(f"{path}:") for line in done.stderr.splitlines())


def test_a_choice_is_told_once_in_a_study_of_several_policies() -> None:
    data = parse_source(Path("s"), GOOD).data
    data = {name: data[name] for name in data if name not in ("policy", "parameters")}
    eviction = {"type": "categorical", "choices": ["lru", {"a": "b"}]}
    text = json.dumps(data | {"policies": [{"parameters": {"eviction": eviction}}]})
    (told,) = mistakes(text)
    assert told.endswith('choices[1] should be text or a number, not {"a": "b"}')

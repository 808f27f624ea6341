"""The glossary: every name is explained, in the same words wherever a user meets it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from commands import CommandInThisProcess

from core.cost_presets import COST_PRESETS
from core.errors import InputError
from core.eviction import EVICTIONS
from core.outcomes import UNITS
from core.policy import DECLARED, POLICY_FIELDS, PRESETS
from core.system import SYSTEMS
from core.workload.synthetic import GENERATORS
from sweep.results.column_meanings import column_entries, meaning_of_column
from sweep.results.schema import TABLES
from sweep.results.wording import hover_texts, plain_name
from sweep.study.glossary import explained, glossary, short_meaning, vocabularies
from sweep.study.json_schema import json_schema
from sweep.study.model import SECTION_KEYS
from sweep.study.samplers import SAMPLERS
from sweep.study.searchable import SEARCHABLE
from sweep.study.worlds import WORLD_FIELDS

ENTRIES = [*glossary(), *column_entries()]
COLUMNS = [(table, column) for table, (columns, _) in TABLES.items() for column in columns]


@pytest.fixture
def say(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandInThisProcess:
    return CommandInThisProcess(monkeypatch, capsys)


def test_every_name_that_a_study_may_use_is_explained() -> None:
    names = {*UNITS, *SEARCHABLE, *WORLD_FIELDS, *PRESETS, *COST_PRESETS, *GENERATORS, *SAMPLERS}
    names |= {*SYSTEMS, *EVICTIONS}
    names |= {word for declared in DECLARED.values() for word in declared.words or ()}
    for section, keys in SECTION_KEYS.items():
        names |= {section, *keys} - {""}
    assert names - {entry.name for entry in ENTRIES} == set()


def test_every_entry_says_what_it_is_in_a_line() -> None:
    for entry in ENTRIES:
        assert entry.meaning, entry
        assert "\n" not in entry.meaning, entry
        assert not entry.meaning.endswith("."), entry
        assert entry.as_text().startswith(f"{entry.name} ({entry.kind}): {entry.meaning}")


def test_a_name_means_one_thing_of_a_kind() -> None:
    places = [(entry.name, entry.kind) for entry in ENTRIES]
    assert len(places) == len(set(places))


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_every_column_has_a_meaning(table: str, column: str) -> None:
    assert meaning_of_column(table, column)


@pytest.mark.parametrize(
    ("table", "column", "meaning"),
    [
        ("trials", "wait_ns", " (ns)"),
        ("runs", "series_cached_pages", " (pages)"),
        ("trials", "headroom", " (ratio)"),
        ("scenarios", "tag_block_size", "bytes of a tag block"),
        ("runs", "workload", "the workload: "),
        ("scenarios", "read_random_ns", " (ns)"),
        ("trials", "objectives", "the values of the study's goals"),
    ],
)
def test_a_column_tells_its_unit(table: str, column: str, meaning: str) -> None:
    assert meaning in meaning_of_column(table, column)


@pytest.mark.parametrize(
    ("name", "kind", "facts"),
    [
        ("hit_ratio", "metric", {"unit": "ratio", "formula": "restored / (restored + missed)"}),
        ("wait_ns", "metric", {"unit": "ns", "better": "less is better"}),
        ("peak_reserved", "metric", {"several workloads": "the largest of the workloads"}),
        ("headroom", "policy field", {"unit": "ratio", "varied": "by the search"}),
        ("guest_ratio", "policy field", {"default": 0.0, "varied": "over scenarios"}),
        ("slot_reclaim_batch", "policy field", {"range": (1, 2**20), "read by": ["cleancache"]}),
        ("workingset", "word of admission", {}),
        ("dynamic", "word of headroom_mode", {}),
        ("ideal", "system", {"pays": {"cpu_ns": "nothing", "wait_ns": "nothing"}}),
        ("lru", "eviction", {"read by": ["cleancache", "tmem"]}),
        ("swap_write_ns", "cost", {"plausible": (14_290, 250_000), "paid by": ["zswap"]}),
        ("read_ns", "metric", {}),
        ("emmc_phone", "cost preset", {"costs": vars(COST_PRESETS["emmc_phone"])}),
        ("classic", "policy preset", {"fields": {"eviction": "fifo", "restore": "exclusive"}}),
        ("zipf", "synthetic workload", {}),
        ("launches", "workload parameter", {"unit": "launches", "defaults": {"app_launch": 300}}),
        ("swappiness", "kernel setting", {"default": 60}),
        ("cmaes", "sampler", {"takes no": ["several objectives", "constraints"]}),
        ("n_trials", "key of a study", {}),
        ("upper", "key of constraints", {}),
        ("step", "key of a parameter of type int", {"default": 1}),
        ("float", "type of a parameter", {}),
        ("phases", "column of runs", {}),
    ],
)
def test_a_name_of_each_kind_is_explained(name: str, kind: str, facts: dict[str, Any]) -> None:
    (entry,) = (entry for entry in explained(name, ENTRIES) if entry.kind == kind)
    assert {label: entry.facts[label] for label in facts} == facts


def test_a_word_of_several_kinds_is_explained_for_each() -> None:
    kinds = {entry.kind for entry in explained("none", ENTRIES)}
    assert {"eviction", "word of anonymous", "word of metadata"} <= kinds


def test_the_ideal_is_told_as_a_bound_and_a_cost_by_who_pays_it() -> None:
    (ideal,) = explained("ideal", ENTRIES)
    assert ideal.facts["never the answer"] == SYSTEMS["ideal"].beyond
    for cost, outcomes in (("lookup_ns", {"wait_ns", "cpu_ns"}), ("compress_ns", {"cpu_ns"})):
        (entry,) = explained(cost, ENTRIES)
        assert outcomes <= set(entry.facts["counts in"])


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("hitratio", "unknown name hitratio, did you mean hit_ratio?"),
        ("WAIT-NS", "unknown name WAIT-NS, did you mean wait_ns?"),
        ("qqq", "unknown name qqq; sweep explain alone lists all names"),
        ("", "unknown name ; sweep explain alone lists all names"),
    ],
)
def test_an_unknown_name_is_told_with_what_was_meant(
    name: str, told: str, say: CommandInThisProcess
) -> None:
    with pytest.raises(InputError, match="unknown name"):
        explained(name, ENTRIES)
    assert say("explain", name) == (2, "", f"{told}\n")


def test_explain_prints_text_and_json(say: CommandInThisProcess) -> None:
    code, text, err = say("explain", "offer")
    assert (code, err) == (0, "")
    assert "mapped: only folios whose blocks" in text
    assert "read by  cleancache, zswap, tmem" in text
    (told,) = json.loads(say("explain", "offer", "--json")[1])
    assert told["words"]["mapped"].startswith("only folios whose blocks")


def test_explain_alone_lists_every_name(say: CommandInThisProcess) -> None:
    listed = json.loads(say("explain", "--json")[1])
    assert {name for names in listed.values() for name in names} == {e.name for e in ENTRIES}
    lines = say("explain")[1].splitlines()
    assert [line.partition(":")[0] for line in lines] == list(listed)


def described(part: Any) -> Iterator[tuple[list[str], list[str]]]:
    """Yield each list of words in a schema, and what it says of them."""
    if isinstance(part, dict):
        if "enum" in part:
            yield part["enum"], part.get("enumDescriptions", [])
        part = list(part.values())
    if isinstance(part, list):
        for item in part:
            yield from described(item)


def test_the_editor_shows_the_same_words() -> None:
    schema = json_schema()
    told = {tuple(words): descriptions for words, descriptions in described(schema)}
    for words in vocabularies():
        assert told[tuple(words)] == list(words.values())
    # All lists of words are described, but for the names of parameters and two directions.
    bare = {words for words, descriptions in told.items() if not descriptions}
    assert bare == {tuple(SEARCHABLE), ("minimize", "maximize"), ("worst", "mean", "each")}
    searched = schema["definitions"]["Searched"]["properties"]
    grid, worlds = schema["properties"]["scenarios"]["anyOf"]
    for names, keys in (
        (SEARCHABLE, searched),
        (WORLD_FIELDS, grid["properties"]),
        (WORLD_FIELDS, worlds["items"]["properties"]),
    ):
        assert {name: keys[name]["description"] for name in names} == {
            name: short_meaning(name) for name in names
        }


def test_the_editor_describes_every_key() -> None:
    schema = json_schema()
    for name, section in {"Study": schema, **schema["definitions"]}.items():
        for key, value in section.get("properties", {}).items():
            assert value.get("description"), f"{name}.{key}"


def test_no_two_places_have_the_same_words() -> None:
    # Their words in the schema are told apart by what they are.
    for one, other in combinations(vocabularies(), 2):
        assert list(one) != list(other)


@pytest.mark.parametrize("name", [*UNITS, *POLICY_FIELDS])
def test_the_headings_of_a_report_show_the_same_words(name: str) -> None:
    assert hover_texts(["number", name]) == {plain_name(name): short_meaning(name)}

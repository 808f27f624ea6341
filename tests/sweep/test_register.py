"""The register of studies: one name, one study, one run of it at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from database_processes import held

from core.evaluator import Workloads
from core.jit import CORE_DIGEST
from sweep.engine.inputs import Inputs
from sweep.engine.register import StartAfresh, StudyChangedError, only_run, register
from sweep.results import Store, StoreError, answer_query
from sweep.results.schema import TABLES
from sweep.study.model import Study
from sweep.study.read import parse_study
from sweep.study.worlds import AS_GIVEN

TEXT = """
study: s
question: Which?
workload: [{trace: a.parquet}, {trace: b.parquet}]
policy: {admission: all}
parameters:
  eviction: {type: categorical, choices: [fifo, lru]}
  folio_order: {type: int, low: 0, high: 3}
baselines: [{preset: gcma}, {system: carveout}]
objectives: [{metric: time_saved_ns, direction: maximize}]
sampler: {name: random, seed: 7}
n_trials: 4
"""
STUDY_YAML = Path("s.yaml")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.duckdb"


def study_of(text: str = TEXT) -> Study:
    return parse_study(text, STUDY_YAML)


def inputs(digests: tuple[str, ...] = ("d1", "d2")) -> Inputs:
    return Inputs(Workloads((), (), ()), ["a.parquet", "b.parquet"], [0, 0], list(digests), [])


def enter(
    path: Path,
    text: str = TEXT,
    afresh: StartAfresh = StartAfresh.NEVER,
    given: Inputs | None = None,
) -> str | None:
    return register(Store(path), study_of(text), text, given or inputs(), STUDY_YAML, afresh)


def record(path: Path, count: int, study: str = "s", core: str = CORE_DIGEST) -> None:
    store = Store(path)
    for number in range(count):
        place = {"study": study, "role": "trial", "number": number}
        digest = {"policy_key": str(number), "core_digest": core}
        store.add("trials", place | {"state": "complete"} | digest)
        samples = [{"atomic": False, "blocks": 1, "dropped": 2, "written": 0, "count": 3}]
        store.add("outcomes", place | {"scenario": AS_GIVEN, "stored": number})
        run = {"scenario": AS_GIVEN, "workload": "a", "replicate": 0}
        store.add("runs", place | run | {"reservation_samples": samples})
        store.add("attempts", place | {"attempt": 1, "error": "e"})
    store.flush()


@pytest.fixture(scope="module")
def entered(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A database with the study, for tests that leave it as it is."""
    path = tmp_path_factory.mktemp("entered") / "results.duckdb"
    enter(path)
    return Store(path)


def stored(path: Path, columns: str) -> list[tuple[object, ...]]:
    return answer_query(path, f"SELECT {columns} FROM studies ORDER BY study").rows


def test_the_same_study_goes_on(path: Path) -> None:
    enter(path)
    first = stored(path, "*")
    record(path, 2)
    enter(path)
    assert stored(path, "*") == first
    assert stored(path, "workloads, events_digests, n_trials, core_digest") == [
        (["a.parquet", "b.parquet"], ["d1", "d2"], 4, CORE_DIGEST)
    ]


@pytest.mark.parametrize(
    ("old", "new", "column", "value"),
    [
        ("n_trials: 4", "n_trials: 400", "n_trials", 400),
        ("question: Which?", "question: Which one?", "question", "Which one?"),
        ("seed: 7}", "seed: 7}  # as ever", "n_trials", 4),
    ],
)
def test_a_longer_or_reworded_study_goes_on(
    path: Path, old: str, new: str, column: str, value: object
) -> None:
    enter(path)
    record(path, 4)
    created = stored(path, "created_at")
    enter(path, TEXT.replace(old, new))
    assert stored(path, column) == [(value,)]
    assert stored(path, "yaml") == [(TEXT.replace(old, new),)]
    assert stored(path, "created_at") == created


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("seed: 7", "seed: 8", "sampler.seed: was 7, is 8"),
        ("name: random", "name: tpe", 'sampler.name: was "random", is "tpe"'),
        ("high: 3", "high: 4", "parameters.folio_order.high: was 3, is 4"),
        (", lru]", ", sieve]", 'parameters.eviction.choices[1]: was "lru", is "sieve"'),
        ("admission: all", "drop: folio", 'policy.admission: was "all", is absent'),
        ("admission: all", "drop: folio", 'policy.drop: was absent, is "folio"'),
        ("maximize", "minimize", 'objectives[0].direction: was "maximize", is "minimize"'),
        ("{preset: gcma}, ", "", "baselines: was ["),
        ("n_trials: 4", "generation: 8\nn_trials: 4", "generation: was absent, is 8"),
    ],
)
def test_a_changed_study_is_refused_with_what_changed(
    entered: Store, old: str, new: str, told: str
) -> None:
    before = entered.path.read_bytes()
    text = TEXT.replace(old, new)
    with pytest.raises(StudyChangedError) as caught:
        register(entered, study_of(text), text, inputs(), STUDY_YAML, StartAfresh.NEVER)
    lines = str(caught.value).splitlines()
    assert lines[0] == "s.yaml: study s has changed since it was run:"
    assert any(line.startswith(f"  {told}") for line in lines[1:-1])
    assert len(lines) == 3 + (old == "admission: all")
    assert "--new" in lines[-1]
    assert entered.path.read_bytes() == before


def test_other_events_are_another_study(path: Path) -> None:
    enter(path)
    with pytest.raises(StudyChangedError, match="a workload holds other events"):
        enter(path, given=inputs(("d1", "d3")))


def test_another_simulator_never_adds_to_its_trials(path: Path) -> None:
    enter(path)
    record(path, 4)
    before = stored(path, "*")
    other = inputs()._replace(code_digest="another")
    enter(path, given=other)  # nothing is left to run: what is recorded can be shown
    assert stored(path, "*") == before
    longer = TEXT.replace("n_trials: 4", "n_trials: 5")
    for _ in range(2):
        with pytest.raises(StudyChangedError, match=f"was {CORE_DIGEST}, is another"):
            enter(path, longer, given=other)


def content(path: Path, study: str) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows of a study in every table, without its name."""
    with duckdb.connect(str(path), read_only=True) as connection:
        sql = "SELECT * EXCLUDE study FROM {} WHERE study = ? ORDER BY ALL"
        return {name: connection.execute(sql.format(name), [study]).fetchall() for name in TABLES}


def test_new_sets_the_old_study_aside_with_all_of_its_rows(path: Path) -> None:
    enter(path)
    record(path, 3)
    record(path, 2, study="other")
    first, other = content(path, "s"), content(path, "other")
    assert [len(rows) for rows in first.values()] == [1, 1, 3, 3, 3, 3]
    enter(path, TEXT.replace("seed: 7", "seed: 8"), afresh=StartAfresh.ALWAYS)
    assert content(path, "s~1") == first
    assert [len(rows) for rows in content(path, "s").values()] == [1, 1, 0, 0, 0, 0]
    record(path, 1)
    second = content(path, "s")
    enter(path, afresh=StartAfresh.ALWAYS)
    assert content(path, "s~2") == second
    assert content(path, "s~1") == first
    assert content(path, "other") == other
    assert stored(path, "study") == [("s",), ("s~1",), ("s~2",)]


def test_new_if_changed_goes_on_with_the_same_study_and_sets_another_one_aside(path: Path) -> None:
    afresh = StartAfresh.IF_CHANGED
    assert enter(path, afresh=afresh) is None
    record(path, 3)
    first, created = content(path, "s"), stored(path, "created_at")
    assert enter(path, TEXT.replace("n_trials: 4", "n_trials: 6"), afresh) is None
    assert stored(path, "study, n_trials") == [("s", 6)]
    assert stored(path, "created_at") == created
    for number, (text, given) in enumerate(
        [
            (TEXT.replace("seed: 7", "seed: 8"), inputs()),
            (TEXT, inputs(("d1", "d3"))),
        ],
        start=1,
    ):
        assert enter(path, text, afresh, given) == f"s~{number}"
        assert enter(path, text, afresh, given) is None
    assert content(path, "s~1")["trials"] == first["trials"]
    record(path, 2)
    other = inputs(("d1", "d3"))._replace(code_digest="another")
    assert enter(path, afresh=afresh, given=other) == "s~3"  # trials of another simulator
    record(path, 4, core="another")
    again = other._replace(code_digest="one more")
    assert enter(path, afresh=afresh, given=again) is None  # nothing is left to run


def test_new_on_a_held_file_is_refused_and_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(path)
    before = stored(path, "*")
    monkeypatch.setattr("sweep.results.store.SET_ASIDE_PATIENCE_S", 0.1)
    with held(path) as holder:
        with pytest.raises(StoreError, match=rf"PID {holder.pid}\) holds it open"):
            enter(path, afresh=StartAfresh.ALWAYS)
        enter(path)  # to go on, the file is not needed
    assert stored(path, "*") == before


def test_a_study_has_one_run_at_a_time(path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from sweep.engine.register import only_run\n"
        "with only_run(Path(sys.argv[1]), 's'):\n"
        "    print(flush=True)\n"
        "    input()\n"
    )
    Store(path)
    command = [sys.executable, "-c", code, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout
        other.stdout.readline()
        told = f"^{path}: study s is being run by another process$"
        with pytest.raises(StoreError, match=told), only_run(path, "s"):
            pytest.fail("two runs at once")
        with only_run(path, "another"):
            pass
        link = path.with_name("link.duckdb")
        link.symlink_to(path)
        with pytest.raises(StoreError, match="being run"), only_run(link, "s"):
            pytest.fail("two runs at once, by two names of a file")
        other.kill()
        other.wait()
    with only_run(path, "s"):  # a killed run holds nothing
        pass


def test_a_place_for_no_run_is_told_in_a_line() -> None:
    path = Path("/proc/results.duckdb")
    with pytest.raises(StoreError, match=f"^{path}: [^\n]*$"), only_run(path, "s"):
        pytest.fail("no lock there")

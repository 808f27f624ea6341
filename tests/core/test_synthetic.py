"""Synthetic workloads are what their seed and parameters say, and recipes give them as they are."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streams import compiled

from core.accesses import (
    ANONYMOUS,
    EXIT,
    LARGE_FOLIOS,
    LOOKUP,
    PHASE,
    TAKE,
    WRITE,
    check_accesses,
)
from core.events import ALLOC, ATOMIC, NO_PHASE, TAGGED, Events, digest_events
from core.frontend.run import FrontEnd, Reclaim, run_frontend
from core.workload import kept_tables
from core.workload import recipe as recipes
from core.workload.recipe import Recipe
from core.workload.resized import on_machine
from core.workload.survey import survey_events
from core.workload.synthetic import GENERATORS, PARAMETERS, parameters_of, synthesise
from core.workload.synthetic.popularity import scattered, zipf_ranks
from core.workload.tenant import with_tenant
from core.workload.text import TraceError

SHORT = {"asks": 4000, "launches": 4, "compiles": 16}
PAGES = 4096


def short(name: str, **changed: float) -> dict[str, float]:
    known = parameters_of(name)
    return known | {key: value for key, value in (SHORT | changed).items() if key in known}


def make(name: str, seed: int = 1, **changed: float) -> recipes.Accesses:
    return synthesise(name, short(name, **changed), seed, PAGES, 4096)


def peak_tagged(events: Events) -> int:
    return int(survey_events(events).figures["peak_tagged_pages"])


@pytest.mark.parametrize("name", list(GENERATORS))
def test_a_seed_is_a_workload(name: str) -> None:
    accesses, same, other = make(name), make(name), make(name, seed=2)
    check_accesses(accesses, name)
    for column, again in zip(accesses.columns.values(), same.columns.values(), strict=True):
        assert np.array_equal(column, again)
    assert accesses.op.size != other.op.size or not np.array_equal(accesses.index, other.index)


@pytest.mark.parametrize("name", list(GENERATORS))
def test_every_parameter_is_bounded_and_changes_its_workload(name: str) -> None:
    plain = make(name)
    for parameter, default in parameters_of(name).items():
        bounds = PARAMETERS[parameter].bounds
        assert bounds is not None
        least, most = bounds
        assert least <= default <= most
        value = short(name)[parameter]
        changed = {parameter: value + 1 if isinstance(default, int) else value / 2 + 0.5}
        other = make(name, **changed)
        assert other.op.size != plain.op.size or any(
            not np.array_equal(a, b)
            for a, b in zip(plain.columns.values(), other.columns.values(), strict=True)
        ), parameter


@compiled
@pytest.mark.parametrize("name", list(GENERATORS))
def test_tagged_memory_is_what_the_ratio_says(name: str) -> None:
    pages = 16_384
    for ratio in (0.0, 0.1):
        parameters = parameters_of(name) | {"tagged_ratio": ratio, "burstiness": 0.0}
        parameters |= {key: value for key, value in (("asks", 60_000),) if key in parameters}
        accesses = synthesise(name, parameters, 3, pages, 4096)
        fronted = run_frontend(accesses, FrontEnd(zram_size=64 << 20))
        assert ratio * 0.6 * pages <= peak_tagged(fronted.events) <= ratio * 1.7 * pages


@compiled
def test_files_are_as_large_as_the_ratio_says() -> None:
    for name in GENERATORS:
        parameters = parameters_of(name) | {"file_ratio": 0.5}
        accesses = synthesise(name, parameters, 3, 16_384, 4096)
        events = run_frontend(accesses, FrontEnd(zram_size=64 << 20)).events
        assert 0.3 <= survey_events(events).figures["distinct_pages"] / 16_384 <= 0.9, name


@pytest.mark.parametrize(
    ("name", "named"), [("app_launch", 40), ("build", 2), ("database", 1), ("zipf", 0)]
)
def test_phases_begin_where_the_work_does(name: str, named: int) -> None:
    accesses = make(name, launches=8, compiles=600, asks=400_000, file_ratio=0.5)
    assert len(accesses.phases) == named
    number = accesses.index[accesses.op == PHASE]
    begun = number[number != NO_PHASE]
    assert set(begun.tolist()) <= set(range(named))
    if name == "app_launch":
        # Each launch ends with its reading; what another app begins ends it too.
        assert number.size == 2 * begun.size == 16
        assert (number[1::2] == NO_PHASE).all()
        ends = np.flatnonzero((accesses.op == PHASE) & (accesses.index == NO_PHASE))
        begins = np.append(np.flatnonzero((accesses.op == PHASE) & (accesses.index < named)), -1)
        for end, after in zip(ends.tolist(), begins[1:].tolist(), strict=True):
            assert (accesses.op[end - 1 : after] == LOOKUP).sum() == 1
    elif name == "build":
        # 600 compiles are four builds of 150 files.
        assert begun.tolist() == [0, 1] * 4
    elif name == "database":
        assert number.tolist()[:2] == [0, NO_PHASE]


def test_kasan_is_atomic_and_of_orders_to_three() -> None:
    accesses = make("kasan", asks=20_000)
    taken = accesses.op == TAKE
    assert set(accesses.order[taken].tolist()) == {0, 1, 2, 3}
    atomic = accesses.flags[taken] & ATOMIC != 0
    assert 0.3 < atomic.mean() < 0.8
    assert not (make("kasan", atomic_ratio=0.0).flags[...] & ATOMIC).any()


def test_shares_of_writes_and_of_large_folios_are_what_was_asked() -> None:
    accesses = make("zipf", write_ratio=0.25, large_folio_ratio=0.5)
    asked = (accesses.op == LOOKUP) | (accesses.op == WRITE)
    assert abs((accesses.op[asked] == WRITE).mean() - 0.25) < 0.03
    large = accesses.flags[asked] & LARGE_FOLIOS != 0
    assert 0.2 < large.mean() < 0.8
    assert all(np.unique(large[accesses.inode[asked] == i]).size == 1 for i in range(64))


def test_zipf_is_as_skewed_as_it_says() -> None:
    random = np.random.Generator(np.random.PCG64(1))
    for skew in (0.0, 0.6, 1.0, 1.4):
        ranks = zipf_ranks(random, 200_000, 1000, skew)
        weights = (np.arange(1000) + 1.0) ** -skew
        expected = weights[100:].sum() / weights.sum()
        # The inversion is of the continuous law: the first ranks get a little less or more.
        assert abs((ranks >= 100).mean() - expected) < 0.06
    assert np.unique(scattered(np.arange(1000), 1000, 3)).size == 1000


def recipe(name: str = "zipf", **changed: float) -> Recipe:
    parameters = tuple(short(name, **changed).items())
    return Recipe(name, parameters, 1, PAGES, 4096, FrontEnd(), generator=name)


def test_a_kept_table_is_the_one_that_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_tables, "KEPT_FOLDER", tmp_path / "kept")
    made, kept, again = recipe().cook().events, recipe().events(), recipe().events()
    assert digest_events(made) == digest_events(kept) == digest_events(again)
    assert kept.about == again.about == made.about
    assert not again.op.flags.owndata  # mapped, not read
    assert len(list((tmp_path / "kept").glob("*.arrow"))) == 1
    # A process that was killed left a half of a table: it is no table.
    (path,) = (tmp_path / "kept").glob("*.arrow")
    path.rename(path.with_name(f"{path.name}.partial"))
    assert digest_events(recipe().events()) == digest_events(made)


def test_what_was_used_longest_ago_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_tables, "KEPT_FOLDER", tmp_path)
    several = [recipe(skew=0.5 + i / 10) for i in range(4)]
    sizes = []
    for kept in several[:3]:
        kept.events()
        sizes.append(next(tmp_path.glob(f"*-{kept.digest()}.arrow")).stat().st_size)
    several[0].events()
    monkeypatch.setattr(kept_tables, "KEPT_BYTES", sum(sizes))
    several[3].events()
    left = {path.stem.partition("-")[2] for path in tmp_path.glob("*.arrow")}
    assert several[1].digest() not in left
    assert {several[0].digest(), several[3].digest()} <= left


def test_all_that_makes_a_table_is_in_its_digest() -> None:
    base = recipe()
    others = [
        replace(base, seed=2),
        replace(base, data_pages=PAGES + 1),
        replace(base, page_size=16384),
        replace(base, generator="scan_loop"),
        replace(base, accesses_digest="another"),
        *(base.changed({name: 7}) for name in dict(base.parameters)),
        base.changed({"reclaim": "active_inactive"}),
        base.changed({"zram_size": 4096}),
    ]
    assert len({other.digest() for other in (base, *others)}) == len(others) + 1
    assert replace(base, name="called otherwise").digest() == base.digest()
    assert base.changed({"launches": 5}).digest() == base.digest()
    assert base.changed({"reclaim": "active_inactive"}).front_end.reclaim is Reclaim.ACTIVE_INACTIVE


def test_processes_that_want_one_table_make_it_once(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from core.workload import kept_tables as k, recipe as r\n"
        "from core.frontend.run import FrontEnd\n"
        "k.KEPT_FOLDER = Path(sys.argv[1])\n"
        "cook = r.Recipe.cook\n"
        "def counted(self, progress):\n"
        "    print('cooked', flush=True); return cook(self, progress)\n"
        "r.Recipe.cook = counted\n"
        "made = r.Recipe('x', (('asks', 2000),), 1, 4096, 4096, FrontEnd(), 'zipf').events()\n"
        "print(made.op.size)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    root = Path(__file__).parents[2]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) for _ in "ab"]
    output = "".join(process.communicate()[0] for process in running)
    assert output.count("cooked") == 1
    assert len({line for line in output.splitlines() if line.isdigit()}) == 1


def test_a_tenant_leaves_the_trace_as_it_was() -> None:
    trace = on_machine(make("scan_loop", tagged_ratio=0.0), 2 * PAGES)
    beside = with_tenant(trace, 0.1, 0.5, seed=4)
    check_accesses(beside, "tenant")
    own = (beside.op != ANONYMOUS) & (beside.op <= EXIT) & (beside.flags & TAGGED == 0)
    own &= np.isin(beside.op, (LOOKUP, WRITE))
    for name in ("op", "inode", "index", "order", "handle"):
        assert np.array_equal(beside.columns[name][own], trace.columns[name]), name
    assert with_tenant(trace, 0.0, 0.5, seed=4) is trace
    events = run_frontend(beside, FrontEnd()).events
    assert (events.op == ALLOC).sum() > 50


def test_a_machine_that_is_smaller_than_what_was_in_use_is_refused() -> None:
    trace = make("zipf")
    with pytest.raises(TraceError, match="were in use"):
        on_machine(trace, 100)
    assert on_machine(trace, PAGES) is trace
    assert on_machine(trace._replace(data_pages=0, free_pages=0), PAGES).free_pages > PAGES // 2

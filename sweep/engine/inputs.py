"""What a study replays: event tables and recipes for them, checked for the machine it names.

Mistakes that only a trace shows are told at the line of the study that they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from core.accesses import digest_accesses, read_accesses
from core.distinct import has_single_pages
from core.evaluator import Workloads
from core.event_files import read_events
from core.events import (
    ALLOC,
    TAGGED,
    Events,
    EventsError,
    check_events,
    digest_events,
    has_anonymous,
)
from core.frontend.run import FrontEnd
from core.jit import CORE_DIGEST
from core.machine import DATA_PAGES_PER_TAG_PAGE, Machine
from core.policy_words import Anonymous, Placement
from core.system import SYSTEMS
from core.timeline.marks import parts_of_share
from core.workload.recipe import Recipe
from core.workload.text import TraceError
from sweep.engine.trace_warnings import (
    changes_of_machine,
    front_end_errors,
    has_tags,
    import_warnings,
    untold_reclaim,
    without_tags,
)
from sweep.study.model import Study, Workload
from sweep.study.space import baseline_spaces_of, spaces_of
from sweep.study.values import SAMPLED
from sweep.study.workloads import (
    DEFAULT_PAGE_SIZE,
    TENANT,
    has_tenant,
    is_random,
    own_parameters,
    settings,
    titles,
)
from sweep.study.worlds import varied_by, worlds_of
from sweep.study.yaml_source import Mistake, Place, Source

#: The memory under synthetic workloads, and under access traces that were recorded on no machine,
#: in bytes.
DEFAULT_MEMORY = 512 * 2**20


class Inputs(NamedTuple):
    """The workloads of a study, each as often as it has replicates, and warnings for the user.

    `digests` are of the events of a trace, or of the recipe that makes the events.
    """

    workloads: Workloads
    names: list[str]  # [workload]
    replicates: list[int]  # [workload]
    digests: list[str]  # [workload]
    warnings: list[str]
    code_digest: str = CORE_DIGEST  # of the simulator, and of a user's own systems and evictions

    def digests_of(self, values: dict[str, Any]) -> list[str]:
        """Return the digests where parameters, settings or sizes have other values."""
        return [
            source.changed(values).digest() if isinstance(source, Recipe) else digest
            for source, digest in zip(self.workloads.sources, self.digests, strict=True)
        ]

    def have_single_pages(self) -> bool:
        """Return whether every folio is a page, as far as tables tell that are not to be made."""
        sources = self.workloads.sources
        return all(isinstance(each, Events) and has_single_pages(each) for each in sources)


class _LoadedWorkload(NamedTuple):
    """One replicate of a workload, and the machine that it is replayed on."""

    events: Events | Recipe
    page_size: int
    data_pages: int
    name: str
    replicate: int
    digest: str


def load_inputs(study: Study, source: Source, code_digest: str = CORE_DIGEST) -> Inputs:
    """Return the event tables of a study, and the recipes of those that are to be made.

    Parameters
    ----------
    study
        The study.
    source
        The text that it was read from. Traces are beside the file of the text, and mistakes are
        told at their line in it.
    code_digest
        The digest of all code that decides results.

    Raises
    ------
    SourceError
        When a trace cannot be read, or a workload cannot be replayed as the study says.
    """
    loaded: list[_LoadedWorkload] = []
    untold: list[str] = []
    warnings: list[str] = []
    names = titles([workload.given_fields for workload in study.workload])
    for i, (workload, name) in enumerate(zip(study.workload, names, strict=True)):
        if workload.trace is None:
            replicates_of_it = list(_load_recipes(study, source, i, workload, name))
            first = replicates_of_it[0].events
            untold += [f"{name}: {told}" for told in untold_reclaim(first)]
            warnings += [f"{name}: {warning}" for warning in import_warnings(first)]
            warnings += [f"{name}: {told}" for told in _front_end_errors(study, first)]
            loaded += replicates_of_it
            continue
        path = source.path.parent / workload.trace
        trace = _load_trace(study, source, i, path, name)
        loaded += _with_tenant(study, source, i, workload, trace, warnings)
        warnings += changes_of_machine(path, trace.events, trace.page_size, trace.data_pages)
        untold += [f"{path.name}: {told}" for told in untold_reclaim(trace.events)]
        warnings += [f"{path.name}: {warning}" for warning in import_warnings(trace.events)]
        if loaded[-1].events is trace.events:
            warnings += without_tags(path, trace.events)
    mistakes = [
        *_check_anonymous(study, source, [workload.events for workload in loaded]),
        *_check_worlds(study, loaded),
    ]
    if mistakes:
        raise source.error(mistakes)
    tables, page_sizes, data_pages, loaded_names, replicates, digests = zip(*loaded, strict=True)
    parts = parts_of_share(study.warm_up)
    workloads = Workloads(tables, page_sizes, data_pages, parts)
    names, numbers = list(loaded_names), list(replicates)
    once = list(dict.fromkeys([*untold, *warnings]))  # several workloads may have one trace
    return Inputs(workloads, names, numbers, list(digests), once, code_digest)


@contextmanager
def _told_at(source: Source, place: Place) -> Iterator[None]:
    """Tell a mistake in an event table at a place of the study."""
    try:
        yield
    except (EventsError, TraceError) as error:
        raise source.error([Mistake(place, str(error))]) from None


def _load_trace(study: Study, source: Source, i: int, path: Path, name: str) -> _LoadedWorkload:
    """Return the event table of workload `i`, on the machine of its capture or the study's."""
    place = ("workload", i, "trace")
    with _told_at(source, place):
        events = read_events(path)
    if (
        Placement.FAR in _words_of(study, "placement")
        and not ((events.op == ALLOC) & (events.flags & TAGGED == 0)).any()
    ):
        message = (
            f"{path}: placement far looks for frames that are free, and the table has tagged "
            "allocations alone: take its accesses (sweep trace import --accesses)"
        )
        raise source.error([Mistake(place, message)])
    size = study.machine.page_size or events.page_size
    pages = _data_pages(study, source, size, events.data_pages)
    if pages < events.data_pages:
        with _told_at(source, ("machine", "data_memory")):
            check_events(events, pages, str(path))
    digest = f"{digest_events(events)} {size} {pages}"
    return _LoadedWorkload(events, size, pages, name, 0, digest)


def _with_tenant(
    study: Study,
    source: Source,
    i: int,
    workload: Workload,
    trace: _LoadedWorkload,
    warnings: list[str],
) -> Iterator[_LoadedWorkload]:
    """Yield a trace itself, or each replicate of the tenant that is laid over it."""
    given, varied = workload.given_fields, varied_by(study)
    if not has_tenant(given, varied):
        yield trace
        return
    events = trace.events
    assert isinstance(events, Events)
    parameters = TENANT | own_parameters(given)
    if parameters["tagged_ratio"] == SAMPLED:
        place = ("workload", i, "tagged_ratio")
        ratio = _sampled_ratio(source, place, events, str(workload.trace))
        both = "; its own tagged pages were sampled too: both count" if has_tags(events) else ""
        warnings += [f"{trace.name}: tagged_ratio is {ratio:.4g}, as it was sampled at most{both}"]
        parameters["tagged_ratio"] = ratio
    elif parameters["tagged_ratio"] and has_tags(events):
        warnings += [f"{trace.name}: tagged_ratio lays tagged pages over its own: both count"]
    for replicate in range(study.replicates if is_random(given, varied) else 1):
        recipe = Recipe(
            name=trace.name,
            parameters=tuple(parameters.items()),
            seed=workload.seed + replicate,
            data_pages=trace.data_pages,
            page_size=trace.page_size,
            front_end=FrontEnd(),
            trace=events,
            trace_digest=trace.digest,
        )
        yield trace._replace(events=recipe, replicate=replicate, digest=recipe.digest())


def _sampled_ratio(source: Source, place: Place, events: Events, name: str) -> float:
    """Return the most pages that a recording's samples found tagged, over those they looked at."""
    sampled = dict(events.sampled)
    peak, pages = sampled.get("tagged_pages_peak"), sampled.get("sampled_pages", 0)
    if peak is None or pages <= 0:
        message = (
            f"{SAMPLED}: nobody counted tagged pages while {name} was recorded; give a number such "
            "as 0.1, or record it with samples of /proc/kpageflags (sweep trace record) and import "
            "it with its archive beside it"
        )
        raise source.error([Mistake(place, message)])
    return float(peak / pages)


def _load_recipes(
    study: Study, source: Source, i: int, workload: Workload, name: str
) -> Iterator[_LoadedWorkload]:
    """Yield what makes the events of each replicate, from accesses or a synthetic workload."""
    accesses, digest = None, ""
    size = study.machine.page_size or DEFAULT_PAGE_SIZE
    pages = DEFAULT_MEMORY // size
    if workload.accesses is not None:
        path = source.path.parent / workload.accesses
        with _told_at(source, ("workload", i, "accesses")):
            accesses = read_accesses(path)
        if study.machine.page_size not in (None, accesses.page_size):
            message = f"{path}: recorded with {accesses.page_size}-byte pages, not {size}"
            raise source.error([Mistake(("machine", "page_size"), message)])
        digest = digest_accesses(accesses)
        size = accesses.page_size
        pages = accesses.data_pages or DEFAULT_MEMORY // size
    pages = _data_pages(study, source, size, pages)
    random = is_random(workload.given_fields, varied_by(study))
    for replicate in range(study.replicates if random else 1):
        recipe = Recipe(
            name=name,
            parameters=tuple(own_parameters(workload.given_fields).items()),
            seed=workload.seed + replicate,
            data_pages=pages,
            page_size=size,
            front_end=settings(study.machine.model_dump()),
            generator=workload.synthetic,
            accesses=accesses,
            accesses_digest=digest,
        )
        yield _LoadedWorkload(recipe, size, pages, name, replicate, recipe.digest())


def _data_pages(study: Study, source: Source, page_size: int, default: int) -> int:
    """Return the data pages of a machine of the study; `default` if it has no data_memory."""
    memory = study.machine.data_memory or page_size * default
    problem = _problem(page_size, memory)
    if problem:
        raise source.error([Mistake(("machine", "data_memory"), problem)])
    return memory // page_size


def _problem(page_bytes: int, memory_bytes: int) -> str:
    """Return why there is no machine with such pages and such a memory; "" if there is."""
    if memory_bytes % page_bytes:
        return f"data_memory is not a whole number of {page_bytes}-byte pages"
    try:
        Machine(page_bytes, memory_bytes // page_bytes)
    except ValueError as error:
        return f"machine: {error}"
    return ""


def _front_end_errors(study: Study, recipe: Events | Recipe) -> Iterator[str]:
    """Yield how far the front end was off in tests, for all that a study asks of a recipe."""
    assert isinstance(recipe, Recipe)
    known = {word: SYSTEMS.known(word) for word in sorted(_words_of(study, "system"))}
    larger = [word for word, system in known.items() if system and system.needs_accesses]
    yield from front_end_errors(recipe, [dict(each.workload) for each in worlds_of(study)], larger)


def _words_of(study: Study, field: str) -> set[str]:
    """Return the words that a policy field has anywhere in a study."""
    words = {getattr(subspace.policy, field) for subspace in study.subspaces}
    words |= {getattr(baseline, field) for baseline in study.baselines}
    for subspace in study.subspaces:
        words |= set(getattr(subspace.parameters.get(field), "choices", []))
    return words


def _check_anonymous(
    study: Study, source: Source, tables: list[Events | Recipe]
) -> Iterator[Mistake]:
    """Check that a workload swaps to a device, where pages are to be compressed before it."""
    if "swap_size" in varied_by(study) or not _words_of(study, "anonymous") - {Anonymous.NONE}:
        return
    if any(map(_has_swapped, tables)):
        return
    places = [
        space.place_of("anonymous")
        for space in (*spaces_of(source.data), *baseline_spaces_of(source.data))
        if set(space.choices_of("anonymous")) - {Anonymous.NONE.value}
    ]
    message = "anonymous would change nothing: no workload has pages that were swapped to a device"
    yield Mistake(places[0], message)


def _has_swapped(table: Events | Recipe) -> bool:
    """Return whether pages of a workload are swapped to a device."""
    if isinstance(table, Recipe):
        return has_anonymous(table.trace) if table.trace else table.front_end.swap_size > 0
    return has_anonymous(table)


def _check_worlds(study: Study, loaded: list[_LoadedWorkload]) -> Iterator[Mistake]:
    """Check that there is the machine of each scenario, and room in it for a tag block.

    The last block of tag storage counts whole, so one of a page is always there.
    """
    for world in worlds_of(study):
        sizes = dict(world.workload)
        machines = {
            (sizes.get("page_size", each.page_size),
             sizes.get("data_memory", each.page_size * each.data_pages))
            for each in loaded
        }  # fmt: skip
        place: Place = ("scenarios",) if study.scenarios else ("machine", "tag_block_size")
        named = f" in the scenario {world.name}" if study.scenarios else ""
        size_bytes = world.tag_block_size
        for page_bytes, memory_bytes in sorted(machines):
            storage_bytes = memory_bytes // DATA_PAGES_PER_TAG_PAGE
            problem = _problem(page_bytes, memory_bytes)
            if problem:
                yield Mistake(place, f"{problem}{named}")
            elif size_bytes > storage_bytes > 4096:
                message = (
                    f"a tag block of {size_bytes} bytes is larger than the tag storage of a "
                    f"workload's machine, {storage_bytes} bytes{named}"
                )
                yield Mistake(place, message)
            else:
                continue
            return


def make_events(
    study: Study,
    source: Source,
    inputs: Inputs,
    making: Callable[[str, int, int], None] = lambda workload, done, total: None,
) -> None:
    """Make the event tables of all recipes, in every world of a study.

    Parameters
    ----------
    study
        The study.
    source
        The text that it was read from, in whose lines mistakes are told.
    inputs
        The study's workloads.
    making
        Called with a workload, with how many of its accesses the front end has read, and of how
        many.

    Raises
    ------
    SourceError
        When the memory of a machine is too small for one of the workloads.
    """
    names = titles([workload.given_fields for workload in study.workload])
    for world in worlds_of(study):
        for name, table in zip(inputs.names, inputs.workloads.sources, strict=True):
            if isinstance(table, Recipe):
                place = ("scenarios",) if world.workload else ("workload", names.index(name))
                with _told_at(source, place):
                    table.changed(dict(world.workload)).events(partial(making, name))

"""The command that shows what a table holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.accesses import FORM, read_accesses
from core.errors import TraceError, told_of
from core.event_files import read_events
from core.events import Events, EventsError
from core.table_files import has_form, is_checked
from core.workload.survey import survey_accesses, survey_events
from sweep.cli.cache_filling import cache_filling, filling_lines
from sweep.cli.terminal import check_lines, print_json
from sweep.cli.waiting import telling_of_compiling
from sweep.study.not_a_table import import_advice

_BARS = " ▁▂▃▄▅▆▇█"
_PHASES_SHOWN, _SAMPLES_SHOWN = 12, 24
_UNCHECKED = "it has no digest, as what earlier versions wrote: damage of it may not be seen"


def info_command(path: Path, as_json: bool) -> None:
    """Show what an access trace or a table of mm events holds."""
    if not is_accesses(path):
        _events_info(path, as_json)
        return
    figures = survey_accesses(read_accesses(path))
    if as_json:
        print_json(figures)
        return
    print(f"{path}: {figures['source']}")
    print(f"  an access trace: {figures['rows']:,} rows over {figures['span_s']:,} s")
    used = ", ".join(f"{name} {count:,}" for name, count in figures["accesses"].items() if count)
    print(f"  accesses: {used}")
    print(
        f"  pages of {figures['page_size']} bytes: {figures['requested_pages']:,} asked for, "
        f"{figures['distinct_pages']:,} distinct in {figures['files']:,} files"
    )
    if figures["accessed_bits"] is not None:
        print(f"  accessed bits: {figures['accessed_bits']}")
    for warning in figures["import_warnings"]:
        print(f"  warning: {warning}")
    if not is_checked(path):
        print(f"  {_UNCHECKED}")
    if not figures["data_pages"]:
        print("  machine: none; sweep trace reclaim needs --memory")
        return
    memory_mib = figures["data_pages"] * figures["page_size"] / 2**20
    free_mib = figures["free_pages"] * figures["page_size"] / 2**20
    print(f"  machine: {memory_mib:,.0f} MiB of memory, {free_mib:,.0f} free when it began")


def is_accesses(path: Path) -> bool:
    """Return whether a file is an access trace; of a file that cannot be read it is not known."""
    return has_form(path, FORM)


def _events_info(path: Path, as_json: bool) -> None:
    """Show what an mm event table holds."""
    events = _events_in(path)
    with telling_of_compiling("trace info"), told_of(path):
        figures, tagged_pages = survey_events(events)
        filling = cache_filling(events) if figures["stored_pages"] else None
    if as_json:
        told = filling._asdict() if filling else None
        print_json(figures | {"tagged_pages": tagged_pages.tolist(), "cache_filling": told})
        return
    print(f"{path}: {figures['source']}")
    memory_mib = figures["data_pages"] * figures["page_size"] / 2**20
    print(
        f"  {figures['rows']:,} rows over {figures['span_s']:,} s; {memory_mib:,.0f} MiB of memory"
    )
    used = ", ".join(f"{name} {count:,}" for name, count in figures["events"].items() if count)
    print(f"  events: {used}")
    by_order = figures["folio_orders"]
    orders = ", ".join(f"{order}: {count:,}" for order, count in (by_order or {}).items())
    print("  orders: unknown" if by_order is None else f"  folios by order: {orders or 'none'}")
    print(
        f"  pages: {figures['restored_pages']:,} restored, {figures['stored_pages']:,} stored, "
        f"{figures['refaults']:,} refaults; {figures['distinct_pages']:,} distinct in "
        f"{figures['files']:,} files; {figures['workingset_stores']:,} stores are workingset"
    )
    warnings = [f"warning: {warning}" for warning in figures["import_warnings"]]
    unchecked = [] if is_checked(path) else [_UNCHECKED]
    for line in (*_told(figures), *check_lines(figures["checks"]), *warnings, *unchecked):
        print(f"  {line}")
    if figures["swapped_out_pages"]:
        out, back = figures["swapped_out_pages"], figures["swapped_in_pages"]
        print(f"  a swap device: {out:,} pages went out, {back:,} came back")
    most = max(1, figures["peak_tagged_pages"])
    bars = "".join(_BARS[-(-int(live) * 8 // most)] for live in tagged_pages)
    print(f"  tagged pages over time, {figures['peak_tagged_pages']:,} at most: {bars}")
    for pages, block in figures["tag_blocks_by_pages"].items():
        print(
            f"  tag block of {pages} pages: {block['reservations']:,} reservations, "
            f"{block['peak_reserved']:,} of {block['tag_blocks']:,} reserved at most, "
            f"amplification {block['amplification']}"
        )
    for line in filling_lines(filling) if filling else ():
        print(f"  {line}")


def _events_in(path: Path) -> Events:
    """Return the events in a table; of a trace that is none yet, say how it becomes one."""
    try:
        return read_events(path)
    except EventsError:
        advice = import_advice(path)
        if not advice:
            raise
        raise TraceError(advice, file=path) from None


def _told(figures: dict[str, Any]) -> list[str]:
    """Return lines on requests, flags of stores, what is left out, and phases."""
    requests, left_out = figures["requests"], figures["left_out"]
    lines = []
    if requests["count"]:
        lines.append(
            f"read requests ({'recorded' if requests['recorded'] else 'guessed'}): "
            f"{requests['count']:,}, of {requests['pages_mean']:.1f} pages (median "
            f"{requests['pages_median']:g}), {requests['waited_ratio']:.1%} waited for, "
            f"{requests['commands']:,} commands to the device where nothing is cached"
        )
    if figures["stored_pages"]:
        inferred, mapped = figures["workingset_inferred_ratio"], figures["mapped_stores"]
        known = "unknown" if inferred is None else f"inferred for {inferred:.1%} of the stores"
        lines.append(
            f"workingset bits: {'recorded' if inferred == 0 else known}; mapped to disk: "
            f"{'unknown' if mapped is None else f'recorded, {mapped:,} stores are'}"
        )
    if any(left_out.values()):
        lines.append(
            f"in no row: {left_out.get('metadata_pages', 0):,} pages of metadata and "
            f"{left_out.get('write_pages', 0):,} that writes made"
        )
        lines.append(
            f"refaults as the kernel counts them: {figures['kernel_refaults']:,} = "
            f"{left_out.get('row_refaults', figures['refaults']):,} of rows + "
            f"{left_out.get('metadata_refaults', 0):,} of metadata + "
            f"{left_out.get('write_refaults', 0):,} of writes"
        )
    sampled = figures["sampled"]
    if sampled:
        told = [f"{name} {number:,}" for name, number in list(sampled.items())[:_SAMPLES_SHOWN]]
        more = len(sampled) - len(told)
        lines.append(
            f"samples of the recording: {', '.join(told)}"
            + (f", and {more} more (--json)" if more else "")
        )
    if sampled.get("sampled_pages"):
        share = sampled.get("tagged_pages_mean", 0) / sampled["sampled_pages"]
        most = sampled.get("tagged_pages_peak", 0) / sampled["sampled_pages"]
        lines.append(f"tagged by these samples: {share:.2%} of the pages, {most:.2%} at most")
    if figures["phases"]:
        shown = list(figures["phases"].items())[:_PHASES_SHOWN]
        more = len(figures["phases"]) - len(shown)
        lines.append(
            "rows of phases: "
            + ", ".join(f"{name} {rows:,}" for name, rows in shown)
            + (f", and {more} more phases (--json)" if more else "")
        )
    return lines

"""What a policy saves over the plausible ranges of all costs, worked out from what a study counted.

``python benchmarks/cost_ranges.py "SELECT study, role, number, scenario FROM outcomes WHERE …"``.
For each row, over all workloads or over that of a column `workload`, it says which share of the
disk time and of the wait for reads is saved at a preset's costs; the least and the most, where each
cost may be anything in its plausible range; and which costs, moved alone, turn the sign. What is
saved is a sum of costs, each so many times, so that the least and the most lie in corners of the
ranges. A row with a column `than` says what its trial saves more than that of this number.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any, NamedTuple

from core.cost_presets import SOURCED_PRESETS
from core.costs import COST_FIELDS
from sweep.results import open_for_reading
from sweep.results.reading import read_rows
from sweep.results.schema import Row

#: Of each cost how often it is taken.
Terms = dict[str, int]
KINDS = ("time", "wait")
#: What the device time of requests is made of.
READS = ("read_random_ns", "read_parallel_ns", "read_sequential_ns")
#: The size of the pages that the costs of presets are of.
COSTED_PAGE_BYTES = 4096
#: What a page costs that is copied, whichever way.
COPIES = (
    *("copy_in_ns", "copy_out_ns", "compress_ns", "decompress_ns", "tmem_copy_in_ns"),
    *("tmem_copy_out_ns", "migrate_page_ns", "swap_write_ns"),
)


def reads_of(requests: int, commands: int, pages: int) -> Terms:
    """Return what the device time of requests is made of; tasks wait for `requests` of them."""
    return dict(zip(READS, (requests, commands - requests, pages - commands), strict=True))


def in_costed_pages(terms: Terms, page_size: int) -> Terms:
    """Return terms in which a page is read, and copied, as several of the size of the costs."""
    costed = page_size // COSTED_PAGE_BYTES
    commands = terms["read_random_ns"] + terms["read_parallel_ns"]
    pages = commands + terms["read_sequential_ns"]
    changed = {name: terms[name] * costed for name in COPIES}
    return terms | changed | {"read_sequential_ns": pages * costed - commands}


def total(terms: Terms, costs: dict[str, int]) -> int:
    """Return what terms take at some costs."""
    return sum(count * costs[name] for name, count in terms.items())


def added(parts: list[Terms]) -> Terms:
    """Return the sum of terms."""
    return {name: sum(part.get(name, 0) for part in parts) for name in COST_FIELDS}


def less(terms: Terms, others: Terms) -> Terms:
    """Return terms less others."""
    return {name: terms[name] - others[name] for name in COST_FIELDS}


def runs_of(connection: Any, row: Row, whose: str, values: list[Any]) -> list[Row]:
    """Return the runs in a row's scenario, on its workload or on all, of the trial that is asked.

    Parameters
    ----------
    connection
        The database.
    row
        The row.
    whose, values
        The condition on `trials` that says whose they are, and its values.
    """
    where = "study = ? AND scenario = ?"
    of_row = [row["study"], row["scenario"]]
    if "workload" in row:
        where, of_row = f"{where} AND workload = ?", [*of_row, row["workload"]]
    return read_rows(
        connection,
        f"SELECT * FROM runs SEMI JOIN (SELECT * FROM trials WHERE {whose}) trial "
        f"USING (study, role, number) WHERE {where}",
        [*values, *of_row],
    )


def saved_of(connection: Any, row: Row, number: int) -> dict[str, Terms]:
    """Return what the trial of a number saves in a row's scenario, by kind."""
    runs = runs_of(connection, row, "role = ? AND number = ?", [row["role"], number])
    return {
        kind: added(
            [in_costed_pages(added([run[f"{kind}_saved_by_cost"]]), run["page_size"])
             for run in runs]
        )
        for kind in KINDS
    }  # fmt: skip


def all_missed_of(connection: Any, row: Row) -> dict[str, Terms]:
    """Return what is saved at most, by kind: the reads of the carve-out in a row's scenario."""
    runs = runs_of(connection, row, "role = 'baseline' AND system = 'carveout'", [])
    parts: dict[str, list[Terms]] = {kind: [] for kind in KINDS}
    for run in runs:
        commands_and_pages = {
            "time": (run["read_commands"], run["missed"]),
            "wait": (run["waited_commands"], run["waited_pages"]),
        }
        for kind, (commands, pages) in commands_and_pages.items():
            reads = added([reads_of(run["waited_requests"], commands, pages)])
            parts[kind].append(in_costed_pages(reads, run["page_size"]))
    return {kind: added(parts[kind]) for kind in KINDS}


class Saved(NamedTuple):
    """What is saved of the disk time, or of the wait for reads, as a share of all of it."""

    ratio: float  # at the preset's costs
    least: float
    most: float
    turned_by: list[str]  # costs that turn the sign by themselves

    @property
    def sign(self) -> str:
        """What may be said of it."""
        if self.least >= 0:
            return "saves" if self.most > 0 else "neither"
        return "loses" if self.most <= 0 else "either"


def over_costs(connection: Any, row: Row, preset: str = "ufs_phone") -> dict[str, Saved]:
    """Return what a row's trial saves, by kind, at a preset's costs and over their ranges."""
    saved = saved_of(connection, row, row["number"])
    if "than" in row:
        others = saved_of(connection, row, row["than"])
        saved = {kind: less(saved[kind], others[kind]) for kind in KINDS}
    all_missed = all_missed_of(connection, row)
    return {kind: saved_over(all_missed[kind], saved[kind], preset) for kind in KINDS}


def saved_over(all_missed: Terms, saved: Terms, preset: str) -> Saved:
    """Return what is saved as a share of all, at a preset's costs and over their ranges."""
    ranges = {name: SOURCED_PRESETS[preset].cost(name) for name in COST_FIELDS}
    at_preset = {name: cost.value_ns for name, cost in ranges.items()}
    least = {name: of.plausible_ns[saved[name] <= 0] for name, of in ranges.items()}
    most = {name: of.plausible_ns[saved[name] > 0] for name, of in ranges.items()}
    # What reads cost is in all that could be saved too: each of its corners is looked at.
    ends = [ranges[name].plausible_ns for name in READS]
    reads = [dict(zip(READS, corner, strict=True)) for corner in itertools.product(*ends)]

    def ratio(costs: dict[str, int]) -> float:
        # A command in parallel takes no longer than the first one.
        parallel_ns = min(costs["read_parallel_ns"], costs["read_random_ns"])
        at = costs | {"read_parallel_ns": parallel_ns}
        return total(saved, at) / total(all_missed, at)

    is_saving = ratio(at_preset) > 0
    other = least if is_saving else most
    turned_by = [
        name
        for name in COST_FIELDS
        if saved[name] and (ratio(at_preset | {name: other[name]}) > 0) != is_saving
    ]
    worst = min(ratio(least | corner) for corner in reads)
    best = max(ratio(most | corner) for corner in reads)
    return Saved(ratio(at_preset), worst, best, turned_by)


def shown(saved: Saved) -> str:
    """Return what is saved in percent, its range over the costs, and what turns its sign."""
    text = f"{saved.ratio:.1%} ({saved.least:.1%} to {saved.most:.1%}), {saved.sign}"
    return f"{text}: {', '.join(saved.turned_by)}" if saved.turned_by else text


def main() -> None:
    """Print a table of the rows of a query, with what each saves over the ranges of costs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sql")
    parser.add_argument("--db", type=Path, default=Path("results.duckdb"))
    parser.add_argument("--preset", default="ufs_phone", choices=list(SOURCED_PRESETS))
    given = parser.parse_args()
    with open_for_reading(given.db) as connection:
        for row in read_rows(connection, given.sql):
            print(row)
            for kind, saved in over_costs(connection, row, given.preset).items():
                print(f"  {kind}: {shown(saved)}")


if __name__ == "__main__":
    main()

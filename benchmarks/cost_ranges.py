"""What a policy saves over the plausible ranges of all costs, worked out from what a study counted.

``python benchmarks/cost_ranges.py "SELECT study, role, number, … FROM trials WHERE …"``. For each
row, over all workloads of its trial or over that of a column `workload`, it says which share of the
disk time and of the wait for reads is saved at a preset's costs; the least and the most, where each
cost may be anything in its plausible range; and which costs, moved alone, turn the sign. What is
saved is a sum of counters times costs, so that the least and the most lie in corners of the ranges.
A row with a column `than` says what its trial saves more than that of this number.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any, NamedTuple

from core.cost_presets import SOURCED_PRESETS
from core.costs import COST_FIELDS
from core.machine import Machine
from sweep.results import open_for_reading
from sweep.results.reading import read_rows
from sweep.results.schema import Row
from sweep.study.workloads import WORKLOAD_FIELDS

#: Of each cost how often it is taken.
Terms = dict[str, int]
KINDS = ("time", "wait")
#: What the device time of requests is made of.
READS = ("read_random_ns", "read_parallel_ns", "read_sequential_ns")
#: The size of the pages that the costs of presets are of.
COSTED_PAGE_BYTES = 4096
#: What a page costs on its way in and out, of systems that do not copy it plainly.
COPIES = {
    "zswap": ("compress_ns", "decompress_ns"),
    "tmem": ("tmem_copy_in_ns", "tmem_copy_out_ns"),
}


def reads_of(requests: int, commands: int, pages: int) -> Terms:
    """Return what the device time of requests is made of; tasks wait for `requests` of them."""
    return dict(zip(READS, (requests, commands - requests, pages - commands), strict=True))


def less(terms: Terms, others: Terms) -> Terms:
    """Return terms less others."""
    return {name: terms.get(name, 0) - others.get(name, 0) for name in COST_FIELDS}


def total(terms: Terms, costs: dict[str, int]) -> int:
    """Return what terms take at some costs."""
    return sum(count * costs[name] for name, count in terms.items())


def taken_by(run: Row) -> dict[str, tuple[Terms, Terms]]:
    """Return what one run takes on one workload, by kind: for reads, and beside them.

    Raises
    ------
    AssertionError
        When that is not what the run's own `read_ns`, `wait_ns` and `cpu_ns` say at its own costs.
    """
    costs = {name: run[name] for name in COST_FIELDS}
    samples = run["reservation_samples"]
    lines = run["block_pages"] * run["page_size"] // 64
    number = sum(sample["count"] for sample in samples)
    migrating = sum(sample["count"] for sample in samples if sample["migrated"])
    dropped = run["reclaimed"] + run["recalled"] + run["collateral"]
    system = run["system"]
    into, out_of = COPIES.get(system, ("copy_in_ns", "copy_out_ns"))
    copies = ("compressions", "decompressions") if system == "zswap" else ("stored", "restored")
    works = system in ("cleancache", "zswap", "tmem", "migrate_cma")
    cpu: Terms = {}
    if works:
        cpu = {"slot_drop_ns": dropped, "reserve_base_ns": number, "lookup_ns": run["lookups"]}
        cpu |= {"migrate_page_ns": run["migrations"], "migrate_base_ns": migrating}
        cpu |= {into: run[copies[0]], out_of: run[copies[1]]} if system != "migrate_cma" else {}
        rest_ns = run["cpu_ns"] - total(cpu, costs)
        cpu["cache_line_ns"] = rest_ns // costs["cache_line_ns"] if costs["cache_line_ns"] else 0
    waits: Terms = {}
    if works and system != "migrate_cma":
        waits = {"lookup_ns": run["lookups"], out_of: run["restored"], into: run["waited_stored"]}
    waits["reserve_base_ns"] = number
    waits["cache_line_ns"] = sum(of["count"] * of["blocks"] for of in samples) * lines
    waits["slot_drop_ns"] = run["waited_reclaimed"] + sum(
        of["count"] * of["dropped"] for of in samples
    )
    waits["migrate_page_ns"] = sum(of["count"] * of["migrated"] for of in samples)
    waits["migrate_base_ns"] = migrating
    asked = run["waited_requests"]
    device = reads_of(asked, run["read_commands"], run["missed"])
    waited = reads_of(asked, run["waited_commands"], run["waited_pages"])
    assert total(device, costs) == run["read_ns"], run["read_ns"]
    assert total(cpu, costs) == run["cpu_ns"], run["cpu_ns"]
    assert total(waited, costs) + total(waits, costs) == run["wait_ns"], run["wait_ns"]
    # The costs of a preset are of pages of 4 KiB. A larger page is read, and copied, as several.
    small_pages = run["page_size"] // COSTED_PAGE_BYTES
    device = reads_of(asked, run["read_commands"], run["missed"] * small_pages)
    waited = reads_of(asked, run["waited_commands"], run["waited_pages"] * small_pages)
    for terms, name in itertools.product((cpu, waits), (into, out_of, "migrate_page_ns")):
        terms[name] = terms.get(name, 0) * small_pages
    return {"time": (device, cpu), "wait": (waited, waits)}


def added(parts: list[Terms]) -> Terms:
    """Return the sum of terms."""
    return {name: sum(part.get(name, 0) for part in parts) for name in COST_FIELDS}


def runs_of(connection: Any, row: Row) -> list[Row]:
    """Return the runs that a row is about, with the policy and the costs of its trial."""
    fields = ", ".join(f"t.{name}" for name in ("system", "tag_block_size", *COST_FIELDS))
    where = "study = ? AND role = ? AND number = ?"
    values = [row["study"], row["role"], row["number"]]
    if "workload" in row:
        where, values = f"{where} AND workload = ?", [*values, row["workload"]]
    runs = read_rows(
        connection,
        f"SELECT r.*, {fields} FROM runs r JOIN trials t USING (study, role, number) WHERE {where} "
        "ORDER BY workload, replicate",
        values,
    )
    for run in runs:
        size = run["tag_block_size"]
        run["block_pages"] = Machine(run["page_size"], 1, size).tag_block_pages
    return runs


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
    runs = runs_of(connection, row)
    carve_out = row | carve_out_of(connection, row)
    baselines = {
        (run["workload"], run["replicate"]): taken_by(run) for run in runs_of(connection, carve_out)
    }
    others = runs_of(connection, row | {"number": row["than"]}) if "than" in row else None
    answer = {}
    for kind in KINDS:
        taken = [part for run in runs for part in taken_by(run)[kind]]
        spared = [baselines[run["workload"], run["replicate"]][kind][0] for run in runs]
        before = spared if others is None else [of for run in others for of in taken_by(run)[kind]]
        answer[kind] = saved_over(added(spared), added(before), added(taken), preset)
    return answer


def saved_over(all_missed: Terms, before: Terms, taken: Terms, preset: str) -> Saved:
    """Return what is saved where `taken` is left of `before`, as a share of `all_missed`."""
    ranges = {name: SOURCED_PRESETS[preset].cost(name) for name in COST_FIELDS}
    saved = less(before, taken)
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


def carve_out_of(connection: Any, row: Row) -> Row:
    """Return which trial is the carve-out of the same workload, against which a row is held."""
    same = " AND ".join(f"c.{name} IS NOT DISTINCT FROM t.{name}" for name in WORKLOAD_FIELDS)
    rows = read_rows(
        connection,
        f"SELECT c.role, c.number FROM trials c JOIN trials t ON c.study = t.study AND {same} "
        "WHERE t.study = ? AND t.role = ? AND t.number = ? AND c.system = 'carveout' "
        "ORDER BY c.role, c.number LIMIT 1",
        [row["study"], row["role"], row["number"]],
    )
    return rows[0]


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

"""What the kernel's counters said while a trace was recorded: /proc/meminfo, vmstat, pressure."""

from __future__ import annotations

from collections import Counter
from typing import Any

from core.workload.perfetto.protos import Protos


class Samples:
    """The counters that a trace sampled: how far each went, or between what it lay."""

    def __init__(self, protos: Protos) -> None:
        self._protos = protos
        self._first: dict[str, int] = {}
        self._last: dict[str, int] = {}
        self._least: dict[str, int] = {}
        self._most: dict[str, int] = {}
        self._times: Counter[str] = Counter()

    def take(self, stats: Any) -> None:
        """Take in one sample."""
        for value in stats.vmstat:
            name = self._protos.word("VmstatCounters", value.key)
            self._note(name.removeprefix("VMSTAT_").lower(), value.value)
        for value in stats.meminfo:
            name = self._protos.word("MeminfoCounters", value.key)
            self._note(name.removeprefix("MEMINFO_").lower() + "_kib", value.value)
        for sample in stats.psi:
            name = self._protos.pressure(sample)
            self._note(name.replace("PSI_RESOURCE", "psi").lower() + "_ns", sample.total_ns)

    def _note(self, name: str, value: int) -> None:
        self._first.setdefault(name, value)
        self._last[name] = value
        self._least[name] = min(value, self._least.get(name, value))
        self._most[name] = max(value, self._most.get(name, value))
        self._times[name] += 1

    def result(self) -> tuple[tuple[str, int], ...]:
        """Return (name, number): how far a counter went, or the bounds of what goes up and down.

        Of a counter that was read once it is the total; one that stood still is left out.
        """
        found: list[tuple[str, int]] = []
        for name, first in sorted(self._first.items(), key=lambda row: "psi" not in row[0]):
            if name.startswith("nr_") or name.endswith("_kib"):
                found += [(f"{name}_least", self._least[name]), (f"{name}_most", self._most[name])]
            elif self._times[name] == 1:
                found.append((f"{name}_total", first))
            elif self._last[name] > first:
                found.append((name, self._last[name] - first))
        return tuple(found)

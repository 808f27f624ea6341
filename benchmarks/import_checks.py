"""What imports count beside what the recorded kernels counted: the table of docs/evidence.md.

``python benchmarks/import_checks.py NAME.ftrace.txt.gz…``, with NAME.meta.tar.gz beside each.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from core.import_checks import COMPARISONS, ImportCheck
from core.workload.ftrace.capture import import_ftrace
from core.workload.ftrace.memory import meta_beside, read_memory


def cell(check: ImportCheck | None) -> str:
    if check is None:
        return ""
    ratio = check.difference_ratio or 0
    difference = f" ({100 * ratio:+.2f} %)" if abs(ratio) >= 0.00005 else ""
    text = f"{check.theirs:,} / {check.ours:,}{difference}"
    return f"**{text}**" if check.is_beyond else text


def main() -> None:
    print(f"| kernel / import | {' | '.join(f'`{name}`' for name in COMPARISONS)} |")
    print(f"|{'---|' * (len(COMPARISONS) + 1)}")
    for path in map(Path, sys.argv[1:]):
        meta = meta_beside(path)
        assert meta is not None, f"{path}: no archive beside it"
        checks = {of.name: of for of in import_ftrace([path], read_memory(meta)).events.checks}
        title = re.sub(r"\.ftrace.*", "", path.name)
        print(f"| `{title}` | {' | '.join(cell(checks.get(name)) for name in COMPARISONS)} |")


if __name__ == "__main__":
    main()

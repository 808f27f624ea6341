"""A good study to make mistakes in, and what is said of a study that has some."""

from __future__ import annotations

from pathlib import Path

from sweep.study.read import validate_source
from sweep.study.yaml_source import SourceError, parse_source

STUDIES = Path(__file__).parents[2] / "studies"
TRACE = "traces/database-mglru-256w.parquet"
GOOD = """\
study: s
workload: [{trace: traces/database-mglru-256w.parquet}]
parameters:
  eviction: {type: categorical, choices: [fifo, lru]}
  folio_order: {type: int, low: 0, high: 3}
objectives:
  - {metric: time_saved_ns, direction: maximize}
sampler: {name: random}
n_trials: 4
"""


def changed(*changes: tuple[str, str]) -> str:
    """Return the good study with texts replaced, each of which it holds once."""
    text = GOOD
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def mistakes(text: str, path: Path = STUDIES / "s.yaml") -> list[str]:
    """Return what is wrong with a study, or nothing: ``line:column: message``."""
    try:
        validate_source(parse_source(path, text))
    except SourceError as error:
        return [line.removeprefix(f"{path}:") for line in str(error).split("\n")]
    return []
